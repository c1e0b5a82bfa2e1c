//! Replacing a key, so that whoever uses it can change over.

use super::{
    Key, KeyStatus, ROTATION_GRACE_MAX_SECONDS,
    hash::KeyHash,
    row::{audit, insert, present, save},
};
use crate::{
    id::KeyId,
    store::{Store, StoreError, audit_action::AuditAction, idempotency},
    time::Micros,
};

/// The two keys of a rotation.
#[derive(Debug, Clone)]
pub struct KeyRotation {
    /// The old key, which lives on until its grace has passed.
    pub old: Key,
    /// The new key, with the old one's tenant, name, mode and expiry.
    pub new: Key,
}

impl Store {
    /// Replaces a key: a new one with `hash` takes over the old one's tenant, name, mode and
    /// expiry; the old one ends after `grace_seconds` or at its own expiry, whichever comes first.
    /// Refused: a grace beyond [`crate::key::ROTATION_GRACE_MAX_SECONDS`]. A conflict: a revoked or
    /// expired key.
    pub async fn rotate_key(
        &self,
        id: KeyId,
        hash: KeyHash,
        pepper_id: &str,
        hint: &str,
        grace_seconds: u32,
        now: Micros,
    ) -> Result<KeyRotation, StoreError> {
        let mut change = self.begin_change(now).await?;
        idempotency::refuse_repetition(&mut change).await?;
        let old = present(&mut change, id).await?;
        let status = old.status(now);
        if status != KeyStatus::Active {
            return Err(StoreError::conflict(format!("{id} is {status}: only an active key can be rotated")));
        }
        let ends = end_of_replaced(old.expires_at, grace_seconds, now)?;
        let new = Key {
            id: KeyId::generate(),
            hash,
            pepper_id: pepper_id.to_owned(),
            hint: hint.to_owned(),
            created_at: now,
            replaces: Some(id),
            last_used_at: None,
            created_by: Some(self.acting.creator()),
            revision: 1,
            ..old.clone()
        };
        insert(&mut change, &new).await?;
        audit(&mut change, AuditAction::KeyCreate, None, &new).await?;
        let ended = Key { expires_at: Some(ends), revision: old.revision + 1, ..old.clone() };
        save(&mut change, AuditAction::KeyRotate, &old, &ended).await?;
        idempotency::remember(&mut change, &new.id.to_string()).await?;
        change.commit().await?;
        Ok(KeyRotation { old: ended, new })
    }
}

/// Returns the expiry of a key replaced now: the end of the grace, or its own expiry if that is
/// earlier.
pub(crate) fn end_of_replaced(
    expires_at: Option<Micros>,
    grace_seconds: u32,
    now: Micros,
) -> Result<Micros, StoreError> {
    if grace_seconds > ROTATION_GRACE_MAX_SECONDS {
        return Err(StoreError::refused(format!(
            "a grace of {grace_seconds} s is too long: at most {ROTATION_GRACE_MAX_SECONDS} s are allowed"
        )));
    }
    let grace_end = now.plus_seconds(i64::from(grace_seconds));
    Ok(expires_at.map_or(grace_end, |expiry| expiry.min(grace_end)))
}
