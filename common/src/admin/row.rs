//! Rows of admin keys: reading and writing them, and telling the audit log.

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::AdminKey;
use crate::{
    acting::Scope,
    id::AdminKeyId,
    key::KeyHash,
    store::{
        StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        row::{corrupt, instant, instant_or_null, list, parsed},
        scope::Viewer,
        transaction::ChangeTransaction,
    },
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
pub(super) use select_admin_keys;

pub(super) async fn insert(connection: &mut AnyConnection, key: &AdminKey) -> Result<(), StoreError> {
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

pub(super) async fn audit(
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
pub(super) async fn find(connection: &mut AnyConnection, scope: Scope, id: AdminKeyId) -> Result<AdminKey, StoreError> {
    let query = sqlx::query(select_admin_keys!("WHERE admin_keys.id = $1")).bind(id.to_string());
    let row = query.fetch_optional(&mut *connection).await?;
    read(&row.ok_or_else(|| StoreError::not_found("admin key", &id))?, &Viewer::of(connection, scope).await?)
}

pub(super) fn read(row: &AnyRow, viewer: &Viewer) -> Result<AdminKey, StoreError> {
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
