//! Admin keys in the store: only the keyed hash of the secret gets here.

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{
    Store, StoreError,
    audit_log::{Audited, state},
    idempotency,
    row::{corrupt, instant, instant_or_null, list, parsed},
    scope::PathRange,
    tenants,
    transaction::ChangeTransaction,
};
use crate::{
    admin::{AdminKey, AdminScope, Role},
    id::{AdminKeyId, TenantId},
    key::KeyHash,
    tenant::validate_name,
    time::Micros,
};

macro_rules! select_admin_keys {
    ($rest:literal) => {
        concat!(
            "SELECT admin_keys.id, tenant_id, admin_keys.name, role, scopes, hash, pepper_id, hint, \
             admin_keys.created_at, expires_at, revoked_at, last_used_at FROM admin_keys ",
            $rest
        )
    };
}

/// An admin key to be created.
#[derive(Debug, Clone)]
pub struct NewAdminKey {
    /// Where its role is held.
    pub tenant: TenantId,
    /// What people call it.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// What of the role it is narrowed to; empty: all of it.
    pub scopes: Vec<AdminScope>,
    /// Keyed hash of the secret.
    pub hash: KeyHash,
    /// Which pepper the hash was made with.
    pub pepper_id: String,
    /// The secret's last four characters.
    pub hint: String,
    /// From when on it is refused.
    pub expires_at: Option<Micros>,
}

impl Store {
    /// Creates an admin key. Refused: a bad name, an expiry that has passed. A conflict: a deleted tenant.
    pub async fn create_admin_key(&self, new: &NewAdminKey, now: Micros) -> Result<AdminKey, StoreError> {
        validate_name(&new.name).map_err(|error| StoreError::refused(error.to_string()))?;
        if let Some(expiry) = new.expires_at.filter(|expiry| *expiry <= now) {
            return Err(StoreError::refused(format!("the key would have expired at {expiry}, and it is {now} now")));
        }
        let key = AdminKey {
            id: AdminKeyId::generate(),
            tenant: new.tenant,
            name: new.name.clone(),
            role: new.role,
            scopes: new.scopes.clone(),
            hash: new.hash,
            pepper_id: new.pepper_id.clone(),
            hint: new.hint.clone(),
            created_at: now,
            expires_at: new.expires_at,
            revoked_at: None,
            last_used_at: None,
        };
        let mut change = self.begin_change(now).await?;
        idempotency::refuse_repetition(&mut change).await?;
        tenants::present(&mut change, key.tenant).await?;
        insert(change.connection(), &key).await?;
        audit(&mut change, "admin_key.create", None, &key).await?;
        idempotency::remember(&mut change, &key.id.to_string()).await?;
        change.commit().await?;
        Ok(key)
    }

    /// The admin keys at a tenant and below it, or all that exist for whoever acts; by creation, revoked ones too.
    pub async fn admin_keys(&self, subtree_of: Option<TenantId>) -> Result<Vec<AdminKey>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let paths = PathRange::within(&mut connection, self.acting.scope, subtree_of).await?;
        let rows = sqlx::query(select_admin_keys!(
            "JOIN tenants ON tenants.id = tenant_id WHERE path >= $1 AND path < $2 ORDER BY admin_keys.created_at, \
             admin_keys.id"
        ))
        .bind(paths.from)
        .bind(paths.before)
        .fetch_all(&mut *connection)
        .await?;
        rows.iter().map(read).collect()
    }

    /// The admin key with this id.
    pub async fn admin_key(&self, id: AdminKeyId) -> Result<AdminKey, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let key = find(&mut connection, id).await?;
        if super::scope::holds_tenant(&mut connection, self.acting.scope, key.tenant).await? {
            return Ok(key);
        }
        Err(StoreError::not_found("admin key", &id))
    }

    /// The admin key whose secret has this hash, if there is one; it may have expired or been revoked.
    pub async fn admin_key_by_hash(&self, hash: &KeyHash) -> Result<Option<AdminKey>, StoreError> {
        let row =
            sqlx::query(select_admin_keys!("WHERE hash = $1")).bind(hash.to_hex()).fetch_optional(&self.pool).await?;
        Ok(row.as_ref().map(read).transpose()?.filter(|key| key.hash.matches(hash)))
    }

    /// Whether there ever was an admin key.
    pub async fn has_admin_keys(&self) -> Result<bool, StoreError> {
        Ok(sqlx::query("SELECT id FROM admin_keys LIMIT 1").fetch_optional(&self.pool).await?.is_some())
    }

    /// Notes in which minute an admin key was last accepted. One that is not known is passed over; nothing moves back.
    pub async fn touch_admin_key(&self, id: AdminKeyId, minute: Micros) -> Result<(), StoreError> {
        let mut write = self.begin_write().await?;
        sqlx::query("UPDATE admin_keys SET last_used_at = $1 WHERE id = $2 AND COALESCE(last_used_at, 0) < $1")
            .bind(minute.0)
            .bind(id.to_string())
            .execute(write.connection())
            .await?;
        write.commit().await
    }

    /// Revokes an admin key; a second time changes nothing.
    pub async fn revoke_admin_key(&self, id: AdminKeyId, now: Micros) -> Result<AdminKey, StoreError> {
        let mut change = self.begin_change(now).await?;
        let before = find(change.connection(), id).await?;
        change.require(before.tenant, "admin key", &id).await?;
        if before.revoked_at.is_some() {
            return Ok(before);
        }
        sqlx::query("UPDATE admin_keys SET revoked_at = $1 WHERE id = $2")
            .bind(now.0)
            .bind(id.to_string())
            .execute(change.connection())
            .await?;
        let after = AdminKey { revoked_at: Some(now), ..before.clone() };
        audit(&mut change, "admin_key.revoke", Some(&before), &after).await?;
        change.commit().await?;
        Ok(after)
    }
}

async fn insert(connection: &mut AnyConnection, key: &AdminKey) -> Result<(), StoreError> {
    let scopes: Vec<_> = key.scopes.iter().map(ToString::to_string).collect();
    sqlx::query(
        "INSERT INTO admin_keys (id, tenant_id, name, role, scopes, hash, pepper_id, hint, created_at, expires_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(key.id.to_string())
    .bind(key.tenant.to_string())
    .bind(&key.name)
    .bind(key.role.as_str())
    .bind(scopes.join(" "))
    .bind(key.hash.to_hex())
    .bind(&key.pepper_id)
    .bind(&key.hint)
    .bind(key.created_at.0)
    .bind(key.expires_at.map(|expiry| expiry.0))
    .execute(connection)
    .await?;
    Ok(())
}

async fn audit(
    change: &mut ChangeTransaction,
    action: &str,
    before: Option<&AdminKey>,
    after: &AdminKey,
) -> Result<(), StoreError> {
    let before = before.map(state).transpose()?.flatten();
    let (subject, tenant) = (after.id.to_string(), Some(after.tenant));
    change.audit(Audited { action, subject_kind: "admin_key", subject, tenant, before, after: state(after)? }).await
}

async fn find(connection: &mut AnyConnection, id: AdminKeyId) -> Result<AdminKey, StoreError> {
    let row = sqlx::query(select_admin_keys!("WHERE id = $1")).bind(id.to_string()).fetch_optional(connection).await?;
    read(&row.ok_or_else(|| StoreError::not_found("admin key", &id))?)
}

fn read(row: &AnyRow) -> Result<AdminKey, StoreError> {
    let hash: String = row.try_get("hash")?;
    Ok(AdminKey {
        id: parsed(row, "id")?,
        tenant: parsed(row, "tenant_id")?,
        name: row.try_get("name")?,
        role: parsed(row, "role")?,
        scopes: list(row, "scopes")?,
        hash: KeyHash::from_hex(&hash).ok_or_else(|| corrupt("admin key hash", "it is not 64 hex digits"))?,
        pepper_id: row.try_get("pepper_id")?,
        hint: row.try_get("hint")?,
        created_at: instant(row, "created_at")?,
        expires_at: instant_or_null(row, "expires_at")?,
        revoked_at: instant_or_null(row, "revoked_at")?,
        last_used_at: instant_or_null(row, "last_used_at")?,
    })
}
