//! Rows of keys: reading them, writing them, and telling gateways and the audit log.

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{IpNet, Key, hash::KeyHash};
use crate::{
    acting::Scope,
    id::KeyId,
    store::{
        StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        change_log::Changed,
        row::{corrupt, instant, instant_or_null, list, parsed, parsed_or_null},
        scope::Viewer,
        transaction::ChangeTransaction,
    },
    time::Micros,
};

macro_rules! select_keys {
    ($rest:literal) => {
        concat!(
            "SELECT keys.id, keys.tenant_id, keys.name, mode, hash, pepper_id, hint, keys.created_seq, keys.created_at, \
             expires_at, revoked_at, replaces_id, scopes, allowed_ips, last_used_at, keys.revision, creator_kind, \
             creator, creator_tenant, makers.path AS creator_path FROM keys \
             LEFT JOIN tenants AS makers ON makers.id = creator_tenant ",
            $rest
        )
    };
}
pub(super) use select_keys;

/// Stores what was changed of a key, logs it, and tells gateways.
pub(super) async fn save(
    change: &mut ChangeTransaction,
    action: AuditAction,
    before: &Key,
    after: &Key,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE keys SET name = $1, scopes = $2, allowed_ips = $3, expires_at = $4, revoked_at = $5, revision = $6 \
         WHERE id = $7",
    )
    .bind(&after.name)
    .bind(after.scopes.join(" "))
    .bind(joined(&after.allowed_ips))
    .bind(after.expires_at.map(|expiry| expiry.0))
    .bind(after.revoked_at.map(|revoked| revoked.0))
    .bind(after.revision)
    .bind(after.id.to_string())
    .execute(change.connection())
    .await?;
    change.record(Changed::Key(after.id)).await?;
    audit(change, action, Some(before), after).await
}

pub(super) async fn audit(
    change: &mut ChangeTransaction,
    action: AuditAction,
    before: Option<&Key>,
    after: &Key,
) -> Result<(), StoreError> {
    let before = before.map(state).transpose()?.flatten();
    let (subject, tenant) = (after.id.to_string(), Some(after.tenant));
    change.audit(Audited { action, subject_kind: "key", subject, tenant, before, after: state(after)? }).await
}

/// The key with this id, which is to be changed.
pub(super) async fn present(change: &mut ChangeTransaction, id: KeyId) -> Result<Key, StoreError> {
    let scope = change.scope();
    let key = find(change.connection(), scope, id).await?;
    change.require(key.tenant, "key", &id).await?;
    Ok(key)
}

fn joined(ranges: &[IpNet]) -> String {
    ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Keys that were not revoked and did not expire before `cutoff`.
pub(crate) async fn served_since(connection: &mut AnyConnection, cutoff: Micros) -> Result<Vec<Key>, StoreError> {
    let rows = sqlx::query(select_keys!(
        "WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1) ORDER BY keys.created_seq"
    ))
    .bind(cutoff.0)
    .fetch_all(&mut *connection)
    .await?;
    let viewer = Viewer::of(connection, Scope::Everything).await?;
    rows.iter().map(|row| read(row, &viewer)).collect()
}

pub(super) async fn insert(change: &mut ChangeTransaction, key: &Key) -> Result<(), StoreError> {
    let seq = change.record(Changed::Key(key.id)).await?;
    let inserted = sqlx::query(
        "INSERT INTO keys (id, tenant_id, name, mode, hash, pepper_id, hint, created_seq, created_at, expires_at, \
         replaces_id, scopes, allowed_ips, creator_kind, creator, creator_tenant) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
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
    .bind(key.scopes.join(" "))
    .bind(joined(&key.allowed_ips))
    .bind(key.created_by.as_ref().map(|by| by.kind.as_str()))
    .bind(key.created_by.as_ref().and_then(|by| by.name.as_deref()))
    .bind(key.created_by.as_ref().and_then(|by| by.tenant).map(|tenant| tenant.to_string()))
    .execute(change.connection())
    .await;
    match inserted {
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
            Err(StoreError::conflict("another key has this secret already: generate a new one"))
        }
        other => Ok(other.map(drop)?),
    }
}

/// The key with this id, be it in the scope or not.
pub(super) async fn find(connection: &mut AnyConnection, scope: Scope, id: KeyId) -> Result<Key, StoreError> {
    let query = sqlx::query(select_keys!("WHERE keys.id = $1")).bind(id.to_string());
    let row = query.fetch_optional(&mut *connection).await?;
    read(&row.ok_or_else(|| StoreError::not_found("key", &id))?, &Viewer::of(connection, scope).await?)
}

pub(super) fn read(row: &AnyRow, viewer: &Viewer) -> Result<Key, StoreError> {
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
        scopes: list(row, "scopes")?,
        allowed_ips: list(row, "allowed_ips")?,
        last_used_at: instant_or_null(row, "last_used_at")?,
        created_by: viewer.creator(row)?,
        revision: row.try_get("revision")?,
    })
}
