//! End of sessions, and notes of their use.

use super::{
    Session, SessionSource,
    begin::audit,
    rows::{read, select_sessions},
};
use crate::{
    id::{SessionId, TenantId},
    store::{Store, StoreError, audit_action::AuditAction, transaction::ChangeTransaction},
    time::Micros,
};

impl Store {
    /// The session with this id.
    pub async fn session(&self, id: SessionId) -> Result<Session, StoreError> {
        let query = sqlx::query(select_sessions!("WHERE id = $1")).bind(id.to_string());
        let row = query.fetch_optional(&self.pool).await?;
        read(&row.ok_or_else(|| StoreError::not_found("session", &id))?)
    }

    /// Ends a session. A second time changes nothing.
    pub async fn end_session(&self, id: SessionId, now: Micros) -> Result<(), StoreError> {
        let mut change = self.begin_change(now).await?;
        let query = sqlx::query(select_sessions!("WHERE id = $1")).bind(id.to_string());
        let Some(row) = query.fetch_optional(change.connection()).await? else { return Ok(()) };
        end(&mut change, &read(&row)?).await?;
        change.commit().await
    }

    /// Ends all sessions of a user that began in one way, with a role at this tenant, and gives their
    /// number.
    pub async fn end_sessions(
        &self,
        tenant: TenantId,
        source: SessionSource,
        user: &str,
        now: Micros,
    ) -> Result<u64, StoreError> {
        let mut change = self.begin_change(now).await?;
        let ended = end_all(&mut change, tenant, source, user).await?;
        change.commit().await?;
        Ok(ended)
    }

    /// Notes in which minute a session was last used. Nothing moves back.
    pub async fn touch_session(&self, id: SessionId, minute: Micros) -> Result<(), StoreError> {
        let mut write = self.begin_write().await?;
        sqlx::query("UPDATE sessions SET used_at = $1 WHERE id = $2 AND used_at < $1")
            .bind(minute.0)
            .bind(id.to_string())
            .execute(write.connection())
            .await?;
        write.commit().await
    }
}

/// Ends all sessions and links of a user that began in one way, and gives their number.
pub(crate) async fn end_all(
    change: &mut ChangeTransaction,
    tenant: TenantId,
    source: SessionSource,
    user: &str,
) -> Result<u64, StoreError> {
    let rows = sqlx::query(select_sessions!("WHERE tenant_id = $1 AND source = $2 AND user_name = $3"))
        .bind(tenant.to_string())
        .bind(source.as_str())
        .bind(user)
        .fetch_all(change.connection())
        .await?;
    let mut ended = 0;
    for row in &rows {
        end(change, &read(row)?).await?;
        ended += 1;
    }
    Ok(ended)
}

async fn end(change: &mut ChangeTransaction, session: &Session) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM sessions WHERE id = $1").bind(session.id.to_string()).execute(change.connection()).await?;
    audit(change, AuditAction::SessionEnd, session).await
}
