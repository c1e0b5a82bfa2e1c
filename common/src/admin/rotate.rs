//! Replacing an admin key, so that whoever uses it can change over.

use super::{
    AdminKey,
    row::{audit, find, insert},
};
use crate::{
    id::AdminKeyId,
    key::{KeyHash, KeyStatus, end_of_replaced},
    store::{Store, StoreError, audit_action::AuditAction, idempotency},
    time::Micros,
};

/// The two keys of a rotation.
#[derive(Debug, Clone)]
pub struct AdminKeyRotation {
    /// The old key, as it is now.
    pub old: AdminKey,
    /// The new one.
    pub new: AdminKey,
}

impl Store {
    /// Replaces an admin key: a new one with `hash` takes over the old one's tenant, name, role,
    /// scopes and expiry, and ends with the credential that it is made with at the latest; the old
    /// one ends after `grace_seconds` or at its own expiry, whichever comes first. Refused: a grace
    /// beyond [`crate::key::ROTATION_GRACE_MAX_SECONDS`]. A conflict: a revoked or expired key.
    pub async fn rotate_admin_key(
        &self,
        id: AdminKeyId,
        hash: KeyHash,
        pepper_id: &str,
        hint: &str,
        grace_seconds: u32,
        now: Micros,
    ) -> Result<AdminKeyRotation, StoreError> {
        let mut change = self.begin_change(now).await?;
        idempotency::refuse_repetition(&mut change).await?;
        let scope = change.scope();
        let old = find(change.connection(), scope, id).await?;
        change.require(old.tenant, "admin key", &id).await?;
        let status = old.status(now);
        if status != KeyStatus::Active {
            return Err(StoreError::conflict(format!("{id} is {status}: only an active admin key can be rotated")));
        }
        let ends = end_of_replaced(old.expires_at, grace_seconds, now)?;
        let new = AdminKey {
            id: AdminKeyId::generate(),
            hash,
            pepper_id: pepper_id.to_owned(),
            hint: hint.to_owned(),
            created_at: now,
            expires_at: [old.expires_at, self.acting.until].into_iter().flatten().min(),
            last_used_at: None,
            created_by: Some(self.acting.creator()),
            ..old.clone()
        };
        insert(change.connection(), &new).await?;
        audit(&mut change, AuditAction::AdminKeyCreate, None, &new).await?;
        sqlx::query("UPDATE admin_keys SET expires_at = $1 WHERE id = $2")
            .bind(ends.0)
            .bind(id.to_string())
            .execute(change.connection())
            .await?;
        let ended = AdminKey { expires_at: Some(ends), ..old.clone() };
        audit(&mut change, AuditAction::AdminKeyRotate, Some(&old), &ended).await?;
        idempotency::remember(&mut change, &new.id.to_string()).await?;
        change.commit().await?;
        Ok(AdminKeyRotation { old: ended, new })
    }
}
