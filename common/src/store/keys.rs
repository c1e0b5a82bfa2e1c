//! Keys in the store. The secret never gets here, only its keyed hash.

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{
    Changed, Store, StoreError,
    row::{corrupt, instant, instant_or_null, parsed, parsed_or_null},
    tenants,
    transaction::ChangeTransaction,
};
use crate::{
    id::{KeyId, TenantId},
    key::{Key, KeyHash, KeyStatus, Mode, ROTATION_GRACE_MAX_SECONDS},
    tenant::validate_name,
    time::Micros,
};

macro_rules! select_keys {
    ($rest:literal) => {
        concat!(
            "SELECT id, tenant_id, name, mode, hash, pepper_id, hint, created_at, expires_at, revoked_at, replaces_id \
             FROM keys ",
            $rest
        )
    };
}

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
    /// Creates a key. Refused: a bad name, an unknown tenant, an expiry that has passed, a secret that is taken.
    pub async fn create_key(&self, new: &NewKey, now: Micros) -> Result<Key, StoreError> {
        validate_name(&new.name).map_err(|error| StoreError::refused(error.to_string()))?;
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
        };
        let mut change = self.begin_change(now).await?;
        tenants::find(change.connection(), key.tenant).await?;
        insert(&mut change, &key).await?;
        change.commit().await?;
        Ok(key)
    }

    /// The key with this id.
    pub async fn key(&self, id: KeyId) -> Result<Key, StoreError> {
        let mut connection = self.pool.acquire().await?;
        find(&mut connection, id).await
    }

    /// The keys of a tenant, or all keys, by creation.
    pub async fn keys(&self, tenant: Option<TenantId>) -> Result<Vec<Key>, StoreError> {
        let query = match tenant {
            Some(tenant) => {
                sqlx::query(select_keys!("WHERE tenant_id = $1 ORDER BY created_seq")).bind(tenant.to_string())
            }
            None => sqlx::query(select_keys!("ORDER BY created_seq")),
        };
        query.fetch_all(&self.pool).await?.iter().map(read).collect()
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
        if grace_seconds > ROTATION_GRACE_MAX_SECONDS {
            return Err(StoreError::refused(format!(
                "a grace of {grace_seconds} s is too long: at most {ROTATION_GRACE_MAX_SECONDS} s are allowed"
            )));
        }
        let mut change = self.begin_change(now).await?;
        let old = find(change.connection(), id).await?;
        let status = old.status(now);
        if status != KeyStatus::Active {
            return Err(StoreError::refused(format!("{id} is {status}: only an active key can be rotated")));
        }
        let new = Key {
            id: KeyId::generate(),
            hash,
            pepper_id: pepper_id.to_owned(),
            hint: hint.to_owned(),
            created_at: now,
            replaces: Some(id),
            ..old.clone()
        };
        insert(&mut change, &new).await?;
        let grace_end = now.plus_seconds(i64::from(grace_seconds));
        let ends = old.expires_at.map_or(grace_end, |expiry| expiry.min(grace_end));
        sqlx::query("UPDATE keys SET expires_at = $1 WHERE id = $2")
            .bind(ends.0)
            .bind(id.to_string())
            .execute(change.connection())
            .await?;
        change.record(Changed::Key(id)).await?;
        change.commit().await?;
        Ok(KeyRotation { old: Key { expires_at: Some(ends), ..old }, new })
    }

    /// Revokes a key; a second time changes nothing.
    pub async fn revoke_key(&self, id: KeyId, now: Micros) -> Result<Key, StoreError> {
        let mut change = self.begin_change(now).await?;
        let key = find(change.connection(), id).await?;
        if key.revoked_at.is_some() {
            return Ok(key);
        }
        sqlx::query("UPDATE keys SET revoked_at = $1 WHERE id = $2")
            .bind(now.0)
            .bind(id.to_string())
            .execute(change.connection())
            .await?;
        change.record(Changed::Key(id)).await?;
        change.commit().await?;
        Ok(Key { revoked_at: Some(now), ..key })
    }
}

/// Keys that were not revoked and did not expire before `cutoff`.
pub(super) async fn served_since(connection: &mut AnyConnection, cutoff: Micros) -> Result<Vec<Key>, StoreError> {
    let rows = sqlx::query(select_keys!(
        "WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1) ORDER BY created_seq"
    ))
    .bind(cutoff.0)
    .fetch_all(connection)
    .await?;
    rows.iter().map(read).collect()
}

async fn insert(change: &mut ChangeTransaction, key: &Key) -> Result<(), StoreError> {
    let seq = change.record(Changed::Key(key.id)).await?;
    let inserted = sqlx::query(
        "INSERT INTO keys (id, tenant_id, name, mode, hash, pepper_id, hint, created_seq, created_at, expires_at, \
         replaces_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(key.id.to_string())
    .bind(key.tenant.to_string())
    .bind(&key.name)
    .bind(key.mode.as_str())
    .bind(key.hash.to_hex())
    .bind(&key.pepper_id)
    .bind(&key.hint)
    .bind(seq)
    .bind(key.created_at.0)
    .bind(key.expires_at.map(|expiry| expiry.0))
    .bind(key.replaces.map(|replaced| replaced.to_string()))
    .execute(change.connection())
    .await;
    match inserted {
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
            Err(StoreError::refused("another key has this secret already: generate a new one"))
        }
        other => Ok(other.map(drop)?),
    }
}

async fn find(connection: &mut AnyConnection, id: KeyId) -> Result<Key, StoreError> {
    let row = sqlx::query(select_keys!("WHERE id = $1")).bind(id.to_string()).fetch_optional(connection).await?;
    read(&row.ok_or_else(|| StoreError::not_found("key", &id))?)
}

fn read(row: &AnyRow) -> Result<Key, StoreError> {
    let hash: String = row.try_get("hash")?;
    Ok(Key {
        id: parsed(row, "id")?,
        tenant: parsed(row, "tenant_id")?,
        name: row.try_get("name")?,
        mode: parsed(row, "mode")?,
        hash: KeyHash::from_hex(&hash).ok_or_else(|| corrupt("key hash", "it is not 64 hex digits"))?,
        pepper_id: row.try_get("pepper_id")?,
        hint: row.try_get("hint")?,
        created_at: instant(row, "created_at")?,
        expires_at: instant_or_null(row, "expires_at")?,
        revoked_at: instant_or_null(row, "revoked_at")?,
        replaces: parsed_or_null(row, "replaces_id")?,
    })
}
