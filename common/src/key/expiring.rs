//! Keys that are about to expire: told once for each expiry, ahead of it.

use sqlx::Row as _;

use crate::{
    event::{EventType, NewEvent, emit},
    id::{KeyId, TenantId},
    store::{
        Store, StoreError,
        row::{instant, parsed},
    },
    time::Micros,
};

/// A key is told of so many seconds before it expires: 7 days.
pub const NOTICE_SECONDS: i64 = 7 * 86_400;

/// Most keys that one look tells of.
const AT_ONCE: i64 = 500;

impl Store {
    /// Tells of keys that expire within 7 days; gives how many. Keys that were replaced by rotation are
    /// left out, as their end was asked for.
    pub async fn tell_expiring_keys(&self, now: Micros) -> Result<usize, StoreError> {
        let mut write = self.begin_write().await?;
        let rows = sqlx::query(
            "SELECT keys.id, keys.tenant_id, keys.name, keys.hint, keys.expires_at FROM keys \
             JOIN tenants ON tenants.id = keys.tenant_id WHERE keys.revoked_at IS NULL AND tenants.deleted_at IS NULL \
             AND keys.expires_at > $1 AND keys.expires_at <= $2 AND NOT EXISTS (SELECT 1 FROM key_expiry_notices \
             WHERE key_id = keys.id AND key_expiry_notices.expires_at = keys.expires_at) AND NOT EXISTS \
             (SELECT 1 FROM keys AS next WHERE next.replaces_id = keys.id) ORDER BY keys.expires_at, keys.id LIMIT $3",
        )
        .bind(now.0)
        .bind(now.plus_seconds(NOTICE_SECONDS).0)
        .bind(AT_ONCE)
        .fetch_all(write.connection())
        .await?;
        let mut events = Vec::new();
        for row in &rows {
            let (id, tenant): (KeyId, TenantId) = (parsed(row, "id")?, parsed(row, "tenant_id")?);
            let expires_at = instant(row, "expires_at")?;
            let (name, hint): (String, String) = (row.try_get("name")?, row.try_get("hint")?);
            // Another process may tell of the same key at this moment.
            let noted = sqlx::query(
                "INSERT INTO key_expiry_notices (key_id, expires_at, told_at) VALUES ($1, $2, $3) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(id.to_string())
            .bind(expires_at.0)
            .bind(now.0)
            .execute(write.connection())
            .await?;
            if noted.rows_affected() == 1 {
                let data =
                    serde_json::json!({ "id": id, "name": name, "hint": hint, "expires_at": expires_at.to_string() });
                events.push(NewEvent { kind: EventType::KeyExpiring, tenant, object: id.to_string(), data });
            }
        }
        emit(write.connection(), &events, now).await?;
        write.commit().await?;
        Ok(events.len())
    }
}
