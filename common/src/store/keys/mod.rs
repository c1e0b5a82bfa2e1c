//! Keys in the store. The secret never gets here, only its keyed hash.

mod revoke;
mod row;

use sqlx::Row as _;

use self::row::{audit, find, insert, present, read, save, select_keys};
pub(super) use self::{
    revoke::{revoke_all, revoke_made_with, revoke_of_strangers},
    row::served_since,
};
use super::{
    AuditAction, Page, PageRequest, Store, StoreError,
    booking::{Value, insert_rows},
    idempotency,
    scope::{self, PathRange, Viewer},
    search::NamePattern,
    tenants,
    transaction::ChangeTransaction,
};
use crate::{
    id::{KeyId, TenantId},
    key::{IpNet, Key, KeyHash, KeyStatus, Mode, ROTATION_GRACE_MAX_SECONDS, validate_restrictions},
    tenant::validate_name,
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
    /// What it may be used for; empty: every route.
    pub scopes: Vec<String>,
    /// Where it may be used from; empty: from anywhere.
    pub allowed_ips: Vec<IpNet>,
}

/// What is to be changed of a key; nothing else is.
#[derive(Debug, Clone, Default)]
pub struct KeyUpdate {
    /// What people call it.
    pub name: Option<String>,
    /// What it may be used for.
    pub scopes: Option<Vec<String>>,
    /// Where it may be used from.
    pub allowed_ips: Option<Vec<IpNet>>,
}

/// Which keys.
#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    /// Of one tenant.
    pub tenant: Option<TenantId>,
    /// Of a tenant and everybody below it.
    pub subtree_of: Option<TenantId>,
    /// Those that stand so at an instant.
    pub status: Option<(KeyStatus, Micros)>,
    /// Those whose name contains this text, in letters of either case.
    pub name: Option<String>,
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
    /// Creates a key. Refused: a bad name, scope or range of addresses, an expiry that has passed. A conflict: a deleted
    /// tenant, a secret that is taken.
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

    /// The key with this id.
    pub async fn key(&self, id: KeyId) -> Result<Key, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let key = find(&mut connection, self.acting.scope, id).await?;
        if scope::holds_tenant(&mut connection, self.acting.scope, key.tenant).await? {
            return Ok(key);
        }
        Err(StoreError::not_found("key", &id))
    }

    /// The key whose secret has this hash, as far as it exists for whoever acts; it may have expired or been revoked.
    pub async fn key_by_hash(&self, hash: &KeyHash) -> Result<Option<Key>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let query = sqlx::query(select_keys!("WHERE hash = $1")).bind(hash.to_hex());
        let Some(row) = query.fetch_optional(&mut *connection).await? else {
            return Ok(None);
        };
        let viewer = Viewer::of(&mut connection, self.acting.scope).await?;
        let key = read(&row, &viewer)?;
        let is_there = scope::holds_tenant(&mut connection, self.acting.scope, key.tenant).await?;
        Ok(Some(key).filter(|key| is_there && key.hash.matches(hash)))
    }

    /// The keys of a tenant, or all keys, by creation.
    pub async fn keys(&self, tenant: Option<TenantId>) -> Result<Vec<Key>, StoreError> {
        let filter = KeyFilter { tenant, ..KeyFilter::default() };
        Ok(self.keys_page(&filter, PageRequest { after: None, limit: u32::MAX }).await?.items)
    }

    /// Keys, by creation.
    pub async fn keys_page(&self, filter: &KeyFilter, page: PageRequest) -> Result<Page<Key>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let paths = PathRange::within(&mut connection, self.acting.scope, filter.subtree_of).await?;
        let names = NamePattern::of(filter.name.as_deref());
        let (status, now) = filter.status.map_or((String::new(), Micros(0)), |(status, now)| (status.to_string(), now));
        let rows = sqlx::query(select_keys!(
            "JOIN tenants ON tenants.id = keys.tenant_id \
             WHERE tenants.path >= $1 AND tenants.path < $2 AND keys.created_seq > $3 \
             AND ($4 = '' OR keys.tenant_id = $4) AND ($5 = '' OR $5 = CASE WHEN revoked_at IS NOT NULL THEN 'revoked' \
             WHEN expires_at <= $6 THEN 'expired' ELSE 'active' END) \
             AND (lower(keys.name) LIKE $7 ESCAPE '!' OR lower(keys.name) LIKE $8 ESCAPE '!' \
             OR lower(keys.name) LIKE $9 ESCAPE '!') ORDER BY keys.created_seq LIMIT $10"
        ))
        .bind(paths.from)
        .bind(paths.before)
        .bind(page.begin())
        .bind(filter.tenant.map(|tenant| tenant.to_string()).unwrap_or_default())
        .bind(status)
        .bind(now.0)
        .bind(names.as_written)
        .bind(names.lower)
        .bind(names.upper)
        .bind(page.rows())
        .fetch_all(&mut *connection)
        .await?;
        let viewer = Viewer::of(&mut connection, self.acting.scope).await?;
        let found: Result<Vec<_>, StoreError> =
            rows.iter().map(|row| Ok((row.try_get("created_seq")?, read(row, &viewer)?))).collect();
        Ok(page.page(found?))
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

    /// Notes when gateways last accepted keys. Each is named once; those that are not known are passed over, and
    /// nothing moves back.
    pub async fn touch_keys(&self, used: &[(KeyId, Micros)]) -> Result<(), StoreError> {
        // In one order, as gateways that note the same keys at once would else lock them crosswise.
        let mut used = used.to_vec();
        used.sort_unstable();
        let used: Vec<_> = used.iter().map(|(id, at)| [Value::Text(id.to_string()), Value::Number(at.0)]).collect();
        let (head, tail) = (
            "WITH used (id, at) AS (",
            ") UPDATE keys SET last_used_at = used.at FROM used WHERE keys.id = used.id \
             AND COALESCE(keys.last_used_at, 0) < used.at",
        );
        let mut write = self.begin_write().await?;
        insert_rows(write.connection(), head, tail, &used).await?;
        write.commit().await
    }

    /// Replaces a key: a new one with `hash` takes over the old one's tenant, name, mode and expiry; the old one ends
    /// after `grace_seconds` or at its own expiry, whichever comes first. Refused: a grace beyond
    /// [`crate::key::ROTATION_GRACE_MAX_SECONDS`]. A conflict: a revoked or expired key.
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

/// When a key ends that is replaced now: after the grace, or at its own expiry if that is before.
pub(super) fn end_of_replaced(
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

async fn revoke(change: &mut ChangeTransaction, before: &Key) -> Result<Key, StoreError> {
    let after = Key { revoked_at: Some(change.now()), revision: before.revision + 1, ..before.clone() };
    save(change, AuditAction::KeyRevoke, before, &after).await?;
    Ok(after)
}

fn validate(name: &str, scopes: &[String], allowed_ips: &[IpNet]) -> Result<(), StoreError> {
    validate_name(name).map_err(|error| StoreError::refused(error.to_string()))?;
    validate_restrictions(scopes, allowed_ips).map_err(|error| StoreError::refused(error.to_string()))
}
