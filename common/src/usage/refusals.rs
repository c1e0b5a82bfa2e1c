//! Refusals of gateways by reason, or by tenant and reason, summed over time.

use sqlx::{AssertSqlSafe, Row as _};

use crate::{
    id::TenantId,
    store::{
        Store, StoreError,
        row::{count, parsed},
        scope, spans,
    },
    time::Window,
};

/// Most rows of a sum: gateways have a table of codes, which is far shorter, and of tenants the most
/// refused are of interest.
const ROWS_MAX: i64 = 200;

/// Requests that gateways refused for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalSum {
    /// The tenant and its name, of sums by tenant.
    pub tenant: Option<(TenantId, String)>,
    /// The reason: the code of the answer.
    pub reason: String,
    /// Their number.
    pub count: u64,
}

/// What a sum of refusals is made of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RefusalGroups {
    /// With every tenant below it.
    pub subtree: bool,
    /// By tenant and reason; by reason unless stated.
    pub by_tenant: bool,
}

impl Store {
    /// Refusals of a tenant, and of every tenant below it if asked for, in the hours that begin in
    /// the window; the most frequent reason first, or the most frequent tenant and reason, at most 200
    /// rows. As usage, refusals count where their tenant was at the time.
    pub async fn refusals_by_reason(
        &self,
        tenant: TenantId,
        RefusalGroups { subtree, by_tenant }: RefusalGroups,
        window: Window,
    ) -> Result<Vec<RefusalSum>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let not_found = || StoreError::not_found("tenant", &tenant);
        scope::path_of(&mut connection, tenant).await?.ok_or_else(not_found)?;
        let top = self.acting.scope.tenant().unwrap_or(tenant);
        let spans = spans::spans_under(&mut connection, tenant, top).await?;
        if spans.is_empty() {
            return Err(not_found());
        }
        // Constants and numbers of placeholders alone.
        let known = |place| {
            let number = |of: usize| format!("CAST(${} AS BIGINT)", of + 2 * place);
            ["CAST($1 AS TEXT)".to_owned(), number(4), number(5)]
        };
        let known: Vec<_> = (0..spans.len()).map(known).collect();
        let (columns, names) = if by_tenant { BY_TENANT } else { ("", "") };
        let statement = format!(
            "{}\
             SELECT {columns}reason, CAST(SUM(count) AS BIGINT) AS refusals FROM refusals_hourly \
             JOIN spans ON spans.tenant_id = refusals_hourly.tenant_id AND hour >= spans.from_at \
             AND hour < spans.to_at{names} WHERE hour >= $2 AND hour < $3 \
             GROUP BY {columns}reason ORDER BY refusals DESC, {columns}reason LIMIT {ROWS_MAX}",
            spans::table(&known, subtree)
        );
        let query = sqlx::query(AssertSqlSafe(statement)).persistent(false);
        let query = query.bind(tenant.to_string()).bind(window.start.0).bind(window.end.0);
        let query = spans.iter().fold(query, |query, span| query.bind(span.start.0).bind(span.end.0));
        let rows = query.fetch_all(&mut *connection).await?;
        rows.iter()
            .map(|row| {
                let tenant = if by_tenant { Some((parsed(row, "tenant")?, row.try_get("tenant_name")?)) } else { None };
                Ok(RefusalSum { tenant, reason: row.try_get("reason")?, count: count(row, "refusals")? })
            })
            .collect()
    }
}

/// Columns and tables of sums by tenant.
const BY_TENANT: (&str, &str) = ("tenant, tenant_name, ", NAMES);

const NAMES: &str = " JOIN (SELECT id AS tenant, name AS tenant_name FROM tenants) AS named \
    ON named.tenant = refusals_hourly.tenant_id";
