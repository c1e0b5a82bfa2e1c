//! Thresholds of quotas, soft and hard: events that a tenant has used most, and all, of what it may
//! use in a month.
//!
//! Only booked and billed usage counts, against the limits in effect: a tenant's own, inherited, or
//! lowered by a tenant above. Each event is raised once per tenant, meter, month, limit and
//! threshold, whichever process checks and however often; a limit that changes within the month
//! raises its own.

mod due;

use std::collections::HashSet;

use serde::Serialize;
use sqlx::{Row as _, any::AnyRow};

use crate::{
    event::{EventType, NewEvent, emit},
    id::TenantId,
    store::{
        Page, PageRequest, Store, StoreError,
        bulk::{self, Value},
        row::{corrupt, count, instant, parsed},
        scope::PathRange,
    },
    time::{Micros, Period},
};

/// Parts of a quota whose use raises an event, in percent.
pub const THRESHOLDS: [u8; 2] = [80, 100];

/// That a tenant has used a part of a quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ThresholdEvent {
    /// Its number, in the order in which events were written; 0 before that.
    pub seq: i64,
    /// Whose quota.
    pub tenant: TenantId,
    /// Meter that is counted.
    pub meter: String,
    /// In which month.
    pub period: Period,
    /// The part, in percent.
    pub percent: u8,
    /// Units that the tenant had for the month when it was noticed.
    pub limit: u64,
    /// Units that were billed by then.
    pub used: u64,
    /// Time at which it was noticed.
    pub raised_at: Micros,
}

/// Key of an event within a month: tenant, meter, limit and threshold.
type EventKey = (TenantId, String, u64, u8);

impl Store {
    /// Looks at the month that holds `at` on each tenant's clock, by the limits in effect then, and
    /// raises the events that are due; returns those that nobody has raised before.
    pub async fn raise_threshold_events(&self, at: Micros, now: Micros) -> Result<Vec<ThresholdEvent>, StoreError> {
        let mut raised = Vec::new();
        for reached in self.reached_quotas(at).await? {
            let known = self.events_raised_in(reached.period).await?;
            let due: Vec<_> = reached.events(now).filter(|event| !known.contains(&event.key())).collect();
            if !due.is_empty() {
                raised.extend(self.insert_events(due).await?);
            }
        }
        Ok(raised)
    }

    /// Events of a tenant and everybody below it, or of all in the actor's scope, newest first.
    pub async fn threshold_events(
        &self,
        subtree_of: Option<TenantId>,
        page: PageRequest,
    ) -> Result<Page<ThresholdEvent>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let paths = PathRange::within(&mut connection, self.acting.scope, subtree_of).await?;
        let rows = sqlx::query(
            "SELECT seq, tenant_id, meter, period, percent, limit_units, used, raised_at FROM quota_threshold_events \
             JOIN tenants ON tenants.id = quota_threshold_events.tenant_id \
             WHERE seq < $1 AND path >= $2 AND path < $3 ORDER BY seq DESC LIMIT $4",
        )
        .bind(page.after.unwrap_or(i64::MAX))
        .bind(paths.from)
        .bind(paths.before)
        .bind(page.rows())
        .fetch_all(&mut *connection)
        .await?;
        let events: Result<Vec<_>, _> = rows.iter().map(|row| read(row).map(|event| (event.seq, event))).collect();
        Ok(page.page(events?))
    }

    async fn events_raised_in(&self, period: Period) -> Result<HashSet<EventKey>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, tenant_id, meter, period, percent, limit_units, used, raised_at FROM quota_threshold_events \
             WHERE period = $1",
        )
        .bind(period.to_string())
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| Ok(read(row)?.key())).collect()
    }

    /// Writes events, and returns those that were not there.
    async fn insert_events(&self, events: Vec<ThresholdEvent>) -> Result<Vec<ThresholdEvent>, StoreError> {
        let mut write = self.begin_write().await?;
        let rows: Vec<_> = events.iter().map(event_row).collect();
        let inserted = bulk::fetch(
            write.connection(),
            "INSERT INTO quota_threshold_events (tenant_id, meter, period, percent, limit_units, used, raised_at)",
            "ON CONFLICT (period, tenant_id, meter, limit_units, percent) DO NOTHING \
             RETURNING seq, tenant_id, meter, period, percent, limit_units, used, raised_at",
            &rows,
        )
        .await?;
        let raised: Vec<ThresholdEvent> = inserted.iter().map(read).collect::<Result<_, _>>()?;
        for event in &raised {
            emit(write.connection(), &[event.told()], event.raised_at).await?;
        }
        write.commit().await?;
        Ok(raised)
    }
}

impl ThresholdEvent {
    fn key(&self) -> EventKey {
        (self.tenant, self.meter.clone(), self.limit, self.percent)
    }

    /// The events that others hear of it.
    fn told(&self) -> NewEvent {
        let data = serde_json::json!({
            "meter": self.meter,
            "period": self.period.to_string(),
            "percent": self.percent,
            "limit": self.limit,
            "used": self.used,
        });
        let object = format!("{}/{}", self.tenant, self.meter);
        NewEvent { kind: EventType::UsageThresholdReached, tenant: self.tenant, object, data }
    }
}

fn read(row: &AnyRow) -> Result<ThresholdEvent, StoreError> {
    let percent: i64 = row.try_get("percent")?;
    Ok(ThresholdEvent {
        seq: row.try_get("seq")?,
        tenant: parsed(row, "tenant_id")?,
        meter: row.try_get("meter")?,
        period: parsed(row, "period")?,
        percent: u8::try_from(percent).map_err(|_| corrupt("threshold", format!("{percent} percent")))?,
        limit: count(row, "limit_units")?,
        used: count(row, "used")?,
        raised_at: instant(row, "raised_at")?,
    })
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
