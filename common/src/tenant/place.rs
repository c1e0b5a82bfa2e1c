//! The place of a tenant in the tree, and the rules that a place obeys.

use sqlx::{AnyConnection, Row as _};

use super::{
    TENANT_DEPTH_MAX, Tenant, TenantKind,
    row::{Placed, present},
};
use crate::{
    acting::Scope,
    id::TenantId,
    store::{StoreError, scope::PathRange, transaction::ChangeTransaction},
};

/// Place of a tenant in the tree.
pub(super) struct Place {
    pub(super) path: String,
    pub(super) depth: i64,
}

impl Place {
    /// The place that `tenant` asks for, if it may stand there.
    pub(super) async fn of(change: &mut ChangeTransaction, tenant: &Tenant) -> Result<Self, StoreError> {
        match (tenant.kind, tenant.parent) {
            (TenantKind::Root, None) if change.scope() == Scope::Everything => {
                Ok(Self { path: format!("/{}/", tenant.id), depth: 1 })
            }
            (TenantKind::Root, None) => Err(StoreError::refused("a root stands above you: you cannot create one")),
            (TenantKind::Root, Some(parent)) => {
                Err(StoreError::refused(format!("a root stands above all others: it cannot be under {parent}")))
            }
            (kind, None) => Err(StoreError::refused(format!("a {kind} needs a parent: name the tenant it belongs to"))),
            (_, Some(parent)) => Self::under(&present(change, parent).await?, tenant.id, 1),
        }
    }

    /// The place of a tenant right under `parent`, whose own subtree is `height` levels high.
    pub(super) fn under(parent: &Placed, tenant: TenantId, height: i64) -> Result<Self, StoreError> {
        let id = parent.tenant.id;
        if parent.tenant.kind == TenantKind::Customer {
            return Err(StoreError::conflict(format!("{id} is a customer: nobody can be under it")));
        }
        if parent.depth + height > TENANT_DEPTH_MAX {
            return Err(StoreError::conflict(format!(
                "{id} is {} levels down already: a tree has at most {TENANT_DEPTH_MAX}",
                parent.depth
            )));
        }
        Ok(Self { path: format!("{}{tenant}/", parent.path), depth: parent.depth + 1 })
    }
}

/// Levels of the subtree, the tenant's own counted.
pub(super) async fn height(connection: &mut AnyConnection, top: &Placed) -> Result<i64, StoreError> {
    let paths = PathRange::below(&top.path);
    let row = sqlx::query("SELECT MAX(depth) AS deepest FROM tenants WHERE path >= $1 AND path < $2")
        .bind(paths.from)
        .bind(paths.before)
        .fetch_one(connection)
        .await?;
    Ok(row.try_get::<i64, _>("deepest")? - top.depth + 1)
}

pub(super) async fn rewrite_paths(
    connection: &mut AnyConnection,
    moved: &Placed,
    place: &Place,
) -> Result<(), StoreError> {
    let paths = PathRange::below(&moved.path);
    let behind = i64::try_from(moved.path.len()).unwrap_or(i64::MAX) + 1;
    sqlx::query(
        "UPDATE tenants SET path = CAST($1 AS TEXT) || substr(path, CAST($2 AS INTEGER)), depth = depth + $3 \
         WHERE path >= $4 AND path < $5",
    )
    .bind(&place.path)
    .bind(behind)
    .bind(place.depth - moved.depth)
    .bind(paths.from)
    .bind(paths.before)
    .execute(connection)
    .await?;
    Ok(())
}
