//! Handles the events of a provider.
//!
//! An event is only a reason to ask: what the provider says now is taken over, so events may come twice,
//! late, in any order, or before the answer to our own request.

use std::collections::HashSet;

use common::{
    id::PaymentAttemptId,
    payment::{NewProviderEvent, PaymentAttempt},
    store::{Store, StoreError},
    time::Micros,
};

use super::{
    collect::advance,
    dispute, payout,
    provider::{About, PaymentProvider, ProviderError, Saved},
    providers::Providers,
};

/// Events that are read at once.
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

/// Does what follows from an event, and keeps what that was. A second time does nothing.
pub async fn handle(
    store: &Store,
    provider: &dyn PaymentProvider,
    event: &NewProviderEvent,
    now: Micros,
) -> Result<(), EventError> {
    let outcome = outcome(store, provider, event, now).await?;
    tracing::info!(event = "provider_event", provider = provider.name(), id = event.id, kind = event.kind, outcome);
    Ok(store.finish_provider_event(event, &outcome, now).await?)
}

/// Handles events that came before `until` and were not handled then. Those of an issuer whose provider
/// does not answer wait for the next look.
pub async fn handle_open(store: &Store, providers: &Providers, until: Micros, now: Micros) -> Result<u32, StoreError> {
    let (mut handled, mut silent, mut last) = (0, HashSet::new(), None);
    loop {
        let page = store.open_provider_events(until, last.as_ref(), OPEN_AT_ONCE).await?;
        for kept in &page {
            let issuer = kept.event.issuer;
            let Some(provider) = providers.of(issuer).filter(|_| !silent.contains(&issuer)) else { continue };
            match handle(store, provider.as_ref(), &kept.event, now).await {
                Ok(()) => handled += 1,
                // The others would fail as well.
                Err(EventError::Store(error)) if error.is_unreachable() => return Err(error),
                Err(EventError::Store(error)) => {
                    tracing::error!(event = "provider_event_not_handled", id = kept.event.id, %error);
                }
                Err(EventError::Provider(error)) => {
                    tracing::warn!(event = "provider_event_waits", id = kept.event.id, %error);
                    if matches!(error, ProviderError::Silent { .. }) {
                        silent.insert(issuer);
                    }
                }
            }
        }
        match page.into_iter().next_back() {
            Some(next) => last = Some(next),
            None => return Ok(handled),
        }
    }
}

async fn outcome(
    store: &Store,
    provider: &dyn PaymentProvider,
    event: &NewProviderEvent,
    now: Micros,
) -> Result<String, EventError> {
    match provider.about(&event.kind, &event.body) {
        About::Intent { id, attempt } => match attempt_of(store, event, &id, attempt, now).await? {
            Some(attempt) => {
                let after = advance(store, provider, attempt, now).await?;
                Ok(format!("{} is {}", after.id, after.status))
            }
            None => Ok("kept: it is about no attempt of this issuer".into()),
        },
        About::Page(id) => match store.payment_attempt(id).await {
            Ok(attempt) if attempt.issuer == event.issuer => {
                let after = advance(store, provider, attempt, now).await?;
                Ok(format!("{} is {}", after.id, after.status))
            }
            Ok(_) | Err(StoreError::NotFound { .. }) => Ok("kept: it is about no attempt of this issuer".into()),
            Err(error) => Err(error.into()),
        },
        About::Setup(setup) => save_method(store, provider, &setup, now).await,
        About::Dispute(name) => match dispute::ask(store, provider, &name, now).await? {
            Some(dispute) => Ok(format!("{} is {}", dispute.id, dispute.status)),
            None => Ok("kept: it is about no payment of this issuer".into()),
        },
        About::Payout(name) => {
            let payout = payout::ask(store, provider, &name, now).await?;
            Ok(format!("{} is {}, with {} unmatched items", payout.id, payout.status, payout.unmatched))
        }
        About::Nothing => Ok("kept: nothing follows from it".into()),
    }
}

/// The attempt that an event of an intent is about. If the event was faster than the answer to our
/// request, the attempt learns its intent from it.
async fn attempt_of(
    store: &Store,
    event: &NewProviderEvent,
    intent: &str,
    attempt: Option<PaymentAttemptId>,
    now: Micros,
) -> Result<Option<PaymentAttempt>, StoreError> {
    if let Some(known) = store.payment_attempt_of_intent(event.issuer, &event.provider, intent).await? {
        return Ok(Some(known));
    }
    let Some(id) = attempt else { return Ok(None) };
    let attempt = match store.payment_attempt(id).await {
        Ok(attempt) if attempt.issuer == event.issuer && attempt.intent.is_none() => attempt,
        Ok(_) | Err(StoreError::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    store.name_intent(attempt.id, intent, now).await.map(Some)
}

/// Keeps the method that a customer has saved on a page of the provider.
async fn save_method(
    store: &Store,
    provider: &dyn PaymentProvider,
    setup: &str,
    now: Micros,
) -> Result<String, EventError> {
    let Some(Saved { customer, method }) = provider.saved(setup).await? else {
        return Ok("kept: it saves no method".into());
    };
    let Some(account) = store.payment_account_of_customer(provider.issuer(), provider.name(), &customer).await? else {
        return Ok(format!("kept: {customer} is nobody's"));
    };
    let sides = (account.issuer, account.tenant);
    store.save_payment_account(sides, provider.name(), &customer, Some(&method), now).await?;
    Ok(format!("{} pays with {}", account.tenant, method.label))
}
