//! Authentication and authorization: every operation of the API passes the [`guard()`] before its
//! handler reads the request.
//!
//! A credential becomes a [`Principal`]: a person by a token of the identity provider ([`oidc`]), a
//! machine by an admin key, the first set-up by the bootstrap token. The table of [`rules`] has the
//! roles of each operation. A handler takes a [`Caller`], which comes with a store that shows the
//! caller's subtree and nothing else.

mod admin_key;
mod bootstrap;
mod caller;
mod cookie;
mod credential;
mod guard;
pub mod oidc;
mod principal;
pub mod rules;
mod session;
#[cfg(test)]
mod tests;
mod throttle;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

pub use bootstrap::{BootstrapToken, BootstrapTokenError};
pub use caller::{Caller, Unplaced};
use common::{
    admin::Role,
    api::me::PrincipalKind,
    key::Pepper,
    limit,
    plan::RateLimit,
    store::{Store, StoreError},
    time::Clock,
};
pub use cookie::{SessionRules, cookie_name};
use credential::{Bearer, Refused};
pub use guard::{Checkpoint, guard};
use ipnet::IpNet;
use oidc::IdentityProvider;
pub use principal::Principal;
use throttle::Throttle;

/// Requests per minute of all callers of a tenant together, unless the settings say otherwise.
pub const TENANT_RATE: RateLimit = RateLimit { limit: 600, burst: 120 };

/// Failed logins per minute from one address, unless the settings say otherwise.
pub const GUESS_RATE: RateLimit = RateLimit { limit: 30, burst: 30 };

/// Authenticates callers and limits how often they may call.
#[derive(Clone)]
pub struct Access {
    /// The store with everything in it.
    store: Store,
    pepper: Pepper,
    bootstrap: Option<BootstrapToken>,
    people: Option<IdentityProvider>,
    trusted_proxies: Vec<IpNet>,
    sessions: SessionRules,
    throttle: Arc<Throttle>,
    /// True once this process has recorded that a person is an owner.
    owner_noted: Arc<AtomicBool>,
    clock: Arc<dyn Clock>,
}

impl Access {
    /// Accepts the admin keys of `store`.
    pub fn new(store: Store, pepper: Pepper, clock: Arc<dyn Clock>) -> Self {
        let throttle = Arc::new(Throttle::new(TENANT_RATE, GUESS_RATE, limit::Clock::default()));
        let (trusted_proxies, owner_noted) = (Vec::new(), Arc::default());
        let sessions = SessionRules::default();
        Self { store, pepper, bootstrap: None, people: None, trusted_proxies, sessions, throttle, owner_noted, clock }
    }

    /// Also accepts this bootstrap token while there is no owner.
    #[must_use]
    pub fn with_bootstrap(self, token: Option<BootstrapToken>) -> Self {
        Self { bootstrap: token, ..self }
    }

    /// Also accepts tokens of this identity provider.
    #[must_use]
    pub fn with_people(self, people: Option<IdentityProvider>) -> Self {
        Self { people, ..self }
    }

    /// Sets how long sessions last, and the name of their cookies.
    #[must_use]
    pub fn with_sessions(self, sessions: SessionRules) -> Self {
        Self { sessions, ..self }
    }

    /// The rules of sessions.
    pub const fn sessions(&self) -> SessionRules {
        self.sessions
    }

    /// The identity provider through which people sign in to pages, if there is one.
    pub fn sign_in(&self) -> Option<&IdentityProvider> {
        self.people.as_ref().filter(|people| people.signs_in())
    }

    /// Sets the limits per minute: requests of a tenant, and failed logins from an address.
    #[must_use]
    pub fn limited_to(self, tenant: RateLimit, guesses: RateLimit) -> Self {
        Self { throttle: Arc::new(Throttle::new(tenant, guesses, limit::Clock::default())), ..self }
    }

    /// Trusts these proxies to tell the address of the client.
    #[must_use]
    pub fn behind_proxies(self, trusted_proxies: Vec<IpNet>) -> Self {
        Self { trusted_proxies, ..self }
    }

    /// Records that a person is an owner, which ends the bootstrap token.
    async fn note_owner(&self, principal: &Principal) -> Result<(), StoreError> {
        let is_owner = principal.kind == PrincipalKind::Person && principal.role == Role::Owner;
        if !is_owner || self.owner_noted.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.store.note_owner(&principal.name, self.clock.now()).await?;
        self.owner_noted.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Returns the principal of a credential.
    async fn authenticate(&self, bearer: &Bearer<'_>) -> Result<Principal, Refused> {
        match bearer {
            Bearer::AdminKey(secret) => self.admin_key(secret).await,
            Bearer::Token(token) => match &self.people {
                Some(people) => people.principal(token).await,
                None => Err(Refused::unknown("no identity provider is configured: use an admin key")),
            },
            Bearer::Other(text) => self.bootstrap_token(text).await,
            Bearer::Session(cookie) => self.session(cookie).await,
        }
    }
}
