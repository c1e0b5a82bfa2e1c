//! Admin keys in the store: only the keyed hash of the secret gets here.

mod rotate;

pub use rotate::AdminKeyRotation;
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{
    Page, PageRequest, Store, StoreError,
    audit_log::{AuditAction, Audited, state},
    idempotency,
    row::{corrupt, instant, instant_or_null, list, parsed},
    scope::{PathRange, Viewer},
    search::NamePattern,
    tenants,
    transaction::ChangeTransaction,
};
use crate::{
    acting::{ActorKind, Scope},
    admin::{AdminKey, AdminScope, Role, validate_scopes},
    id::{AdminKeyId, TenantId},
    key::KeyHash,
    tenant::validate_name,
    time::Micros,
};

macro_rules! select_admin_keys {
    ($rest:literal) => {
        concat!(
            "SELECT admin_keys.id, tenant_id, admin_keys.name, role, scopes, hash, pepper_id, hint, \
             admin_keys.created_seq, admin_keys.created_at, expires_at, revoked_at, last_used_at, creator_kind, \
             creator, creator_tenant, makers.path AS creator_path FROM admin_keys \
             LEFT JOIN tenants AS makers ON makers.id = creator_tenant ",
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

/// Which admin keys.
#[derive(Debug, Clone, Default)]
pub struct AdminKeyFilter {
    /// Those at this tenant and below it.
    pub subtree_of: Option<TenantId>,
    /// Those whose name contains this text, in letters of either case.
    pub name: Option<String>,
}

impl Store {
    /// Creates an admin key, which ends with the credential that it is made with unless it ends before. Refused: a bad
    /// name, scopes that are too many or given twice, an expiry that has passed or comes after the end of that
    /// credential. A conflict: a deleted tenant.
    pub async fn create_admin_key(&self, new: &NewAdminKey, now: Micros) -> Result<AdminKey, StoreError> {
        validate_name(&new.name).map_err(|error| StoreError::refused(error.to_string()))?;
        validate_scopes(&new.scopes).map_err(|error| StoreError::refused(error.to_string()))?;
        let expires_at = self.ending(new.expires_at)?;
        if let Some(expiry) = expires_at.filter(|expiry| *expiry <= now) {
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
            expires_at,
            revoked_at: None,
            last_used_at: None,
            created_by: Some(self.acting.creator()),
        };
        let mut change = self.begin_change(now).await?;
        idempotency::refuse_repetition(&mut change).await?;
        tenants::present(&mut change, key.tenant).await?;
        insert(change.connection(), &key).await?;
        audit(&mut change, AuditAction::AdminKeyCreate, None, &key).await?;
        if key.role == Role::Owner {
            first_owner(change.connection(), ActorKind::AdminKey, &key.id.to_string(), now).await?;
        }
        idempotency::remember(&mut change, &key.id.to_string()).await?;
        change.commit().await?;
        Ok(key)
    }

    /// The admin keys at a tenant and below it, or all that exist for whoever acts; by creation, revoked ones too.
    pub async fn admin_keys(&self, subtree_of: Option<TenantId>) -> Result<Vec<AdminKey>, StoreError> {
        let filter = AdminKeyFilter { subtree_of, ..AdminKeyFilter::default() };
        Ok(self.admin_keys_page(&filter, PageRequest { after: None, limit: u32::MAX }).await?.items)
    }

    /// Admin keys in pages, by creation.
    pub async fn admin_keys_page(
        &self,
        filter: &AdminKeyFilter,
        page: PageRequest,
    ) -> Result<Page<AdminKey>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let paths = PathRange::within(&mut connection, self.acting.scope, filter.subtree_of).await?;
        let names = NamePattern::of(filter.name.as_deref());
        let rows = sqlx::query(select_admin_keys!(
            "JOIN tenants ON tenants.id = tenant_id WHERE tenants.path >= $1 AND tenants.path < $2 \
             AND admin_keys.created_seq > $3 AND (lower(admin_keys.name) LIKE $4 ESCAPE '!' \
             OR lower(admin_keys.name) LIKE $5 ESCAPE '!' OR lower(admin_keys.name) LIKE $6 ESCAPE '!') \
             ORDER BY admin_keys.created_seq LIMIT $7"
        ))
        .bind(paths.from)
        .bind(paths.before)
        .bind(page.begin())
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

    /// The admin key with this id.
    pub async fn admin_key(&self, id: AdminKeyId) -> Result<AdminKey, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let key = find(&mut connection, self.acting.scope, id).await?;
        if super::scope::holds_tenant(&mut connection, self.acting.scope, key.tenant).await? {
            return Ok(key);
        }
        Err(StoreError::not_found("admin key", &id))
    }

    /// The admin key whose secret has this hash, if there is one; it may have expired or been revoked.
    pub async fn admin_key_by_hash(&self, hash: &KeyHash) -> Result<Option<AdminKey>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let query = sqlx::query(select_admin_keys!("WHERE hash = $1")).bind(hash.to_hex());
        let Some(row) = query.fetch_optional(&mut *connection).await? else {
            return Ok(None);
        };
        let viewer = Viewer::of(&mut connection, self.acting.scope).await?;
        Ok(Some(read(&row, &viewer)?).filter(|key| key.hash.matches(hash)))
    }

    /// Whether there ever was an owner: an admin key with this role, or a person.
    pub async fn has_owner(&self) -> Result<bool, StoreError> {
        Ok(sqlx::query("SELECT id FROM first_owner").fetch_optional(&self.pool).await?.is_some())
    }

    /// Writes down that a person is an owner, unless there was one before.
    pub async fn note_owner(&self, person: &str, now: Micros) -> Result<(), StoreError> {
        let mut write = self.begin_write().await?;
        first_owner(write.connection(), ActorKind::Person, person, now).await?;
        write.commit().await
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

    /// Revokes an admin key, and those that were made with it: nothing that it gave outlives it. A second time changes
    /// nothing.
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

    /// When a key ends that is made by whoever acts: as it is asked for, and with their own credential at the latest.
    fn ending(&self, asked: Option<Micros>) -> Result<Option<Micros>, StoreError> {
        match (asked, self.acting.until) {
            (Some(asked), Some(until)) if asked > until => Err(StoreError::refused(format!(
                "your own credential ends at {until}: nothing that is made with it can last until {asked}"
            ))),
            (asked, until) => Ok(asked.or(until)),
        }
    }
}

/// Revokes the admin keys of a tenant, and those that were made with them.
pub(super) async fn revoke_all(change: &mut ChangeTransaction, tenant: TenantId) -> Result<(), StoreError> {
    let rows =
        sqlx::query(select_admin_keys!("WHERE tenant_id = $1 AND revoked_at IS NULL ORDER BY admin_keys.created_seq"))
            .bind(tenant.to_string())
            .fetch_all(change.connection())
            .await?;
    let revoked = revoke_rows(change, &rows).await?;
    revoke_descent(change, revoked).await.map(drop)
}

/// Revokes the admin keys of a subtree whose makers hold their role at a tenant that is not above it, and those that were
/// made with them; gives all of them.
pub(super) async fn revoke_of_strangers(
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

/// Revokes the admin keys that were made with these, and those that were made with them in turn; gives all of them.
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

/// Writes down that there is an owner; the first one stays.
async fn first_owner(
    connection: &mut AnyConnection,
    kind: ActorKind,
    name: &str,
    now: Micros,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO first_owner (id, kind, name, noted_at) VALUES (1, $1, $2, $3) ON CONFLICT (id) DO NOTHING",
    )
    .bind(kind.as_str())
    .bind(name)
    .bind(now.0)
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert(connection: &mut AnyConnection, key: &AdminKey) -> Result<(), StoreError> {
    let scopes: Vec<_> = key.scopes.iter().map(ToString::to_string).collect();
    sqlx::query(
        "INSERT INTO admin_keys (id, tenant_id, name, role, scopes, hash, pepper_id, hint, created_at, expires_at, \
         creator_kind, creator, creator_tenant, created_seq) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, \
         $13, (SELECT COALESCE(MAX(created_seq), 0) + 1 FROM admin_keys))",
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
    .bind(key.created_by.as_ref().map(|by| by.kind.as_str()))
    .bind(key.created_by.as_ref().and_then(|by| by.name.as_deref()))
    .bind(key.created_by.as_ref().and_then(|by| by.tenant).map(|tenant| tenant.to_string()))
    .execute(connection)
    .await?;
    Ok(())
}

async fn audit(
    change: &mut ChangeTransaction,
    action: AuditAction,
    before: Option<&AdminKey>,
    after: &AdminKey,
) -> Result<(), StoreError> {
    let before = before.map(state).transpose()?.flatten();
    let (subject, tenant) = (after.id.to_string(), Some(after.tenant));
    change.audit(Audited { action, subject_kind: "admin_key", subject, tenant, before, after: state(after)? }).await
}

/// The admin key with this id, be it in the scope or not.
async fn find(connection: &mut AnyConnection, scope: Scope, id: AdminKeyId) -> Result<AdminKey, StoreError> {
    let query = sqlx::query(select_admin_keys!("WHERE admin_keys.id = $1")).bind(id.to_string());
    let row = query.fetch_optional(&mut *connection).await?;
    read(&row.ok_or_else(|| StoreError::not_found("admin key", &id))?, &Viewer::of(connection, scope).await?)
}

fn read(row: &AnyRow, viewer: &Viewer) -> Result<AdminKey, StoreError> {
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
        created_by: viewer.creator(row)?,
    })
}
