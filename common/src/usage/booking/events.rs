//! Usage that others report as events: into the rollups of gateways' records, by the same rules.
//!
//! Events have no stream and leave no record of a gateway; [`crate::usage::event`] keeps them. What
//! is decided here is what is decided of a record as it is booked: the hour, the part of the hour,
//! what pays, and the quotas that the units count against.

use std::collections::{BTreeSet, HashMap};

use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::{
    Fresh,
    above::{Above, Zones, read_past, surroundings},
    borders::Borders,
    ledger::Ledger as _,
    portable::{json, of_asked},
    rows::BookingRows,
    stream::StreamBook,
};
use crate::{
    id::TenantId,
    plan::{
        PlanVersion,
        effective::{EffectiveTerms, Level, resolve},
        versions as plans,
    },
    quota::QuotaSource,
    store::{
        StoreError,
        row::{corrupt, instant, instant_or_null, parsed},
    },
    time::{Micros, Period, Window},
    usage::{PaidBy, UsageEntry, UsageRecord},
};

/// The place of an event in the books.
#[derive(Debug, Clone)]
pub(in crate::usage) struct Placement {
    pub(in crate::usage) hour: Micros,
    pub(in crate::usage) since: Micros,
    pub(in crate::usage) paid: PaidBy,
    /// The quotas that may stand for its units.
    pub(in crate::usage) quotas: Vec<EventQuota>,
}

/// A quota that the units of an event count against.
#[derive(Debug, Clone, Copy)]
pub(in crate::usage) struct EventQuota {
    pub(in crate::usage) tenant: TenantId,
    pub(in crate::usage) source: QuotaSource,
    /// True if the plans of that time state it; false if it counts only where it is drawn on.
    pub(in crate::usage) is_stated: bool,
}

/// Adds usage to the rollups, and gives the place of each record, in their order. Their tenants are
/// known, with time zones of this program's database.
pub(in crate::usage) async fn add_events(
    connection: &mut AnyConnection,
    mut records: Vec<UsageRecord>,
) -> Result<Vec<Placement>, StoreError> {
    let tenants: BTreeSet<_> = records.iter().map(|record| record.tenant).collect();
    let (places, mut zones, mut above) = surroundings(connection, &tenants).await?;
    let books = [StreamBook::new(String::new(), 0, Vec::new())];
    let unpaid = entries(&records);
    let borders = Borders::read(connection, &places, &[numbered(&unpaid)]).await?;
    read_past(connection, &borders, &mut zones, &mut above).await?;
    let plans = PlansInForce::read(connection, &records, &above).await?;
    let mut quotas = Vec::with_capacity(records.len());
    for record in &mut records {
        let way: Vec<_> = std::iter::once(record.tenant).chain(above.at(record.tenant, record.at)).collect();
        let terms = plans.terms(&way, record.at);
        record.prepaid = terms.as_ref().is_some_and(|terms| terms.prepaid.contains(&record.meter.to_string()));
        quotas.push(quotas_of(record, &way, terms.as_ref(), &zones));
    }
    let paid = entries(&records);
    let rows = BookingRows::of(&books, &[numbered(&paid)], &[], (&zones, &above, &borders), true)?;
    connection.add_usage(&rows.usage).await?;
    let with_quotas = rows.records.iter().zip(quotas);
    let found = with_quotas.map(|(row, quotas)| Placement {
        hour: row.hour,
        since: row.since.unwrap_or(row.hour),
        paid: row.paid,
        quotas,
    });
    Ok(found.collect())
}

fn entries(records: &[UsageRecord]) -> Vec<UsageEntry> {
    records.iter().cloned().map(UsageEntry::Request).collect()
}

fn numbered(entries: &[UsageEntry]) -> Fresh<'_> {
    Fresh { book: 0, entries: (0..).zip(entries).collect() }
}

/// The quotas that a record counts against: credit or the month of its tenant, and the months of
/// all above it then.
fn quotas_of(record: &UsageRecord, way: &[TenantId], terms: Option<&EffectiveTerms>, zones: &Zones) -> Vec<EventQuota> {
    if !PaidBy::of(record).is_billable() {
        return Vec::new();
    }
    let is_stated = |tenant: TenantId| {
        let is_own = |terms: &EffectiveTerms| {
            let mut quotas = terms.quotas.iter().filter(|quota| quota.kind.is_hard());
            tenant == record.tenant && quotas.any(|quota| *quota.meter == *record.meter)
        };
        let is_cap =
            |terms: &EffectiveTerms| terms.caps.iter().any(|cap| cap.tenant == tenant && *cap.meter == *record.meter);
        terms.is_some_and(|terms| is_own(terms) || is_cap(terms))
    };
    let month = |tenant: &TenantId| {
        let period = Period::containing(record.at, zones.get(tenant)?.zone()?).ok()?;
        let source = QuotaSource::Month(period);
        Some(EventQuota { tenant: *tenant, source, is_stated: is_stated(*tenant) })
    };
    let credit = EventQuota { tenant: record.tenant, source: QuotaSource::Credit, is_stated: true };
    let own = if record.prepaid { Some(credit) } else { month(&record.tenant) };
    own.into_iter().chain(way.iter().skip(1).filter_map(month)).collect()
}

/// Plans that tenants had of their own, over the time of the events.
struct PlansInForce {
    spans: HashMap<TenantId, Vec<(Window, PlanKey)>>,
    versions: HashMap<PlanKey, PlanVersion>,
}

/// Key of a plan version: owner, name and version.
type PlanKey = (String, String, i64);

impl PlansInForce {
    async fn read(connection: &mut AnyConnection, records: &[UsageRecord], above: &Above) -> Result<Self, StoreError> {
        let tenants: BTreeSet<_> = records
            .iter()
            .flat_map(|record| std::iter::once(record.tenant).chain(above.at(record.tenant, record.at)))
            .collect();
        let first = records.iter().map(|record| record.at).min().unwrap_or(Micros(0));
        let last = records.iter().map(|record| record.at).max().unwrap_or(Micros(0));
        let select = of_asked(
            connection,
            "SELECT tenant_id, plan_owner, plan_id, plan_version, starts_at, ends_at FROM subscriptions \
             WHERE tenant_id IN (SELECT id FROM asked) AND starts_at <= $2 AND (ends_at IS NULL OR ends_at > $3)",
        );
        let query = sqlx::query(AssertSqlSafe(select)).bind(json(&tenants)).bind(last.0).bind(first.0);
        let rows = query.fetch_all(&mut *connection).await?;
        let mut plans = Self { spans: HashMap::new(), versions: HashMap::new() };
        for row in &rows {
            let end = instant_or_null(row, "ends_at")?.unwrap_or(Micros(i64::MAX));
            let window = Window { start: instant(row, "starts_at")?, end };
            let key: PlanKey = (row.try_get("plan_owner")?, row.try_get("plan_id")?, row.try_get("plan_version")?);
            if !plans.versions.contains_key(&key) {
                let id = key.1.parse().map_err(|error| corrupt("plan", error))?;
                if let Some(found) = plans::version_of(connection, &key.0, &id, key.2).await? {
                    plans.versions.insert(key.clone(), found);
                }
            }
            plans.spans.entry(parsed(row, "tenant_id")?).or_default().push((window, key));
        }
        Ok(plans)
    }

    /// The terms of the first tenant of a way up, at an instant.
    fn terms(&self, way: &[TenantId], at: Micros) -> Option<EffectiveTerms> {
        let plan = |tenant: &TenantId| {
            let (_, key) = self.spans.get(tenant)?.iter().find(|(window, _)| window.contains(at))?;
            self.versions.get(key)
        };
        let levels: Vec<_> = way.iter().map(|tenant| Level { tenant: *tenant, plan: plan(tenant) }).collect();
        resolve(&levels)
    }
}
