//! Links into the portal, made as the mail that carries them is sent: no row of the store holds a
//! secret that signs somebody in.

use common::{
    id::TenantId,
    key::Pepper,
    mail::MailAddress,
    member::SIGN_IN_SECONDS,
    session::{App, SessionSecret, SessionSecretKind},
    store::{Store, StoreError},
    time::Micros,
};
use serde_json::{Value, json};

use crate::outbox::Outcome;

/// Makes the links of members.
#[derive(Clone)]
pub struct Links {
    /// The pepper that secrets are hashed under.
    pub pepper: Pepper,
    /// Address at which browsers reach this program.
    pub public_url: Option<String>,
    /// Longest time that a session lasts, in seconds.
    pub session_seconds: i64,
}

impl Links {
    /// Data for the template: the link, and the time at which it ends. An outcome if there is to be
    /// none: it was asked for too long ago, or the address is no member any more.
    pub(super) async fn make(
        &self,
        store: &Store,
        tenant: TenantId,
        address: &MailAddress,
        asked_at: Micros,
        now: Micros,
    ) -> Result<Value, Outcome> {
        let Some(base) = &self.public_url else {
            return Err(Outcome::Refused("`pages.public_url` is not set: a link in a mail needs it".into()));
        };
        if now > asked_at.plus_seconds(SIGN_IN_SECONDS) {
            return Err(Outcome::Refused("the link was asked for too long ago".into()));
        }
        let secret = SessionSecret::generate(SessionSecretKind::Link);
        let found = (self.pepper.hash_session(&secret), self.session_seconds);
        match store.create_member_link(tenant, address, found, now).await {
            Ok(Some(until)) => {
                let base = base.trim_end_matches('/');
                let url = format!("{base}/{}/#link={}", App::Portal, secret.expose());
                Ok(json!({ "url": url, "until": until.to_string(), "address": address.as_str() }))
            }
            Ok(None) => Err(Outcome::Refused(format!("{address} is no member any more"))),
            Err(error @ (StoreError::Conflict(_) | StoreError::NotFound { .. })) => {
                Err(Outcome::Refused(error.to_string()))
            }
            Err(error) => Err(Outcome::Failed(error.to_string())),
        }
    }
}
