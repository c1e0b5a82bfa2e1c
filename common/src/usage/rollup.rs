//! Rollups of usage, as they stand in the store. [`super::booking`] writes them.

use serde::Serialize;
use sqlx::{Any, AssertSqlSafe, Row as _, any::AnyArguments, any::AnyRow, query::Query};

use crate::{
    id::{KeyId, TenantId},
    key::Mode,
    store::{
        Store, StoreError, bulk,
        row::{corrupt, count, instant, parsed},
    },
    time::{Micros, Window},
    usage::PaidBy,
};

/// Selects rollups.
#[derive(Debug, Clone, Default)]
pub struct UsageFilter {
    /// Of one tenant; of all if none.
    pub tenant: Option<TenantId>,
    /// Of hours that start inside.
    pub window: Option<Window>,
}

/// Usage of one hour, as far as everything but its units is alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageRollup {
    /// Start of the hour on the tenant's clock.
    pub hour: Micros,
    /// Since when within the hour: place and plans of the tenant, and the month of whoever pays,
    /// are the same from here on. Nearly always the start of the hour.
    pub since: Micros,
    /// Tenant that used it.
    pub tenant: TenantId,
    /// With which key.
    pub key: KeyId,
    /// Through which route.
    pub route: String,
    /// Meter that is counted.
    pub meter: String,
    /// Mode of the key.
    pub mode: Mode,
    /// True if it is billed (never, under a test key).
    pub billable: bool,
    /// Source that pays for it.
    pub paid: PaidBy,
    /// Requests.
    pub requests: u64,
    /// Requests among them whose client left before the answer.
    pub aborted: u64,
    /// Units.
    pub units: u64,
}

/// Refusals of one hour and reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusalRollup {
    /// Start of the hour on the tenant's clock.
    pub hour: Micros,
    /// Tenant that was refused.
    pub tenant: TenantId,
    /// With which key.
    pub key: KeyId,
    /// The problem code that clients were told.
    pub reason: String,
    /// Number of refusals.
    pub count: u64,
}

impl Store {
    /// Rollups, by hour, tenant, key, route and meter.
    pub async fn usage(&self, filter: &UsageFilter) -> Result<Vec<UsageRollup>, StoreError> {
        let statement = filter.statement(
            "SELECT hour, since, tenant_id, key_id, route, meter, mode, billable, paid, requests, aborted, units \
             FROM usage_hourly",
            "hour, tenant_id, key_id, route, meter, mode, since, paid",
        );
        let rows = filter.bind(sqlx::query(AssertSqlSafe(statement))).fetch_all(&self.pool).await?;
        rows.iter().map(read_usage).collect()
    }

    /// Rollups of some tenants, of hours that start inside `window`, by hour, tenant, key, route and
    /// meter.
    pub async fn usage_of(&self, tenants: &[TenantId], window: Window) -> Result<Vec<UsageRollup>, StoreError> {
        let statement = format!(
            "SELECT hour, since, tenant_id, key_id, route, meter, mode, billable, paid, requests, aborted, units \
             FROM usage_hourly WHERE hour >= $1 AND hour < $2 AND tenant_id {} \
             ORDER BY hour, tenant_id, key_id, route, meter, mode, since, paid",
            bulk::in_list(self.engine, 3)
        );
        let rows = sqlx::query(AssertSqlSafe(statement))
            .bind(window.start.0)
            .bind(window.end.0)
            .bind(bulk::list(tenants))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read_usage).collect()
    }

    /// Hourly refusals, by hour, tenant, key and reason.
    pub async fn refusals(&self, filter: &UsageFilter) -> Result<Vec<RefusalRollup>, StoreError> {
        let statement = filter.statement(
            "SELECT hour, tenant_id, key_id, reason, count FROM refusals_hourly",
            "hour, tenant_id, key_id, reason",
        );
        let rows = filter.bind(sqlx::query(AssertSqlSafe(statement))).fetch_all(&self.pool).await?;
        rows.iter().map(read_refusals).collect()
    }
}

impl UsageFilter {
    /// Put together from constants alone.
    fn statement(&self, select: &'static str, order: &'static str) -> String {
        let tenant = if self.tenant.is_some() { " AND tenant_id = $3" } else { "" };
        format!("{select} WHERE hour >= $1 AND hour < $2{tenant} ORDER BY {order}")
    }

    fn bind<'q>(&self, query: Query<'q, Any, AnyArguments>) -> Query<'q, Any, AnyArguments> {
        let always = Window { start: Micros(i64::MIN), end: Micros(i64::MAX) };
        let window = self.window.unwrap_or(always);
        let query = query.bind(window.start.0).bind(window.end.0);
        match self.tenant {
            Some(tenant) => query.bind(tenant.to_string()),
            None => query,
        }
    }
}

fn read_usage(row: &AnyRow) -> Result<UsageRollup, StoreError> {
    Ok(UsageRollup {
        hour: instant(row, "hour")?,
        since: instant(row, "since")?,
        tenant: parsed(row, "tenant_id")?,
        key: parsed(row, "key_id")?,
        route: row.try_get("route")?,
        meter: row.try_get("meter")?,
        mode: parsed(row, "mode")?,
        billable: billable(row)?,
        paid: parsed(row, "paid")?,
        requests: count(row, "requests")?,
        aborted: count(row, "aborted")?,
        units: count(row, "units")?,
    })
}

fn billable(row: &AnyRow) -> Result<bool, StoreError> {
    match row.try_get("billable")? {
        0_i64 => Ok(false),
        1 => Ok(true),
        other => Err(corrupt("usage sum", format!("billable is {other}"))),
    }
}

fn read_refusals(row: &AnyRow) -> Result<RefusalRollup, StoreError> {
    Ok(RefusalRollup {
        hour: instant(row, "hour")?,
        tenant: parsed(row, "tenant_id")?,
        key: parsed(row, "key_id")?,
        reason: row.try_get("reason")?,
        count: count(row, "count")?,
    })
}
