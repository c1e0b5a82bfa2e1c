//! Recording events: one transaction for all that can be booked, and a result for each.

use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry};

use sqlx::{AnyConnection, Row as _};

use super::{
    EVENT_KEY, EVENT_ROUTE, EVENTS_AT_ONCE_MAX, EventFault, EventFaultKind, EventOutcome, UsageEvent,
    rows::{self, Charged},
};
use crate::{
    id::TenantId,
    key::Mode,
    quota::{
        QuotaKey,
        used::{count_used, is_known},
    },
    store::{
        Store, StoreError,
        bulk::{self, Value},
        row::{instant_or_null, parsed, zone},
        scope,
    },
    time::{Micros, Period, Zone},
    usage::{
        UsageRecord,
        booking::events::{Placement, add_events},
    },
};

/// HTTP status that stands with usage that was reported: it is booked as a success.
const STATUS: u16 = 200;

/// The event that is booked under a source and an id.
struct Known {
    tenant: TenantId,
    meter: String,
    units: i64,
    mode: Mode,
    stated_at: Option<Micros>,
}

/// An event that is booked now.
struct Fresh<'e> {
    /// Its place among the events that came.
    place: usize,
    event: &'e UsageEvent,
    at: Micros,
    backfill: bool,
}

impl Store {
    /// Books events, each once for ever, and says what became of each, in their order. One that
    /// cannot be booked keeps back none of the others. Refused: more events than
    /// [`EVENTS_AT_ONCE_MAX`].
    pub async fn record_usage_events(
        &self,
        events: &[UsageEvent],
        now: Micros,
    ) -> Result<Vec<EventOutcome>, StoreError> {
        if events.len() > EVENTS_AT_ONCE_MAX {
            let reason = format!("{} events are too many at once: at most {EVENTS_AT_ONCE_MAX}", events.len());
            return Err(StoreError::refused(reason));
        }
        let error = match self.record_all(events, now).await {
            Err(StoreError::Refused(reason)) => reason,
            done => return done,
        };
        if let [_] = events {
            return Ok(vec![EventOutcome::Refused(EventFault::refused("data.units", error))]);
        }
        // One of them is more than the store can hold: which one shows by itself.
        let mut outcomes = Vec::with_capacity(events.len());
        for event in events {
            match self.record_all(std::slice::from_ref(event), now).await {
                Err(StoreError::Refused(reason)) => {
                    outcomes.push(EventOutcome::Refused(EventFault::refused("data.units", reason)));
                }
                done => outcomes.extend(done?),
            }
        }
        Ok(outcomes)
    }

    async fn record_all(&self, events: &[UsageEvent], now: Micros) -> Result<Vec<EventOutcome>, StoreError> {
        let mut outcomes: Vec<Option<EventOutcome>> =
            events.iter().map(|event| event.validate(now).err().map(EventOutcome::Refused)).collect();
        let mut write = self.begin_write().await?;
        let connection = write.connection();
        let mut seq = rows::lock_head(connection).await?;
        let zones = self.zones(connection, events).await?;
        let mut known = HashMap::new();
        let mut fresh = Vec::new();
        for (place, event) in events.iter().enumerate() {
            if outcomes[place].is_some() {
                continue;
            }
            let Some(zone) = zones.get(&event.tenant) else {
                outcomes[place] = Some(EventOutcome::Refused(no_tenant(event.tenant)));
                continue;
            };
            if !zone.is_known() {
                let reason = format!("the time zone {zone} of {} is not known to this program", event.tenant);
                outcomes[place] = Some(EventOutcome::Refused(EventFault::conflict("subject", reason)));
                continue;
            }
            let name = (event.source.as_str(), event.id.as_str());
            let before: &mut Vec<Known> = match known.entry(name) {
                Entry::Occupied(found) => found.into_mut(),
                Entry::Vacant(place) => place.insert(self.known_events(connection, event).await?),
            };
            outcomes[place] = before.iter().find_map(|known| known.outcome(event));
            if outcomes[place].is_none() {
                before.push(Known::of(event));
                let at = event.at.unwrap_or(now);
                fresh.push(Fresh { place, event, at, backfill: is_of_ended_month(at, now, zone) });
            }
        }
        if !fresh.is_empty() {
            let records = fresh.iter().map(Fresh::record).collect();
            let placements = add_events(connection, records).await?;
            let charged = count_quotas(connection, &fresh, &placements, now).await?;
            seq = insert(connection, &fresh, &placements, &charged, seq, now).await?;
            rows::set_head(connection, seq).await?;
            write.commit().await?;
        }
        for Fresh { place, at, backfill, .. } in &fresh {
            outcomes[*place] = Some(EventOutcome::Booked { at: *at, backfill: *backfill });
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// The time zones of tenants that exist for the actor.
    async fn zones(
        &self,
        connection: &mut AnyConnection,
        events: &[UsageEvent],
    ) -> Result<HashMap<TenantId, Zone>, StoreError> {
        let tenants: BTreeSet<_> = events.iter().map(|event| event.tenant).collect();
        let mut zones = HashMap::with_capacity(tenants.len());
        for tenant in tenants {
            let row = sqlx::query("SELECT zone, path FROM tenants WHERE id = $1")
                .bind(tenant.to_string())
                .fetch_optional(&mut *connection)
                .await?;
            if let Some(row) = row
                && scope::holds(self.acting.scope, row.try_get("path")?)
            {
                zones.insert(tenant, zone(&row)?);
            }
        }
        Ok(zones)
    }

    /// Events of this source and id that exist for the actor, of any tenant.
    async fn known_events(&self, connection: &mut AnyConnection, event: &UsageEvent) -> Result<Vec<Known>, StoreError> {
        let rows = sqlx::query(
            "SELECT tenant_id, meter, units, mode, stated_at, path FROM usage_events \
             JOIN tenants ON tenants.id = tenant_id WHERE source = $1 AND event_id = $2 AND correction = 0",
        )
        .bind(event.source.clone())
        .bind(event.id.clone())
        .fetch_all(connection)
        .await?;
        let mut known = Vec::with_capacity(rows.len());
        for row in &rows {
            if scope::holds(self.acting.scope, row.try_get("path")?) {
                known.push(Known {
                    tenant: parsed(row, "tenant_id")?,
                    meter: row.try_get("meter")?,
                    units: row.try_get("units")?,
                    mode: parsed(row, "mode")?,
                    stated_at: instant_or_null(row, "stated_at")?,
                });
            }
        }
        Ok(known)
    }
}

impl Known {
    fn of(event: &UsageEvent) -> Self {
        let (meter, units) = (event.meter.clone(), event.units.cast_signed());
        Self { tenant: event.tenant, meter, units, mode: event.mode, stated_at: event.at }
    }

    /// The treatment of an event of the same source and id.
    fn outcome(&self, event: &UsageEvent) -> Option<EventOutcome> {
        let conflict = |field, reason: String| Some(EventOutcome::Refused(EventFault::conflict(field, reason)));
        if self.tenant != event.tenant {
            return conflict("id", format!("an event of this source and id is booked for {}", self.tenant));
        }
        let differs = if self.meter != event.meter {
            "data.meter"
        } else if self.units != event.units.cast_signed() {
            "data.units"
        } else if self.mode != event.mode {
            "data.mode"
        } else if self.stated_at != event.at {
            "time"
        } else {
            return Some(EventOutcome::Duplicate);
        };
        conflict(differs, "an event of this source and id is booked with another value: amend that event".to_owned())
    }
}

impl Fresh<'_> {
    fn record(&self) -> UsageRecord {
        UsageRecord {
            at: self.at,
            tenant: self.event.tenant,
            key: EVENT_KEY,
            route: EVENT_ROUTE.into(),
            meter: self.event.meter.as_str().into(),
            units: self.event.units,
            status: STATUS,
            billable: true,
            mode: self.event.mode,
            prepaid: false,
        }
    }
}

fn no_tenant(tenant: TenantId) -> EventFault {
    EventFault { field: "subject", kind: EventFaultKind::NotFound, reason: format!("no tenant {tenant}") }
}

fn is_of_ended_month(at: Micros, now: Micros, zone: &Zone) -> bool {
    match (Period::containing(at, zone), Period::containing(now, zone)) {
        (Ok(used), Ok(current)) => used < current,
        _ => false,
    }
}

/// Counts the units of events against quotas, and says for each against which.
async fn count_quotas(
    connection: &mut AnyConnection,
    fresh: &[Fresh<'_>],
    placements: &[Placement],
    now: Micros,
) -> Result<Vec<Charged>, StoreError> {
    let mut counts: BTreeMap<QuotaKey<'_>, bool> = BTreeMap::new();
    for (one, placement) in fresh.iter().zip(placements) {
        for quota in &placement.quotas {
            let key = (quota.tenant, one.event.meter.as_str(), quota.source);
            let is_counted = counts.entry(key).or_default();
            *is_counted = *is_counted || quota.is_stated;
        }
    }
    for (key, is_counted) in &mut counts {
        *is_counted = *is_counted || is_known(connection, *key).await?;
    }
    let mut used: BTreeMap<QuotaKey<'_>, i64> = BTreeMap::new();
    let mut charged = Vec::with_capacity(fresh.len());
    for (one, placement) in fresh.iter().zip(placements) {
        let meter = one.event.meter.as_str();
        let counted =
            placement.quotas.iter().filter(|quota| counts.get(&(quota.tenant, meter, quota.source)) == Some(&true));
        let counted: Vec<_> = counted.map(|quota| (quota.tenant, quota.source)).collect();
        for (tenant, source) in &counted {
            let units = used.entry((*tenant, meter, *source)).or_default();
            *units = units.saturating_add(one.event.units.cast_signed());
        }
        charged.push(Charged(counted));
    }
    count_used(connection, &used.into_iter().collect::<Vec<_>>(), now).await?;
    Ok(charged)
}

/// Writes events behind the number `seq`, and gives the number of the last.
async fn insert(
    connection: &mut AnyConnection,
    fresh: &[Fresh<'_>],
    placements: &[Placement],
    charged: &[Charged],
    seq: i64,
    now: Micros,
) -> Result<i64, StoreError> {
    let last = seq + i64::try_from(fresh.len()).unwrap_or(i64::MAX);
    let numbered = (seq + 1..).zip(fresh.iter().zip(placements).zip(charged));
    let rows: Vec<[Value; 21]> = numbered
        .map(|(seq, ((one, placement), charged))| {
            let Fresh { event, at, backfill, .. } = one;
            [
                Value::Number(seq),
                Value::Text(event.tenant.to_string()),
                Value::Text(event.source.clone()),
                Value::Text(event.id.clone()),
                Value::Number(0),
                Value::Text(super::EventRowKind::Record.as_str().to_owned()),
                Value::Number(at.0),
                event.at.map_or(Value::Null, |at| Value::Number(at.0)),
                Value::Number(placement.hour.0),
                Value::Number(placement.since.0),
                Value::Text(EVENT_KEY.to_string()),
                Value::Text(EVENT_ROUTE.to_owned()),
                Value::Text(event.meter.clone()),
                Value::Text(event.mode.to_string()),
                Value::Number(i64::from(placement.paid.is_billable())),
                Value::Text(placement.paid.to_string()),
                Value::Number(1),
                Value::Number(event.units.cast_signed()),
                Value::Text(charged.to_string()),
                Value::Number(i64::from(*backfill)),
                Value::Number(now.0),
            ]
        })
        .collect();
    bulk::execute(
        connection,
        "INSERT INTO usage_events (seq, tenant_id, source, event_id, correction, kind, at, stated_at, hour, since, \
         key_id, route, meter, mode, billable, paid, requests, units, charged, backfill, arrived_at)",
        "",
        &rows,
    )
    .await?;
    Ok(last)
}
