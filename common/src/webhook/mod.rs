//! Webhooks: endpoints of tenants that hear of events, by the Standard Webhooks specification.
//!
//! Invariants: an endpoint hears of events of its own tenant, and of those of tenants below it if it
//! asks for them, and of no others; each message is signed under the current secret, and under the
//! one before it for a grace; no secret is stored, as secrets are derived from the pepper.

mod change;
mod delivery;
mod rows;
mod secret;
mod tell;
mod url;

pub use change::{EndpointUpdate, NewEndpoint};
pub use secret::{Signature, WebhookSecret};
use serde::Serialize;
pub(crate) use tell::{listening, messages};
pub use url::{EndpointUrl, UrlError};

use crate::{
    event::EventType,
    id::{TenantId, WebhookEndpointId},
    time::Micros,
};

/// Most endpoints of a tenant.
pub const ENDPOINTS_MAX: usize = 20;

/// Longest grace in which a replaced secret signs too, in seconds.
pub const GRACE_MAX_SECONDS: u32 = 7 * 86_400;

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebhookEndpoint {
    /// Its id.
    pub id: WebhookEndpointId,
    /// The tenant whose events it hears of.
    pub tenant: TenantId,
    /// Its name, for people.
    pub name: String,
    /// The URL that messages are sent to.
    pub url: String,
    /// Types of events that it hears of; empty: all.
    pub types: Vec<EventType>,
    /// True: it hears of events of tenants below its own, too.
    pub below: bool,
    /// The number of its current secret, from 1 on.
    pub secret: i64,
    /// Id of the pepper that its secrets are derived from.
    pub pepper_id: String,
    /// The secret before the current one signs, too, until then.
    pub previous_until: Option<Micros>,
    /// Nothing was delivered to it since then.
    pub failing_since: Option<Micros>,
    /// Time from which on nothing is sent to it, and why.
    pub disabled: Option<Disabled>,
    /// Time at which it was made.
    pub created_at: Micros,
    /// Number of the latest event before it was made: it hears of later ones only.
    #[serde(skip)]
    pub(crate) after_event: i64,
}

/// The end of sending to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disabled {
    /// Time at which it was disabled.
    pub at: Micros,
    /// Reason.
    pub reason: String,
}

impl WebhookEndpoint {
    /// Numbers of the secrets that sign now, the current one first.
    pub fn secrets(&self, now: Micros) -> Vec<i64> {
        let previous = self.previous_until.filter(|until| *until > now && self.secret > 1);
        let mut numbers = vec![self.secret];
        numbers.extend(previous.map(|_| self.secret - 1));
        numbers
    }
}
