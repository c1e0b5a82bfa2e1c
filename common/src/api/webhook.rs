//! Webhook endpoints.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::instant::Instant;
use crate::{
    event::EventType,
    id::{TenantId, WebhookEndpointId},
    webhook::{EndpointUpdate, NewEndpoint, WebhookEndpoint},
};

/// Seconds for which a replaced secret signs too, unless stated: a day.
const GRACE_SECONDS: u32 = 86_400;

/// An endpoint to be made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhookEndpoint)]
pub struct NewEndpointBody {
    /// Its name, for people.
    #[schema(min_length = 1, max_length = 200, example = "CRM")]
    pub name: String,
    /// The URL that messages are posted to.
    #[schema(max_length = 2048, example = "https://example.com/hooks")]
    pub url: String,
    /// Types of events that it hears of; all unless stated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>, example = json!(["invoice.finalized"]))]
    pub types: Vec<EventType>,
    /// True: it hears of events of tenants below, too.
    #[serde(default)]
    pub below: bool,
}

/// Changes of an endpoint. What is left out stays.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookEndpointUpdate)]
pub struct EndpointUpdateBody {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub name: Option<String>,
    /// The URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 2048)]
    pub url: Option<String>,
    /// Types of events; an empty list: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub types: Option<Vec<EventType>>,
    /// True: also events of tenants below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<bool>,
    /// False: nothing is sent to it. True: it is sent to again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// An endpoint.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WebhookEndpoint)]
pub struct EndpointDocument {
    /// Its id.
    #[schema(value_type = String)]
    pub id: WebhookEndpointId,
    /// The tenant whose events it hears of.
    #[schema(value_type = String)]
    pub tenant: TenantId,
    /// Its name.
    pub name: String,
    /// The URL.
    pub url: String,
    /// Types of events that it hears of; empty: all.
    #[schema(value_type = Vec<String>)]
    pub types: Vec<EventType>,
    /// True: also events of tenants below.
    pub below: bool,
    /// True if it is sent to.
    pub enabled: bool,
    /// Reason why it is not sent to.
    #[schema(required = true)]
    pub disabled_reason: Option<String>,
    /// Time at which it was disabled.
    #[schema(required = true)]
    pub disabled_at: Option<Instant>,
    /// Nothing was delivered to it since then.
    #[schema(required = true)]
    pub failing_since: Option<Instant>,
    /// Until then the secret before the current one signs, too.
    #[schema(required = true)]
    pub previous_secret_until: Option<Instant>,
    /// Time at which it was made.
    pub created_at: Instant,
}

/// An endpoint and its secret.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WebhookEndpointSecret)]
pub struct EndpointSecretDocument {
    /// The endpoint.
    pub endpoint: EndpointDocument,
    /// The secret that signs, `whsec_…`; it is shown this once.
    #[schema(required = true)]
    pub secret: Option<String>,
}

/// Request for another secret of an endpoint.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookRotation)]
pub struct EndpointRotationBody {
    /// Seconds for which the secret before signs, too; a day unless stated.
    #[serde(default = "grace")]
    #[schema(minimum = 0, maximum = 604_800, default = 86_400)]
    pub grace_seconds: u32,
}

/// Messages that are to be sent again.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookReplay)]
pub struct EndpointReplayBody {
    /// Messages that were written from this instant on.
    pub since: Instant,
    /// True: also those that were delivered. Else only those that were given up.
    #[serde(default)]
    pub delivered: bool,
}

/// Messages that are sent again.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WebhookReplayed)]
pub struct EndpointReplayedDocument {
    /// Their number.
    pub messages: u64,
}

const fn grace() -> u32 {
    GRACE_SECONDS
}

impl NewEndpointBody {
    /// The endpoint that it asks for; an error names the field.
    pub fn endpoint(self, tenant: TenantId, pepper_id: &str) -> Result<NewEndpoint, String> {
        let url = self.url.parse().map_err(|error: crate::webhook::UrlError| error.to_string())?;
        let pepper_id = pepper_id.to_owned();
        Ok(NewEndpoint { tenant, name: self.name, url, types: self.types, below: self.below, pepper_id })
    }
}

impl EndpointUpdateBody {
    /// The changes that it asks for; an error names the field.
    pub fn update(self) -> Result<EndpointUpdate, String> {
        let url = self.url.map(|url| url.parse().map_err(|error: crate::webhook::UrlError| error.to_string()));
        let url = url.transpose()?;
        Ok(EndpointUpdate { name: self.name, url, types: self.types, below: self.below, enabled: self.enabled })
    }
}

impl From<WebhookEndpoint> for EndpointDocument {
    fn from(endpoint: WebhookEndpoint) -> Self {
        let (disabled_at, disabled_reason) = endpoint.disabled.map(|one| (one.at.into(), one.reason)).unzip();
        Self {
            id: endpoint.id,
            tenant: endpoint.tenant,
            name: endpoint.name,
            url: endpoint.url,
            types: endpoint.types,
            below: endpoint.below,
            enabled: disabled_at.is_none(),
            disabled_reason,
            disabled_at,
            failing_since: endpoint.failing_since.map(Into::into),
            previous_secret_until: endpoint.previous_until.map(Into::into),
            created_at: endpoint.created_at.into(),
        }
    }
}
