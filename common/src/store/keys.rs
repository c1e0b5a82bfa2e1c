//! Keys in the store. The secret never gets here, only its keyed hash.

use super::{Store, StoreError};
use crate::{
    id::{KeyId, TenantId},
    key::{Key, KeyHash, Mode},
    time::Micros,
};

/// A key to be created.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Whose usage it will be.
    pub tenant: TenantId,
    /// What people call it.
    pub name: String,
    /// Live or test.
    pub mode: Mode,
    /// Keyed hash of the secret.
    pub hash: KeyHash,
    /// Which pepper the hash was made with.
    pub pepper_id: String,
    /// The secret's last four characters.
    pub hint: String,
    /// From when on it is refused.
    pub expires_at: Option<Micros>,
}

/// The two keys of a rotation.
#[derive(Debug, Clone)]
pub struct KeyRotation {
    /// The old key, which lives on until its grace has passed.
    pub old: Key,
    /// The new key, with the old one's tenant, name, mode and expiry.
    pub new: Key,
}

impl Store {
    /// Creates a key. Refused: a bad name, an unknown tenant, an expiry that has passed.
    pub async fn create_key(&self, new: &NewKey, now: Micros) -> Result<Key, StoreError> {
        let _ = (new, now);
        todo!()
    }

    /// The key with this id.
    pub async fn key(&self, id: KeyId) -> Result<Key, StoreError> {
        let _ = id;
        todo!()
    }

    /// The keys of a tenant, or all keys, by creation.
    pub async fn keys(&self, tenant: Option<TenantId>) -> Result<Vec<Key>, StoreError> {
        let _ = tenant;
        todo!()
    }

    /// Replaces a key: a new one with `hash` takes over the old one's tenant, name, mode and expiry; the old one ends
    /// after `grace_seconds` or at its own expiry, whichever comes first. Refused: a revoked or expired key, a grace
    /// beyond [`crate::key::ROTATION_GRACE_MAX_SECONDS`].
    pub async fn rotate_key(
        &self,
        id: KeyId,
        hash: KeyHash,
        pepper_id: &str,
        hint: &str,
        grace_seconds: u32,
        now: Micros,
    ) -> Result<KeyRotation, StoreError> {
        let _ = (id, hash, pepper_id, hint, grace_seconds, now);
        todo!()
    }

    /// Revokes a key; a second time changes nothing.
    pub async fn revoke_key(&self, id: KeyId, now: Micros) -> Result<Key, StoreError> {
        let _ = (id, now);
        todo!()
    }
}
