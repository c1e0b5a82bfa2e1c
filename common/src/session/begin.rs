//! Begin of sessions: sign-ins, links, and links that are redeemed.

use super::{
    App, Session, SessionSource,
    rows::{Found, insert},
};
use crate::{
    admin::Role,
    id::{AdminKeyId, SessionId, TenantId},
    key::KeyHash,
    name::validate_name,
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        transaction::ChangeTransaction,
    },
    tenant::row as tenants,
    time::Micros,
};

/// Seconds in which a link can be redeemed.
const LINK_SECONDS: i64 = 600;

/// A sign-in.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The pages that it is for.
    pub app: App,
    /// The tenant at which the role is held.
    pub tenant: TenantId,
    /// The role.
    pub role: Role,
    /// The id of the admin key, or the subject of the token.
    pub user: String,
    /// The admin key, if one signed in.
    pub admin_key: Option<AdminKeyId>,
    /// Keyed hash of the secret in the cookie.
    pub hash: KeyHash,
    /// Longest time that it lasts, in seconds.
    pub seconds: i64,
}

/// A sign-in link for somebody else.
#[derive(Debug, Clone)]
pub struct NewLink {
    /// The pages that it is for.
    pub app: App,
    /// The tenant at which the role is held.
    pub tenant: TenantId,
    /// The role.
    pub role: Role,
    /// Name of the person that it is for.
    pub user: String,
    /// The admin key that makes it, if one does.
    pub admin_key: Option<AdminKeyId>,
    /// Keyed hash of the secret in the link.
    pub hash: KeyHash,
    /// Longest time that the session lasts, in seconds.
    pub seconds: i64,
}

impl Store {
    /// Begins a session. It ends no later than the credential of the sign-in.
    pub async fn begin_session(&self, new: &NewSession, now: Micros) -> Result<Session, StoreError> {
        let source = if new.admin_key.is_some() { SessionSource::AdminKey } else { SessionSource::Person };
        let session = Session {
            id: SessionId::generate(),
            app: new.app,
            source,
            tenant: new.tenant,
            role: new.role,
            user: new.user.clone(),
            admin_key: new.admin_key,
            maker_tenant: None,
            created_at: now,
            expires_at: self.session_end(now, new.seconds),
            used_at: now.minute(),
        };
        self.write_session(&session, Found::Cookie(&new.hash), AuditAction::SessionBegin, now).await?;
        Ok(session)
    }

    /// Makes a link by which somebody signs in once, within ten minutes. Refused: a bad name. A
    /// conflict: a deleted tenant.
    pub async fn create_session_link(&self, new: &NewLink, now: Micros) -> Result<(Session, Micros), StoreError> {
        validate_name(&new.user).map_err(|error| StoreError::refused(format!("user: {error}")))?;
        let expires_at = self.session_end(now, new.seconds);
        let until = expires_at.min(now.plus_seconds(LINK_SECONDS));
        let session = Session {
            id: SessionId::generate(),
            app: new.app,
            source: SessionSource::Link,
            tenant: new.tenant,
            role: new.role,
            user: new.user.clone(),
            admin_key: new.admin_key,
            maker_tenant: self.acting.scope.tenant(),
            created_at: now,
            expires_at,
            used_at: now.minute(),
        };
        self.write_session(&session, Found::Link(&new.hash, until), AuditAction::SessionLink, now).await?;
        Ok((session, until))
    }

    /// Redeems a link: from then on the session has the secret with this hash. None if somebody was
    /// faster.
    pub async fn redeem_session_link(
        &self,
        session: &Session,
        link: &KeyHash,
        hash: &KeyHash,
        now: Micros,
    ) -> Result<Option<Session>, StoreError> {
        let mut change = self.begin_change(now).await?;
        let redeemed = sqlx::query(
            "UPDATE sessions SET hash = $1, link_hash = NULL, link_until = NULL, used_at = $2 \
             WHERE link_hash = $3 AND link_until > $4",
        )
        .bind(hash.to_hex())
        .bind(now.minute().0)
        .bind(link.to_hex())
        .bind(now.0)
        .execute(change.connection())
        .await?;
        if redeemed.rows_affected() != 1 {
            return Ok(None);
        }
        let after = Session { used_at: now.minute(), ..session.clone() };
        audit(&mut change, AuditAction::SessionBegin, &after).await?;
        change.commit().await?;
        Ok(Some(after))
    }

    async fn write_session(
        &self,
        session: &Session,
        found: Found<'_>,
        action: AuditAction,
        now: Micros,
    ) -> Result<(), StoreError> {
        let mut change = self.begin_change(now).await?;
        tenants::present(&mut change, session.tenant).await?;
        // Nothing refers to a session that has ended.
        sqlx::query("DELETE FROM sessions WHERE expires_at <= $1 OR link_until <= $1")
            .bind(now.0)
            .execute(change.connection())
            .await?;
        insert(change.connection(), session, found).await?;
        audit(&mut change, action, session).await?;
        change.commit().await
    }

    fn session_end(&self, now: Micros, seconds: i64) -> Micros {
        let end = now.plus_seconds(seconds);
        self.acting.until.map_or(end, |until| until.min(end))
    }
}

pub(super) async fn audit(
    change: &mut ChangeTransaction,
    action: AuditAction,
    session: &Session,
) -> Result<(), StoreError> {
    let (subject, tenant) = (session.id.to_string(), Some(session.tenant));
    let (before, after) = match action {
        AuditAction::SessionEnd => (state(session)?, None),
        _ => (None, state(session)?),
    };
    change.audit(Audited { action, subject_kind: "session", subject, tenant, before, after }).await
}
