//! Rows of sessions.

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::Session;
use crate::{
    key::KeyHash,
    store::{
        Store, StoreError,
        row::{instant, parsed, parsed_or_null},
    },
    time::Micros,
};

macro_rules! select_sessions {
    ($rest:literal) => {
        concat!(
            "SELECT id, app, source, tenant_id, role, user_name, admin_key_id, maker_tenant, created_at, expires_at, \
             used_at FROM sessions ",
            $rest
        )
    };
}
pub(super) use select_sessions;

/// The secret that a session is found by.
pub(super) enum Found<'a> {
    /// By its cookie.
    Cookie(&'a KeyHash),
    /// By its link, which is redeemed until the instant.
    Link(&'a KeyHash, Micros),
}

impl Store {
    /// The session whose cookie has this hash, if there is one; it may have expired.
    pub async fn session_by_hash(&self, hash: &KeyHash) -> Result<Option<Session>, StoreError> {
        let query = sqlx::query(select_sessions!("WHERE hash = $1")).bind(hash.to_hex());
        query.fetch_optional(&self.pool).await?.as_ref().map(read).transpose()
    }

    /// The session whose link has this hash and can still be redeemed, if there is one.
    pub async fn session_by_link(&self, hash: &KeyHash, now: Micros) -> Result<Option<Session>, StoreError> {
        let query = sqlx::query(select_sessions!("WHERE link_hash = $1 AND link_until > $2"));
        let query = query.bind(hash.to_hex()).bind(now.0);
        query.fetch_optional(&self.pool).await?.as_ref().map(read).transpose()
    }
}

pub(super) async fn insert(
    connection: &mut AnyConnection,
    session: &Session,
    found: Found<'_>,
) -> Result<(), StoreError> {
    let (hash, link, until) = match found {
        Found::Cookie(hash) => (Some(hash.to_hex()), None, None),
        Found::Link(hash, until) => (None, Some(hash.to_hex()), Some(until.0)),
    };
    sqlx::query(
        "INSERT INTO sessions (id, app, source, tenant_id, role, user_name, admin_key_id, maker_tenant, link_hash, \
         link_until, hash, created_at, expires_at, used_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(session.id.to_string())
    .bind(session.app.as_str())
    .bind(session.source.as_str())
    .bind(session.tenant.to_string())
    .bind(session.role.as_str())
    .bind(&session.user)
    .bind(session.admin_key.map(|key| key.to_string()))
    .bind(session.maker_tenant.map(|tenant| tenant.to_string()))
    .bind(link)
    .bind(until)
    .bind(hash)
    .bind(session.created_at.0)
    .bind(session.expires_at.0)
    .bind(session.used_at.0)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) fn read(row: &AnyRow) -> Result<Session, StoreError> {
    Ok(Session {
        id: parsed(row, "id")?,
        app: parsed(row, "app")?,
        source: parsed(row, "source")?,
        tenant: parsed(row, "tenant_id")?,
        role: parsed(row, "role")?,
        user: row.try_get("user_name")?,
        admin_key: parsed_or_null(row, "admin_key_id")?,
        maker_tenant: parsed_or_null(row, "maker_tenant")?,
        created_at: instant(row, "created_at")?,
        expires_at: instant(row, "expires_at")?,
        used_at: instant(row, "used_at")?,
    })
}
