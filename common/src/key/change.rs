//! Creating a key, and changing what it may be used for. Only the keyed hash of its secret gets
//! here.

use super::{
    IpNet, Key, Mode,
    hash::{KeyHash, Pepper},
    row::{audit, insert, present, save},
    secret::Secret,
    validate_restrictions,
};
use crate::{
    id::{KeyId, TenantId},
    name::validate_name,
    store::{Store, StoreError, audit_action::AuditAction, idempotency},
    tenant::row as tenants,
    time::Micros,
};

/// A key to be created.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Whose usage it will be.
    pub tenant: TenantId,
    /// Name shown to people.
    pub name: String,
    /// Live or test.
    pub mode: Mode,
    /// Keyed hash of the secret.
    pub hash: KeyHash,
    /// Id of the pepper that the hash was made with.
    pub pepper_id: String,
    /// The secret's last four characters.
    pub hint: String,
    /// From when on it is refused.
    pub expires_at: Option<Micros>,
    /// Scopes; empty: the key may use every route.
    pub scopes: Vec<String>,
    /// Networks that may use it; empty: every address.
    pub allowed_ips: Vec<IpNet>,
}

/// Changes to a key; a field without a value stays as it is.
#[derive(Debug, Clone, Default)]
pub struct KeyUpdate {
    /// Name shown to people.
    pub name: Option<String>,
    /// Scopes that it may use.
    pub scopes: Option<Vec<String>>,
    /// Networks that may use it.
    pub allowed_ips: Option<Vec<IpNet>>,
}

impl NewKey {
    /// A key with this secret, of the secret's mode, without expiry or restrictions. Only the keyed
    /// hash is kept.
    pub fn new(tenant: TenantId, name: impl Into<String>, secret: &Secret, pepper: &Pepper) -> Self {
        Self {
            tenant,
            name: name.into(),
            mode: secret.mode(),
            hash: pepper.hash(secret),
            pepper_id: pepper.id().to_owned(),
            hint: secret.hint().to_owned(),
            expires_at: None,
            scopes: Vec::new(),
            allowed_ips: Vec::new(),
        }
    }
}

impl Store {
    /// Creates a key. Refused: a bad name, scope or range of addresses, an expiry that has passed.
    /// A conflict: a deleted tenant, a secret that is taken.
    pub async fn create_key(&self, new: &NewKey, now: Micros) -> Result<Key, StoreError> {
        validate(&new.name, &new.scopes, &new.allowed_ips)?;
        if let Some(expiry) = new.expires_at.filter(|expiry| *expiry <= now) {
            return Err(StoreError::refused(format!("the key would have expired at {expiry}, and it is {now} now")));
        }
        let key = Key {
            id: KeyId::generate(),
            tenant: new.tenant,
            name: new.name.clone(),
            mode: new.mode,
            hash: new.hash,
            pepper_id: new.pepper_id.clone(),
            hint: new.hint.clone(),
            created_at: now,
            expires_at: new.expires_at,
            revoked_at: None,
            replaces: None,
            scopes: new.scopes.clone(),
            allowed_ips: new.allowed_ips.clone(),
            last_used_at: None,
            created_by: Some(self.acting.creator()),
            revision: 1,
        };
        let mut change = self.begin_change(now).await?;
        idempotency::refuse_repetition(&mut change).await?;
        tenants::present(&mut change, key.tenant).await?;
        insert(&mut change, &key).await?;
        audit(&mut change, AuditAction::KeyCreate, None, &key).await?;
        idempotency::remember(&mut change, &key.id.to_string()).await?;
        change.commit().await?;
        Ok(key)
    }

    /// Changes a key's name, scopes or addresses. Refused: bad ones. A conflict: a revoked key.
    pub async fn update_key(
        &self,
        id: KeyId,
        update: &KeyUpdate,
        expected_revision: Option<i64>,
        now: Micros,
    ) -> Result<Key, StoreError> {
        let mut change = self.begin_change(now).await?;
        let before = present(&mut change, id).await?;
        StoreError::unless_current("key", &id, before.revision, expected_revision)?;
        if before.revoked_at.is_some() {
            return Err(StoreError::conflict(format!("{id} is revoked: nothing of it can change any more")));
        }
        let mut after = before.clone();
        let KeyUpdate { name, scopes, allowed_ips } = update.clone();
        after.name = name.unwrap_or(after.name);
        after.scopes = scopes.unwrap_or(after.scopes);
        after.allowed_ips = allowed_ips.unwrap_or(after.allowed_ips);
        validate(&after.name, &after.scopes, &after.allowed_ips)?;
        if after == before {
            return Ok(before);
        }
        after.revision += 1;
        save(&mut change, AuditAction::KeyUpdate, &before, &after).await?;
        change.commit().await?;
        Ok(after)
    }
}

fn validate(name: &str, scopes: &[String], allowed_ips: &[IpNet]) -> Result<(), StoreError> {
    validate_name(name).map_err(|error| StoreError::refused(error.to_string()))?;
    validate_restrictions(scopes, allowed_ips).map_err(|error| StoreError::refused(error.to_string()))
}
