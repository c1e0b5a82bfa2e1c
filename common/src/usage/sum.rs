//! Rollups summed over keys, routes and hours by the database, for bills: a bill needs to know what a
//! tenant used of a meter, and not with which key.

use sqlx::{AssertSqlSafe, Row as _, any::AnyRow};

use super::PaidBy;
use crate::{
    id::TenantId,
    key::Mode,
    store::{
        Engine, Store, StoreError, bulk,
        row::{corrupt, instant, parsed},
    },
    time::{Micros, Window},
};

/// Longest time from the hour under which usage is filed to its first usage.
const HOUR_SECONDS: i64 = 3_600;

/// The halves in which counts are summed where their sum may exceed what a column holds.
const HALF: u128 = 1 << 31;

/// Usage of one tenant, as far as everything that decides who pays for it is alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageSum {
    /// Tenant that used it.
    pub tenant: TenantId,
    /// The first instant that it may be of.
    pub since: Micros,
    /// Meter that is counted.
    pub meter: String,
    /// Mode of the key.
    pub mode: Mode,
    /// True if it is billed (never, under a test key).
    pub billable: bool,
    /// Source that pays for it.
    pub paid: PaidBy,
    /// Requests.
    pub requests: u128,
    /// Units.
    pub units: u128,
}

/// Selects sums of usage. A row is billed if anything pays for it, so that need not be grouped by.
fn statement(engine: Engine, since: &str, tenants: &str, group: &str) -> String {
    let sum = |column: &str| match engine {
        // Exact, whatever its size.
        Engine::Postgres => format!("CAST(SUM({column}) AS TEXT) AS {column}"),
        // An error if it does not fit, so it is summed in halves.
        Engine::Sqlite => format!("SUM({column} / {HALF}) || ' ' || SUM({column} % {HALF}) AS {column}"),
    };
    let (requests, units) = (sum("requests"), sum("units"));
    format!(
        "SELECT tenant_id, {since} AS since, meter, mode, paid, {requests}, {units} FROM usage_hourly \
         WHERE hour >= $1 AND hour < $3 AND since >= $2 AND since < $3{tenants} \
         GROUP BY tenant_id, meter, mode, paid{group}"
    )
}

impl Store {
    /// Usage of all tenants within `window`, as if it were all of its start. In no order.
    pub async fn usage_sums(&self, window: Window) -> Result<Vec<UsageSum>, StoreError> {
        let rows = sqlx::query(AssertSqlSafe(statement(self.engine, "CAST($2 AS BIGINT)", "", "")))
            .bind(window.start.plus_seconds(-HOUR_SECONDS).0)
            .bind(window.start.0)
            .bind(window.end.0)
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read).collect()
    }

    /// Usage of some tenants within `window`, summed over what began at the same instant. In no
    /// order.
    pub async fn usage_sums_by_instant(
        &self,
        tenants: &[TenantId],
        window: Window,
    ) -> Result<Vec<UsageSum>, StoreError> {
        if tenants.is_empty() {
            return Ok(Vec::new());
        }
        let of_tenants = format!(" AND tenant_id {}", bulk::in_list(self.engine, 4));
        let rows = sqlx::query(AssertSqlSafe(statement(self.engine, "since", &of_tenants, ", since")))
            .bind(window.start.plus_seconds(-HOUR_SECONDS).0)
            .bind(window.start.0)
            .bind(window.end.0)
            .bind(bulk::list(tenants))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &AnyRow) -> Result<UsageSum, StoreError> {
    let paid: PaidBy = parsed(row, "paid")?;
    Ok(UsageSum {
        tenant: parsed(row, "tenant_id")?,
        since: instant(row, "since")?,
        meter: row.try_get("meter")?,
        mode: parsed(row, "mode")?,
        billable: paid.is_billable(),
        paid,
        requests: whole(row, "requests")?,
        units: whole(row, "units")?,
    })
}

/// A sum, whole or in two halves.
fn whole(row: &AnyRow, column: &'static str) -> Result<u128, StoreError> {
    let text: String = row.try_get(column)?;
    let parse = |text: &str| text.parse::<u128>().map_err(|error| corrupt("usage sum", format!("`{text}`: {error}")));
    match text.split_once(' ') {
        Some((high, low)) => Ok(parse(high)? * HALF + parse(low)?),
        None => parse(&text),
    }
}
