//! Parents of tenants over time: usage of a month belongs to the tree of that month, wherever its
//! tenant stands today.
//!
//! Invariant: the ranges of a tenant meet. The first one reaches back before everything, the last
//! one has no end and names the parent on the tenant's own row.

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use crate::{
    id::TenantId,
    store::{
        Store, StoreError,
        row::{instant, instant_or_null, parsed},
        spans::{FOREVER_AGO, parents_of},
    },
    time::{Micros, Window},
};

/// A tenant's place under another, over a half-open range of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantParent {
    /// The tenant below.
    pub tenant: TenantId,
    /// The tenant right above it.
    pub parent: TenantId,
    /// The first instant; for the first parent of a tenant the beginning of time.
    pub starts_at: Micros,
    /// The first instant after; none if this is the present parent.
    pub ends_at: Option<Micros>,
}

impl TenantParent {
    /// The range of time as a window.
    pub fn window(&self) -> Window {
        Window { start: self.starts_at, end: self.ends_at.unwrap_or(Micros(i64::MAX)) }
    }
}

impl Store {
    /// Parents of all tenants, past and present, by tenant and start.
    pub async fn tenant_parents(&self) -> Result<Vec<TenantParent>, StoreError> {
        let rows = sqlx::query(
            "SELECT tenant_id, parent_id, starts_at, ends_at FROM tenant_parents ORDER BY tenant_id, starts_at",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }
}

/// Writes down the first parent of a tenant.
pub(super) async fn begin(
    connection: &mut AnyConnection,
    tenant: TenantId,
    parent: TenantId,
) -> Result<(), StoreError> {
    insert(connection, tenant, parent, FOREVER_AGO).await
}

/// Records that a tenant is under `parent` instead of `before` from `now` on, or from the last move
/// of anybody on if the clock has run backwards since: so the tree of every instant is one that
/// there was.
pub(super) async fn change(
    connection: &mut AnyConnection,
    tenant: TenantId,
    before: TenantId,
    parent: TenantId,
    now: Micros,
) -> Result<(), StoreError> {
    let row = sqlx::query("SELECT MAX(starts_at) FROM tenant_parents").fetch_one(&mut *connection).await?;
    let last = row.try_get::<Option<i64>, _>(0)?.map_or(FOREVER_AGO, Micros);
    let from = now.max(last).max(Micros(FOREVER_AGO.0 + 1));
    let replaced = sqlx::query("UPDATE tenant_parents SET parent_id = $1 WHERE tenant_id = $2 AND starts_at = $3")
        .bind(parent.to_string())
        .bind(tenant.to_string())
        .bind(from.0)
        .execute(&mut *connection)
        .await?;
    if replaced.rows_affected() > 0 {
        return Ok(());
    }
    if parents_of(connection, tenant).await?.is_empty() {
        // Written past the store: the parent that it has now is all that is known.
        begin(connection, tenant, before).await?;
    }
    sqlx::query("UPDATE tenant_parents SET ends_at = $1 WHERE tenant_id = $2 AND ends_at IS NULL")
        .bind(from.0)
        .bind(tenant.to_string())
        .execute(&mut *connection)
        .await?;
    insert(connection, tenant, parent, from).await
}

async fn insert(
    connection: &mut AnyConnection,
    tenant: TenantId,
    parent: TenantId,
    from: Micros,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO tenant_parents (tenant_id, parent_id, starts_at) VALUES ($1, $2, $3)")
        .bind(tenant.to_string())
        .bind(parent.to_string())
        .bind(from.0)
        .execute(connection)
        .await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<TenantParent, StoreError> {
    Ok(TenantParent {
        tenant: parsed(row, "tenant_id")?,
        parent: parsed(row, "parent_id")?,
        starts_at: instant(row, "starts_at")?,
        ends_at: instant_or_null(row, "ends_at")?,
    })
}
