//! Sessions of browsers: the principal behind a cookie.
//!
//! Invariant: what a session may do is read from its admin key at each request.

use common::{
    admin::AdminScope,
    api::me::PrincipalKind,
    id::TenantId,
    key::KeyStatus,
    session::{Session, SessionSource},
    store::StoreError,
};

use super::{
    Access, Principal,
    cookie::{ENDED, SessionCookie},
    credential::Refused,
    rules::reaches,
};

impl Access {
    /// Returns the principal of a session that has not ended.
    pub(super) async fn session(&self, cookie: &SessionCookie) -> Result<Principal, Refused> {
        let found = self.store.session_by_hash(&self.pepper.hash_session(&cookie.secret)).await?;
        let Some(session) = found.filter(|session| session.app == cookie.app) else {
            return Err(Refused::unknown(ENDED));
        };
        let now = self.clock.now();
        let idle_at = session.used_at.plus_seconds(i64::from(self.sessions.idle_minutes) * 60 + 60);
        if now >= session.expires_at || now >= idle_at {
            return Err(Refused::known(ENDED));
        }
        let principal = match session.source {
            SessionSource::AdminKey => self.of_admin_key(&session).await?,
            SessionSource::Person => of_session(&session, PrincipalKind::Person),
            SessionSource::Link => {
                let scopes = self.scopes_of_maker(&session).await?;
                Principal { scopes, ..of_session(&session, PrincipalKind::LinkUser) }
            }
        };
        self.note_session(&session);
        Ok(Principal { session: Some(session.id), ..principal })
    }

    /// The principal of the admin key that signed in.
    async fn of_admin_key(&self, session: &Session) -> Result<Principal, Refused> {
        let id = session.admin_key.ok_or_else(|| Refused::known(ENDED))?;
        match self.store.admin_key(id).await {
            Ok(key) => self.principal_of(key),
            Err(StoreError::NotFound { .. }) => Err(Refused::known(ENDED)),
            Err(error) => Err(error.into()),
        }
    }

    /// Scopes of whoever made the link of a session, which narrow the session, too. Refused unless
    /// they could still make it.
    async fn scopes_of_maker(&self, session: &Session) -> Result<Vec<AdminScope>, Refused> {
        let mut scopes = Vec::new();
        if let Some(id) = session.admin_key {
            let key = self.store.admin_key(id).await?;
            if key.status(self.clock.now()) != KeyStatus::Active || !reaches(key.role, session.role) {
                return Err(Refused::known(ENDED));
            }
            scopes = key.scopes;
        }
        match session.maker_tenant {
            Some(maker) if !self.is_above(maker, session.tenant).await? => Err(Refused::known(ENDED)),
            _ => Ok(scopes),
        }
    }

    async fn is_above(&self, upper: TenantId, tenant: TenantId) -> Result<bool, StoreError> {
        match self.store.ancestors(tenant).await {
            Ok(line) => Ok(line.iter().any(|one| one.id == upper)),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Stores that the session is used in this minute, unless that is stored already. The request
    /// does not wait for it.
    fn note_session(&self, session: &Session) {
        let (id, minute) = (session.id, self.clock.now().minute());
        if session.used_at >= minute {
            return;
        }
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.touch_session(id, minute).await {
                tracing::warn!(event = "session_use_not_noted", session = %id, %error);
            }
        });
    }
}

fn of_session(session: &Session, kind: PrincipalKind) -> Principal {
    Principal {
        kind,
        name: session.user.clone(),
        tenant: Some(session.tenant),
        role: session.role,
        scopes: Vec::new(),
        expires_at: Some(session.expires_at),
        session: Some(session.id),
    }
}
