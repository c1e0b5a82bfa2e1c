//! Revoking keys: one that is asked for, those of a tenant that goes, and those whose makers are
//! above it no more.

use sqlx::any::AnyRow;

use super::{
    Key,
    row::{present, read, save, select_keys},
};
use crate::{
    id::{AdminKeyId, KeyId, TenantId},
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        scope::{PathRange, Viewer},
        transaction::ChangeTransaction,
    },
    time::Micros,
};

impl Store {
    /// Revokes a key; a second time changes nothing.
    pub async fn revoke_key(&self, id: KeyId, now: Micros) -> Result<Key, StoreError> {
        let mut change = self.begin_change(now).await?;
        let before = present(&mut change, id).await?;
        if before.revoked_at.is_some() {
            return Ok(before);
        }
        let after = revoke(&mut change, &before).await?;
        change.commit().await?;
        Ok(after)
    }
}

/// Revokes what keys a tenant has.
pub(crate) async fn revoke_all(change: &mut ChangeTransaction, tenant: TenantId) -> Result<(), StoreError> {
    let rows = sqlx::query(select_keys!("WHERE tenant_id = $1 AND revoked_at IS NULL ORDER BY keys.created_seq"))
        .bind(tenant.to_string())
        .fetch_all(change.connection())
        .await?;
    revoke_rows(change, &rows).await
}

/// Revokes the keys of a subtree whose makers hold their role at a tenant that is not above it.
pub(crate) async fn revoke_of_strangers(change: &mut ChangeTransaction, subtree: &PathRange) -> Result<(), StoreError> {
    let rows = sqlx::query(select_keys!(
        "JOIN tenants ON tenants.id = keys.tenant_id WHERE tenants.path >= $1 AND tenants.path < $2 \
         AND revoked_at IS NULL AND substr(tenants.path, 1, length(makers.path)) <> makers.path \
         ORDER BY keys.created_seq"
    ))
    .bind(&subtree.from)
    .bind(&subtree.before)
    .fetch_all(change.connection())
    .await?;
    revoke_rows(change, &rows).await
}

/// Revokes the keys of a subtree that were made with this admin key.
pub(crate) async fn revoke_made_with(
    change: &mut ChangeTransaction,
    maker: AdminKeyId,
    subtree: &PathRange,
) -> Result<(), StoreError> {
    let rows = sqlx::query(select_keys!(
        "JOIN tenants ON tenants.id = keys.tenant_id WHERE tenants.path >= $1 AND tenants.path < $2 \
         AND revoked_at IS NULL AND creator = $3 AND creator_kind = 'admin_key' ORDER BY keys.created_seq"
    ))
    .bind(&subtree.from)
    .bind(&subtree.before)
    .bind(maker.to_string())
    .fetch_all(change.connection())
    .await?;
    revoke_rows(change, &rows).await
}

async fn revoke_rows(change: &mut ChangeTransaction, rows: &[AnyRow]) -> Result<(), StoreError> {
    let scope = change.scope();
    let viewer = Viewer::of(change.connection(), scope).await?;
    for row in rows {
        revoke(change, &read(row, &viewer)?).await?;
    }
    Ok(())
}

async fn revoke(change: &mut ChangeTransaction, before: &Key) -> Result<Key, StoreError> {
    let after = Key { revoked_at: Some(change.now()), revision: before.revision + 1, ..before.clone() };
    save(change, AuditAction::KeyRevoke, before, &after).await?;
    Ok(after)
}
