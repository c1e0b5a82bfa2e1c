//! The times at which a tenant was under another, out of the parents of tenants over time.
//!
//! It stands here and not with tenants, as the audit log, which every noun writes to, is read by
//! it.

use sqlx::AnyConnection;

use super::{
    error::StoreError,
    row::{instant, instant_or_null, parsed},
};
use crate::{
    id::TenantId,
    time::{Micros, Window},
};

/// The beginning of time: since when the first parent of a tenant counts.
pub(crate) const FOREVER_AGO: Micros = Micros(i64::MIN);

/// Ranges of a tenant under one that was ever above it are followed through at most this many
/// moves; far more than anybody makes, it ends a circle that only a damaged store can hold.
const SPANS_MAX: usize = 10_000;

/// Everybody below a tenant, each at the times at which it was there: `UNION` keeps every range
/// once, so that this ends whatever the table holds.
const BELOW: &str = " UNION SELECT below.tenant_id, \
    CASE WHEN below.starts_at > spans.from_at THEN below.starts_at ELSE spans.from_at END, \
    CASE WHEN below.ends_at < spans.to_at THEN below.ends_at ELSE spans.to_at END \
    FROM spans JOIN tenant_parents below ON below.parent_id = spans.tenant_id \
    WHERE below.starts_at < spans.to_at AND (below.ends_at IS NULL OR below.ends_at > spans.from_at)";

/// Begins a statement with the table `spans` (`tenant_id`, `from_at`, `to_at`): tenants at the times that
/// `known` lists, and everybody below them if asked for. Each row of `known` is a tenant, a start and an
/// end, as text of the statement whose type is plain.
pub(crate) fn table(known: &[[String; 3]], subtree: bool) -> String {
    let rows: Vec<String> = known.iter().map(|row| format!("({})", row.join(", "))).collect();
    format!(
        "WITH RECURSIVE spans (tenant_id, from_at, to_at) AS (SELECT id, column2, column3 FROM (VALUES {}) AS known \
         JOIN tenants ON id = column1{}) ",
        rows.join(", "),
        if subtree { BELOW } else { "" }
    )
}

/// The ranges of time in which `tenant` was under `above`, in order; all of time if it is the same
/// tenant.
pub(crate) async fn spans_under(
    connection: &mut AnyConnection,
    tenant: TenantId,
    above: TenantId,
) -> Result<Vec<Window>, StoreError> {
    let mut spans = Vec::new();
    let always = Window { start: FOREVER_AGO, end: Micros(i64::MAX) };
    let mut open = vec![(tenant, always)];
    for _ in 0..SPANS_MAX {
        let Some((tenant, span)) = open.pop() else { break };
        if tenant == above {
            spans.push(span);
            continue;
        }
        for (parent, window) in parents_of(connection, tenant).await? {
            let (start, end) = (window.start.max(span.start), window.end.min(span.end));
            if start < end {
                open.push((parent, Window { start, end }));
            }
        }
    }
    spans.sort_unstable_by_key(|span| span.start);
    Ok(spans)
}

/// The parents of a tenant over time, in order.
pub(crate) async fn parents_of(
    connection: &mut AnyConnection,
    tenant: TenantId,
) -> Result<Vec<(TenantId, Window)>, StoreError> {
    let rows =
        sqlx::query("SELECT parent_id, starts_at, ends_at FROM tenant_parents WHERE tenant_id = $1 ORDER BY starts_at")
            .bind(tenant.to_string())
            .fetch_all(connection)
            .await?;
    rows.iter()
        .map(|row| {
            let (start, end) = (instant(row, "starts_at")?, instant_or_null(row, "ends_at")?);
            Ok((parsed(row, "parent_id")?, Window { start, end: end.unwrap_or(Micros(i64::MAX)) }))
        })
        .collect()
}
