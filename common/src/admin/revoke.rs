//! Revoking admin keys, with those that were made with them.

use sqlx::any::AnyRow;

use super::{
    AdminKey,
    row::{audit, find, read, select_admin_keys},
};
use crate::{
    id::{AdminKeyId, TenantId},
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        scope::{PathRange, Viewer},
        transaction::ChangeTransaction,
    },
    time::Micros,
};

impl Store {
    /// Revokes an admin key, and those that were made with it: nothing that it gave outlives it. A
    /// second time changes nothing.
    pub async fn revoke_admin_key(&self, id: AdminKeyId, now: Micros) -> Result<AdminKey, StoreError> {
        let mut change = self.begin_change(now).await?;
        let scope = change.scope();
        let before = find(change.connection(), scope, id).await?;
        change.require(before.tenant, "admin key", &id).await?;
        if before.revoked_at.is_some() {
            return Ok(before);
        }
        let after = revoke(&mut change, &before).await?;
        revoke_descent(&mut change, vec![id]).await?;
        change.commit().await?;
        Ok(after)
    }
}

/// Revokes the admin keys of a tenant, and those that were made with them.
pub(crate) async fn revoke_all(change: &mut ChangeTransaction, tenant: TenantId) -> Result<(), StoreError> {
    let rows =
        sqlx::query(select_admin_keys!("WHERE tenant_id = $1 AND revoked_at IS NULL ORDER BY admin_keys.created_seq"))
            .bind(tenant.to_string())
            .fetch_all(change.connection())
            .await?;
    let revoked = revoke_rows(change, &rows).await?;
    revoke_descent(change, revoked).await.map(drop)
}

/// Revokes the admin keys of a subtree whose makers hold their role at a tenant that is not above
/// it, and those that were made with them; returns all of them.
pub(crate) async fn revoke_of_strangers(
    change: &mut ChangeTransaction,
    subtree: &PathRange,
) -> Result<Vec<AdminKeyId>, StoreError> {
    let rows = sqlx::query(select_admin_keys!(
        "JOIN tenants ON tenants.id = tenant_id WHERE tenants.path >= $1 AND tenants.path < $2 \
         AND revoked_at IS NULL AND substr(tenants.path, 1, length(makers.path)) <> makers.path \
         ORDER BY admin_keys.created_seq"
    ))
    .bind(&subtree.from)
    .bind(&subtree.before)
    .fetch_all(change.connection())
    .await?;
    let revoked = revoke_rows(change, &rows).await?;
    revoke_descent(change, revoked).await
}

/// Revokes the admin keys that were made with these, and those that were made with them in turn;
/// returns all of them.
async fn revoke_descent(
    change: &mut ChangeTransaction,
    mut makers: Vec<AdminKeyId>,
) -> Result<Vec<AdminKeyId>, StoreError> {
    let mut next = 0;
    while let Some(maker) = makers.get(next).map(ToString::to_string) {
        let rows = sqlx::query(select_admin_keys!(
            "WHERE creator = $1 AND creator_kind = 'admin_key' AND revoked_at IS NULL ORDER BY admin_keys.created_seq"
        ))
        .bind(maker)
        .fetch_all(change.connection())
        .await?;
        makers.extend(revoke_rows(change, &rows).await?);
        next += 1;
    }
    Ok(makers)
}

async fn revoke_rows(change: &mut ChangeTransaction, rows: &[AnyRow]) -> Result<Vec<AdminKeyId>, StoreError> {
    let scope = change.scope();
    let viewer = Viewer::of(change.connection(), scope).await?;
    let mut revoked = Vec::with_capacity(rows.len());
    for row in rows {
        revoked.push(revoke(change, &read(row, &viewer)?).await?.id);
    }
    Ok(revoked)
}

async fn revoke(change: &mut ChangeTransaction, before: &AdminKey) -> Result<AdminKey, StoreError> {
    let now = change.now();
    sqlx::query("UPDATE admin_keys SET revoked_at = $1 WHERE id = $2")
        .bind(now.0)
        .bind(before.id.to_string())
        .execute(change.connection())
        .await?;
    let after = AdminKey { revoked_at: Some(now), ..before.clone() };
    audit(change, AuditAction::AdminKeyRevoke, Some(before), &after).await?;
    Ok(after)
}
