//! Handles the events of a provider.
//!
//! An event is only a reason to ask: what the provider says now is taken over, so events may come twice,
//! late, in any order, or before the answer to our own request.

use common::{
    id::PaymentAttemptId,
    payment::{NewProviderEvent, PaymentAttempt},
    store::{Store, StoreError},
    time::Micros,
};
use serde::Deserialize;

use super::{
    collect::advance,
    provider::ProviderError,
    providers::Providers,
    stripe::{NAME, Stripe},
};

/// Events that one look handles.
const OPEN_AT_ONCE: u32 = 200;

/// The reason for which an event was not handled; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The provider did not answer.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

/// The members of an event that are read.
#[derive(Debug, Deserialize)]
struct Event {
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    object: Object,
}

#[derive(Debug, Deserialize)]
struct Object {
    id: Option<String>,
    #[serde(default)]
    metadata: Option<Metadata>,
    setup_intent: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    tollgate_attempt: Option<PaymentAttemptId>,
}

/// Does what follows from an event, and keeps what that was. A second time does nothing.
pub async fn handle(store: &Store, stripe: &Stripe, event: &NewProviderEvent, now: Micros) -> Result<(), EventError> {
    let outcome = outcome(store, stripe, event, now).await?;
    tracing::info!(event = "provider_event", provider = NAME, id = event.id, kind = event.kind, outcome);
    Ok(store.finish_provider_event(event, &outcome, now).await?)
}

/// Handles events that came before `until` and were not handled then.
pub async fn handle_open(store: &Store, providers: &Providers, until: Micros, now: Micros) -> Result<u32, StoreError> {
    let mut handled = 0;
    for kept in store.open_provider_events(until, OPEN_AT_ONCE).await? {
        let Some(stripe) = providers.of(kept.event.issuer) else { continue };
        match handle(store, stripe, &kept.event, now).await {
            Ok(()) => handled += 1,
            // The others would fail as well.
            Err(EventError::Store(error)) if error.is_unreachable() => return Err(error),
            Err(EventError::Store(error)) => {
                tracing::error!(event = "provider_event_not_handled", id = kept.event.id, %error);
            }
            Err(EventError::Provider(error)) => {
                tracing::warn!(event = "provider_event_waits", id = kept.event.id, %error);
            }
        }
    }
    Ok(handled)
}

async fn outcome(store: &Store, stripe: &Stripe, event: &NewProviderEvent, now: Micros) -> Result<String, EventError> {
    let Ok(Event { data: Data { object } }) = serde_json::from_str::<Event>(&event.body) else {
        return Ok("kept: it has no object".into());
    };
    let kind = event.kind.as_str();
    if kind.starts_with("payment_intent.") {
        return match attempt_of(store, event, object, now).await? {
            Some(attempt) => {
                let after = advance(store, stripe, attempt, now).await?;
                Ok(format!("{} is {}", after.id, after.status))
            }
            None => Ok("kept: it is about no attempt of this issuer".into()),
        };
    }
    let setup = match kind {
        "setup_intent.succeeded" => object.id,
        "checkout.session.completed" => object.setup_intent,
        _ => None,
    };
    match setup {
        Some(setup) => save_method(store, stripe, &setup, now).await,
        None => Ok("kept: nothing follows from it".into()),
    }
}

/// The attempt that an event of an intent is about. If the event was faster than the answer to our
/// request, the attempt learns its intent from it.
async fn attempt_of(
    store: &Store,
    event: &NewProviderEvent,
    object: Object,
    now: Micros,
) -> Result<Option<PaymentAttempt>, StoreError> {
    let Some(intent) = object.id else { return Ok(None) };
    if let Some(known) = store.payment_attempt_of_intent(event.issuer, NAME, &intent).await? {
        return Ok(Some(known));
    }
    let Some(id) = object.metadata.unwrap_or_default().tollgate_attempt else { return Ok(None) };
    let attempt = match store.payment_attempt(id).await {
        Ok(attempt) if attempt.issuer == event.issuer && attempt.intent.is_none() => attempt,
        Ok(_) | Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    store.name_intent(attempt.id, &intent, now).await.map(Some)
}

/// Keeps the method that a customer has saved on a page of the provider.
async fn save_method(store: &Store, stripe: &Stripe, setup: &str, now: Micros) -> Result<String, EventError> {
    let setup = stripe.setup(setup).await?;
    let (Some(customer), Some(method), "succeeded") = (setup.customer, setup.payment_method, setup.status.as_str())
    else {
        return Ok("kept: it saves no method".into());
    };
    let Some(account) = store.payment_account_of_customer(stripe.issuer(), NAME, &customer).await? else {
        return Ok(format!("kept: {customer} is nobody's"));
    };
    let method = stripe.method(&method).await?;
    let sides = (account.issuer, account.tenant);
    store.save_payment_account(sides, NAME, &customer, Some(&method), now).await?;
    Ok(format!("{} pays with {}", account.tenant, method.label))
}
