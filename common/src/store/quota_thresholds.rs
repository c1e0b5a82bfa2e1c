//! Thresholds of quotas, soft and hard: events that a tenant has used most, and all, of what its plan has for a month.
//!
//! What counts is what is booked and billed. Each event is raised once per tenant, meter, month and threshold, whoever
//! looks and however often; a limit that is changed within the month raises none again.

use std::collections::{BTreeMap, HashMap, HashSet, hash_map::Entry};

use serde::Serialize;
use sqlx::Row as _;

use super::{
    Store, StoreError,
    booking::{Value, insert_rows_returning},
    row::{corrupt, count, instant, parsed},
};
use crate::{
    id::TenantId,
    plan::Plan,
    time::{Micros, Period, Zone},
};

/// Parts of a quota whose use raises an event, in percent.
pub const THRESHOLDS: [u8; 2] = [80, 100];

/// That a tenant has used a part of a quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ThresholdEvent {
    /// Who.
    pub tenant: TenantId,
    /// What is counted.
    pub meter: String,
    /// In which month.
    pub period: Period,
    /// The part, in percent.
    pub percent: u8,
    /// Units that the plan had for the month when it was noticed.
    pub limit: u64,
    /// Units that were billed by then.
    pub used: u64,
    /// When it was noticed.
    pub raised_at: Micros,
}

/// Units per month by tenant and meter.
type Limits = HashMap<(TenantId, String), u64>;

/// Owner, name and version of a plan.
type PlanKey = (String, String, i64);

/// What tells events of one month apart.
type EventKey = (TenantId, String, u8);

impl Store {
    /// Looks at the month that holds `at` on each tenant's clock, by the plan in force then, and raises the events that
    /// are due; gives those that nobody has raised before.
    pub async fn raise_threshold_events(&self, at: Micros, now: Micros) -> Result<Vec<ThresholdEvent>, StoreError> {
        let mut raised = Vec::new();
        for (zone, limits) in self.quotas_in_force(at).await? {
            let zone: Zone = zone.parse().map_err(|error| corrupt("zone", error))?;
            let Ok(period) = Period::containing(at, &zone) else { continue };
            let due = self.due_events(&zone, period, &limits, now).await?;
            if !due.is_empty() {
                raised.extend(self.insert_events(due).await?);
            }
        }
        Ok(raised)
    }

    /// Every event, or those of one tenant, by month, tenant, meter and threshold.
    pub async fn threshold_events(&self, tenant: Option<TenantId>) -> Result<Vec<ThresholdEvent>, StoreError> {
        let rows = sqlx::query(
            "SELECT tenant_id, meter, period, percent, limit_units, used, raised_at FROM usage_threshold_events \
             WHERE tenant_id = $1 OR $1 = '' ORDER BY period, tenant_id, meter, percent",
        )
        .bind(tenant.map(|tenant| tenant.to_string()).unwrap_or_default())
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(ThresholdEvent {
                    tenant: parsed(row, "tenant_id")?,
                    meter: row.try_get("meter")?,
                    period: parsed(row, "period")?,
                    percent: percent(row.try_get("percent")?)?,
                    limit: count(row, "limit_units")?,
                    used: count(row, "used")?,
                    raised_at: instant(row, "raised_at")?,
                })
            })
            .collect()
    }

    /// The quotas of the plans in force `at` some time, by zone.
    async fn quotas_in_force(&self, at: Micros) -> Result<BTreeMap<String, Limits>, StoreError> {
        let rows = sqlx::query(
            "SELECT tenant_id, zone, plan_owner, plan_id, plan_version FROM subscriptions \
             JOIN tenants ON tenants.id = subscriptions.tenant_id \
             WHERE starts_at <= $1 AND (ends_at IS NULL OR ends_at > $1)",
        )
        .bind(at.0)
        .fetch_all(&self.pool)
        .await?;
        let mut plans: HashMap<PlanKey, Plan> = HashMap::new();
        let mut by_zone: BTreeMap<String, Limits> = BTreeMap::new();
        for row in &rows {
            let (tenant, zone) = (parsed(row, "tenant_id")?, row.try_get("zone")?);
            let key = (row.try_get("plan_owner")?, row.try_get("plan_id")?, row.try_get("plan_version")?);
            let plan = match plans.entry(key) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => {
                    let plan = self.plan_body(unknown.key()).await?;
                    unknown.insert(plan)
                }
            };
            let quotas = plan.quotas.iter().filter(|quota| quota.per_month > 0);
            let limits = quotas.map(|quota| ((tenant, quota.meter.clone()), quota.per_month));
            by_zone.entry(zone).or_default().extend(limits);
        }
        by_zone.retain(|_, limits| !limits.is_empty());
        Ok(by_zone)
    }

    async fn plan_body(&self, (owner, id, version): &PlanKey) -> Result<Plan, StoreError> {
        let row = sqlx::query("SELECT body FROM plan_versions WHERE owner_id = $1 AND plan_id = $2 AND version = $3")
            .bind(owner.clone())
            .bind(id.clone())
            .bind(*version)
            .fetch_one(&self.pool)
            .await?;
        let body: String = row.try_get("body")?;
        serde_json::from_str(&body).map_err(|error| corrupt("plan", error))
    }

    /// Events of tenants of a zone that are due and, as far as is known, not raised.
    async fn due_events(
        &self,
        zone: &Zone,
        period: Period,
        limits: &Limits,
        now: Micros,
    ) -> Result<Vec<ThresholdEvent>, StoreError> {
        let Ok(window) = period.window(zone) else { return Ok(Vec::new()) };
        let raised = self.events_raised_in(period).await?;
        // High and low halves are summed apart: no sum overflows on its way.
        let rows = sqlx::query(
            "SELECT tenant_id, meter, CAST(SUM(units / 2147483648) AS BIGINT) AS high, \
             CAST(SUM(units % 2147483648) AS BIGINT) AS low FROM usage_hourly \
             JOIN tenants ON tenants.id = usage_hourly.tenant_id \
             WHERE tenants.zone = $1 AND hour >= $2 AND hour < $3 AND billable = 1 GROUP BY tenant_id, meter",
        )
        .bind(zone.name())
        .bind(window.start.0)
        .bind(window.end.0)
        .fetch_all(&self.pool)
        .await?;
        let mut due = Vec::new();
        for row in &rows {
            let (tenant, meter): (TenantId, String) = (parsed(row, "tenant_id")?, row.try_get("meter")?);
            let key = (tenant, meter);
            let Some(limit) = limits.get(&key).copied() else { continue };
            let used = u128::from(count(row, "high")?) << 31 | u128::from(count(row, "low")?);
            for percent in THRESHOLDS.into_iter().filter(|percent| is_reached(*percent, used, limit)) {
                let (tenant, meter) = key.clone();
                if !raised.contains(&(tenant, meter.clone(), percent)) {
                    let used = u64::try_from(used).unwrap_or(u64::MAX);
                    due.push(ThresholdEvent { tenant, meter, period, percent, limit, used, raised_at: now });
                }
            }
        }
        Ok(due)
    }

    async fn events_raised_in(&self, period: Period) -> Result<HashSet<EventKey>, StoreError> {
        let rows = sqlx::query("SELECT tenant_id, meter, percent FROM usage_threshold_events WHERE period = $1")
            .bind(period.to_string())
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| Ok((parsed(row, "tenant_id")?, row.try_get("meter")?, percent(row.try_get("percent")?)?)))
            .collect()
    }

    /// Writes events, and gives those that were not there.
    async fn insert_events(&self, events: Vec<ThresholdEvent>) -> Result<Vec<ThresholdEvent>, StoreError> {
        let mut write = self.begin_write().await?;
        let rows: Vec<_> = events.iter().map(event_row).collect();
        let inserted = insert_rows_returning(
            write.connection(),
            "INSERT INTO usage_threshold_events (tenant_id, meter, period, percent, limit_units, used, raised_at)",
            "ON CONFLICT (tenant_id, meter, period, percent) DO NOTHING RETURNING tenant_id, meter, percent",
            &rows,
        )
        .await?;
        let mut new = HashSet::new();
        for row in &inserted {
            let key: EventKey = (parsed(row, "tenant_id")?, row.try_get("meter")?, percent(row.try_get("percent")?)?);
            new.insert(key);
        }
        write.commit().await?;
        let is_new = |event: &ThresholdEvent| new.contains(&(event.tenant, event.meter.clone(), event.percent));
        Ok(events.into_iter().filter(is_new).collect())
    }
}

fn event_row(event: &ThresholdEvent) -> [Value; 7] {
    let number = |units: u64| Value::Number(i64::try_from(units).unwrap_or(i64::MAX));
    [
        Value::Text(event.tenant.to_string()),
        Value::Text(event.meter.clone()),
        Value::Text(event.period.to_string()),
        Value::Number(i64::from(event.percent)),
        number(event.limit),
        number(event.used),
        Value::Number(event.raised_at.0),
    ]
}

fn percent(stored: i64) -> Result<u8, StoreError> {
    u8::try_from(stored).map_err(|_| corrupt("threshold", format!("{stored} percent")))
}

/// Whether `used` is at least this part of `limit`.
fn is_reached(percent: u8, used: u128, limit: u64) -> bool {
    used.saturating_mul(100) >= u128::from(limit) * u128::from(percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_reached_by_its_last_unit() {
        assert!(!is_reached(80, 79, 100) && is_reached(80, 80, 100));
        assert!(!is_reached(80, 2, 3) && is_reached(80, 3, 3), "80 % of 3 are more than 2");
        assert!(!is_reached(100, u128::from(u64::MAX) - 1, u64::MAX) && is_reached(100, u128::MAX, u64::MAX));
    }
}
