//! Thresholds that are reached: usage of a month beside its limit.
//!
//! A hard quota of a tenant's own plan counts what everybody below uses too, as gateways do; any
//! other counts what the tenant itself uses.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::Row as _;

use super::{THRESHOLDS, ThresholdEvent};
use crate::{
    id::TenantId,
    plan::{
        PlanVersion,
        effective::{EffectiveTerms, Level, resolve},
        versions as plans,
    },
    store::{
        Store, StoreError,
        row::{corrupt, count, parsed, parsed_or_null},
    },
    time::{Micros, Period, Window, Zone},
};

/// Levels of the tree that are looked at; the store keeps it far flatter.
const DEPTH_MAX: usize = 32;

/// Use of quotas in one month.
pub(super) struct Reached {
    pub(super) period: Period,
    /// Units used, and the limit.
    quotas: BTreeMap<(TenantId, String), (u128, u64)>,
}

/// All tenants, with the plans of their own that are in force at an instant.
struct Forest {
    places: HashMap<TenantId, Place>,
    plans: HashMap<PlanKey, PlanVersion>,
}

struct Place {
    parent: Option<TenantId>,
    zone: String,
    plan: Option<PlanKey>,
}

/// Key of a plan version: owner, name and version.
type PlanKey = (String, String, i64);

/// Billed units by tenant and meter.
type Used = Vec<(TenantId, String, u128)>;

impl Store {
    /// Returns the usage of every quota in effect at `at`, in the month that holds `at` on its
    /// tenant's clock.
    pub(super) async fn reached_quotas(&self, at: Micros) -> Result<Vec<Reached>, StoreError> {
        let forest = self.forest(at).await?;
        let mut all = Vec::new();
        for name in forest.zones_with_quotas() {
            let zone = Zone::stored(name);
            let Ok(period) = Period::containing(at, &zone) else { continue };
            let Ok(window) = period.window(&zone) else { continue };
            let mut reached = Reached { period, quotas: BTreeMap::new() };
            let sharing = forest.sharing(name);
            // Those of other zones count where they are below one who shares a quota.
            let used = self.used(window, if sharing.is_empty() { Some(name) } else { None }).await?;
            for (tenant, meter, units) in used {
                reached.add(&forest, name, tenant, &meter, units);
            }
            reached.quotas.retain(|_, (_, limit)| *limit > 0);
            all.push(reached);
        }
        Ok(all)
    }

    async fn forest(&self, at: Micros) -> Result<Forest, StoreError> {
        let rows = sqlx::query(
            "SELECT id, parent_id, zone, plan_owner, plan_id, plan_version FROM tenants LEFT JOIN subscriptions \
             ON subscriptions.tenant_id = tenants.id AND starts_at <= $1 AND (ends_at IS NULL OR ends_at > $1)",
        )
        .bind(at.0)
        .fetch_all(&self.pool)
        .await?;
        let mut forest = Forest { places: HashMap::with_capacity(rows.len()), plans: HashMap::new() };
        for row in &rows {
            let (owner, plan): (Option<String>, Option<String>) = (row.try_get("plan_owner")?, row.try_get("plan_id")?);
            let version: Option<i64> = row.try_get("plan_version")?;
            let plan = owner.zip(plan).zip(version).map(|((owner, plan), version)| (owner, plan, version));
            let (parent, zone) = (parsed_or_null(row, "parent_id")?, row.try_get("zone")?);
            forest.places.insert(parsed(row, "id")?, Place { parent, zone, plan });
        }
        let pinned: BTreeSet<_> = forest.places.values().filter_map(|place| place.plan.clone()).collect();
        let mut connection = self.pool.acquire().await?;
        for (owner, id, version) in pinned {
            let plan = id.parse().map_err(|error| corrupt("plan", error))?;
            if let Some(found) = plans::version_of(&mut connection, &owner, &plan, version).await? {
                forest.plans.insert((owner, id, version), found);
            }
        }
        Ok(forest)
    }

    /// Billed units of hours that start in the window, of tenants of one zone or of all.
    async fn used(&self, window: Window, zone: Option<&str>) -> Result<Used, StoreError> {
        // High and low halves are summed apart: no sum overflows on its way.
        let rows = sqlx::query(
            "SELECT tenant_id, meter, CAST(SUM(units / 2147483648) AS BIGINT) AS high, \
             CAST(SUM(units % 2147483648) AS BIGINT) AS low FROM usage_hourly \
             JOIN tenants ON tenants.id = usage_hourly.tenant_id \
             WHERE (tenants.zone = $1 OR $1 = '') AND hour >= $2 AND hour < $3 AND billable = 1 \
             GROUP BY tenant_id, meter",
        )
        .bind(zone.unwrap_or_default().to_owned())
        .bind(window.start.0)
        .bind(window.end.0)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                let units = u128::from(count(row, "high")?) << 31 | u128::from(count(row, "low")?);
                Ok((parsed(row, "tenant_id")?, row.try_get("meter")?, units))
            })
            .collect()
    }
}

impl Forest {
    /// The tenant, and those above it.
    fn way_up(&self, tenant: TenantId) -> impl Iterator<Item = (TenantId, &Place)> {
        let placed = |id: TenantId| self.places.get(&id).map(|place| (id, place));
        std::iter::successors(placed(tenant), move |(_, place)| place.parent.and_then(placed)).take(DEPTH_MAX)
    }

    fn own_plan(&self, place: &Place) -> Option<&PlanVersion> {
        self.plans.get(place.plan.as_ref()?)
    }

    fn terms(&self, tenant: TenantId) -> Option<EffectiveTerms> {
        let level = |(tenant, place): (TenantId, &Place)| (tenant, self.own_plan(place));
        let levels: Vec<_> = self.way_up(tenant).map(level).map(|(tenant, plan)| Level { tenant, plan }).collect();
        resolve(&levels)
    }

    /// Zones of tenants that have or inherit a quota.
    fn zones_with_quotas(&self) -> BTreeSet<&str> {
        let has_quota = |tenant: TenantId| {
            self.way_up(tenant).any(|(_, place)| self.own_plan(place).is_some_and(|own| !own.plan.quotas.is_empty()))
        };
        let mut zones = BTreeSet::new();
        for (tenant, place) in &self.places {
            if !zones.contains(&*place.zone) && has_quota(*tenant) {
                zones.insert(&*place.zone);
            }
        }
        zones
    }

    /// Returns true if the tenant's own plan states a hard quota of the meter, which everybody
    /// below shares.
    fn shares(&self, place: &Place, meter: &str) -> bool {
        let quota = self.own_plan(place).and_then(|own| own.plan.quota(meter));
        quota.is_some_and(|quota| quota.kind.is_hard())
    }

    /// Tenants of a zone that have somebody below them with whom they share a quota.
    fn sharing(&self, zone: &str) -> BTreeSet<TenantId> {
        let parents = self.places.values().filter_map(|place| place.parent);
        let in_zone = parents.filter_map(|id| self.places.get_key_value(&id)).filter(|(_, place)| place.zone == zone);
        let states_hard = |place: &Place| {
            self.own_plan(place).is_some_and(|own| own.plan.quotas.iter().any(|quota| quota.kind.is_hard()))
        };
        in_zone.filter(|(_, place)| states_hard(place)).map(|(id, _)| *id).collect()
    }
}

impl Reached {
    /// Counts what a tenant has used, for its own quota and for those above that it shares, of the
    /// tenants of `zone`.
    fn add(&mut self, forest: &Forest, zone: &str, tenant: TenantId, meter: &str, units: u128) {
        for (owner, place) in forest.way_up(tenant).filter(|(_, place)| place.zone == zone) {
            if owner != tenant && !forest.shares(place, meter) {
                continue;
            }
            let known = self.quotas.entry((owner, meter.to_owned())).or_insert_with(|| {
                let quotas = forest.terms(owner).map(|terms| terms.quotas).unwrap_or_default();
                (0, quotas.into_iter().find(|quota| quota.meter == meter).map_or(0, |quota| quota.per_month))
            });
            known.0 = known.0.saturating_add(units);
        }
    }

    /// The events of all thresholds that are reached.
    pub(super) fn events(&self, now: Micros) -> impl Iterator<Item = ThresholdEvent> {
        self.quotas.iter().flat_map(move |((tenant, meter), (used, limit))| {
            let reached = THRESHOLDS.into_iter().filter(|percent| is_reached(*percent, *used, *limit));
            reached.map(move |percent| ThresholdEvent {
                seq: 0,
                tenant: *tenant,
                meter: meter.clone(),
                period: self.period,
                percent,
                limit: (*limit).min(i64::MAX.unsigned_abs()),
                used: u64::try_from(*used).unwrap_or(u64::MAX).min(i64::MAX.unsigned_abs()),
                raised_at: now,
            })
        })
    }
}

/// Returns true if `used` is at least this part of `limit`.
fn is_reached(percent: u8, used: u128, limit: u64) -> bool {
    used.saturating_mul(100) >= u128::from(limit) * u128::from(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threshold_is_reached_by_its_last_unit() {
        assert!(!is_reached(80, 79, 100) && is_reached(80, 80, 100));
        assert!(!is_reached(80, 2, 3) && is_reached(80, 3, 3), "80 % of 3 are more than 2");
        assert!(!is_reached(100, u128::from(u64::MAX) - 1, u64::MAX) && is_reached(100, u128::MAX, u64::MAX));
    }
}
