//! Sends webhooks: signed by the Standard Webhooks specification, to networks that are open to
//! everybody, without following redirects and without reading long answers.

mod network;
mod reach;

use std::time::Duration;

use common::{
    id::{EventId, WebhookEndpointId},
    key::Pepper,
    outbox::{Message, WEBHOOK},
    store::{Store, StoreError},
    time::Micros,
    webhook::{Signature, WebhookEndpoint, WebhookSecret},
};
use network::CheckedNames;
pub use network::{NetworkError, Networks};
pub use reach::{Reach, ReachError};
use reqwest::{Client, Response, StatusCode, header, redirect};

use super::{Deliverer, Delivering, Outcome, TellingEnd};
use crate::config::WebhooksConfig;

/// Waits between tries: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h; more than three days in all.
const WAITS: [i64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// An endpoint that took nothing for so long is disabled once a message to it is given up: 3 days.
const DISABLED_AFTER_SECONDS: i64 = 3 * 86_400;

/// Most messages to one endpoint that are on their way at a time.
const AT_ONCE: usize = 4;

const CONNECT_TIME_LIMIT: Duration = Duration::from_secs(5);

/// Longest time until the last byte of an answer that is read.
const ANSWER_TIME_LIMIT: Duration = Duration::from_secs(15);

/// Most bytes of an answer that are read, to say why a message was not taken.
const ANSWER_MAX_BYTES: usize = 1_024;

/// Longest wait that an endpoint may ask for, in seconds.
const RETRY_AFTER_MAX_SECONDS: i64 = 86_400;

/// Sends webhooks.
pub struct WebhookDeliverer {
    store: Store,
    pepper: Pepper,
    client: Client,
    reach: Reach,
}

/// The reason why a message cannot be sent, found before it is.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Unreachable(#[from] ReachError),
    #[error("the secret was made under pepper {found}, and this process has pepper {own}: rotate it")]
    Pepper { found: String, own: String },
    #[error("the message holds no event")]
    NoEvent,
}

impl WebhookDeliverer {
    /// A deliverer by these settings.
    pub fn new(store: Store, pepper: Pepper, config: &WebhooksConfig) -> Result<Self, reqwest::Error> {
        // A second time changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let reach = Reach::of(config);
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .dns_resolver(std::sync::Arc::new(CheckedNames(reach.networks())))
            .connect_timeout(CONNECT_TIME_LIMIT)
            .timeout(ANSWER_TIME_LIMIT)
            .user_agent(concat!("Tollgate/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { store, pepper, client, reach })
    }

    async fn send(&self, message: &Message, now: Micros) -> Result<Outcome, SendError> {
        let Some(endpoint) = self.endpoint(message).await? else {
            return Ok(Outcome::Refused("the endpoint is deleted".into()));
        };
        if let Some(disabled) = &endpoint.disabled {
            return Ok(Outcome::Refused(format!("the endpoint is disabled: {}", disabled.reason)));
        }
        let url = self.reach.check(&endpoint.url)?;
        let event = message.event.ok_or(SendError::NoEvent)?;
        let body = message.body.to_string();
        let signature = self.signature(&endpoint, event, now, &body)?;
        let request = self
            .client
            .post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", event.to_string())
            .header("webhook-timestamp", now.seconds().to_string())
            .header("webhook-signature", signature.as_str())
            .body(body);
        let outcome = match request.send().await {
            Ok(response) => outcome(response).await,
            Err(error) => Outcome::Failed(chain(&error)),
        };
        let delivered = matches!(outcome, Outcome::Delivered(_));
        self.store.note_webhook_try(&endpoint, delivered, now).await?;
        if matches!(outcome, Outcome::Refused(_)) {
            let reason = "the endpoint answered 410: it wants no more messages";
            self.store.disable_webhook_endpoint(endpoint.id, reason, now).await?;
        }
        Ok(outcome)
    }

    async fn endpoint(&self, message: &Message) -> Result<Option<WebhookEndpoint>, StoreError> {
        match message.target.parse::<WebhookEndpointId>() {
            Ok(id) => self.store.webhook_receiver(id).await,
            Err(_) => Ok(None),
        }
    }

    fn signature(
        &self,
        endpoint: &WebhookEndpoint,
        event: EventId,
        now: Micros,
        body: &str,
    ) -> Result<Signature, SendError> {
        if endpoint.pepper_id != self.pepper.id() {
            let (found, own) = (endpoint.pepper_id.clone(), self.pepper.id().to_owned());
            return Err(SendError::Pepper { found, own });
        }
        let secret = |number| WebhookSecret::of(&self.pepper, endpoint.id, number);
        let secrets: Vec<_> = endpoint.secrets(now).into_iter().map(secret).collect();
        Ok(Signature::of(&secrets, event, now, body))
    }

    /// Disables an endpoint that took nothing for days.
    async fn give_up(&self, message: &Message, error: &str, now: Micros) -> Result<(), StoreError> {
        let Some(endpoint) = self.endpoint(message).await? else { return Ok(()) };
        let Some(since) = endpoint.failing_since else { return Ok(()) };
        if since.plus_seconds(DISABLED_AFTER_SECONDS) > now {
            return Ok(());
        }
        let reason = format!("nothing could be delivered since {since}: {error}");
        if self.store.disable_webhook_endpoint(endpoint.id, &reason, now).await? {
            tracing::warn!(event = "webhook_endpoint_disabled", endpoint = %endpoint.id, tenant = %endpoint.tenant, reason);
        }
        Ok(())
    }
}

impl Deliverer for WebhookDeliverer {
    fn kind(&self) -> &'static str {
        WEBHOOK
    }

    fn at_once(&self) -> usize {
        AT_ONCE
    }

    fn waits(&self) -> &'static [i64] {
        &WAITS
    }

    fn deliver<'a>(&'a self, message: &'a Message, now: Micros) -> Delivering<'a> {
        Box::pin(
            async move { self.send(message, now).await.unwrap_or_else(|error| Outcome::Failed(error.to_string())) },
        )
    }

    fn given_up<'a>(&'a self, message: &'a Message, error: &'a str, now: Micros) -> TellingEnd<'a> {
        Box::pin(async move {
            if let Err(error) = self.give_up(message, error, now).await {
                tracing::warn!(event = "webhook_endpoint_not_disabled", endpoint = message.target, %error);
            }
        })
    }
}

/// Meaning of an answer. Of a good one, only the status is read.
async fn outcome(response: Response) -> Outcome {
    let status = response.status();
    if status.is_success() {
        return Outcome::Delivered(status.as_u16().to_string());
    }
    if status == StatusCode::GONE {
        return Outcome::Refused("answered 410: the endpoint wants no more messages".into());
    }
    if status.is_redirection() {
        return Outcome::Failed(format!("answered {}: redirects are not followed", status.as_u16()));
    }
    let wait = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<i64>().ok());
    let said = beginning(response).await;
    let error = if said.is_empty() {
        format!("answered {}", status.as_u16())
    } else {
        format!("answered {}: {said}", status.as_u16())
    };
    match wait {
        Some(seconds) => Outcome::Delayed(error, seconds.clamp(0, RETRY_AFTER_MAX_SECONDS)),
        None => Outcome::Failed(error),
    }
}

/// The beginning of an answer's body, as far as it came.
async fn beginning(mut response: Response) -> String {
    let mut read = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ANSWER_MAX_BYTES - read.len();
        read.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        if read.len() >= ANSWER_MAX_BYTES {
            break;
        }
    }
    String::from_utf8_lossy(&read).chars().take(200).collect()
}

/// The error and what caused it, which the client's own text leaves out.
fn chain(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "no answer in time".to_owned() } else { "cannot send".to_owned() };
    let mut cause = std::error::Error::source(error);
    while let Some(one) = cause {
        let said = one.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = one.source();
    }
    text
}
