//! Disputes: what the provider says of them is taken over.

use common::{
    payment::{Dispute, ToldDispute},
    store::{Store, StoreError},
    time::Micros,
};

use super::{events::EventError, provider::PaymentProvider, providers::Providers};

/// Disputes that one look asks about.
const DUE_AT_ONCE: u32 = 200;

/// Asks the provider about a dispute, and takes over what it says; none if it is about no payment of
/// the issuer.
pub(super) async fn ask(
    store: &Store,
    provider: &dyn PaymentProvider,
    name: &str,
    now: Micros,
) -> Result<Option<Dispute>, EventError> {
    match provider.dispute(name).await? {
        Some(told) => Ok(take(store, provider, &told, now).await?),
        None => Ok(None),
    }
}

/// Takes over what the provider says of a dispute.
pub(super) async fn take(
    store: &Store,
    provider: &dyn PaymentProvider,
    told: &ToldDispute,
    now: Micros,
) -> Result<Option<Dispute>, StoreError> {
    let after = store.follow_dispute(provider.issuer(), provider.name(), told, now).await?;
    if let Some(dispute) = &after {
        let (invoice, status, amount) = (dispute.invoice, dispute.status, dispute.amount);
        tracing::info!(event = "dispute", dispute = %dispute.id, %invoice, %status, %amount);
    } else {
        tracing::warn!(event = "dispute_of_nothing_here", dispute = told.id, intent = told.intent);
    }
    Ok(after)
}

/// Asks the providers about disputes that are not over.
pub async fn follow_due_disputes(store: &Store, providers: &Providers, now: Micros) -> Result<u32, StoreError> {
    let mut followed = 0;
    for dispute in store.due_disputes(now, DUE_AT_ONCE).await? {
        let Some(provider) = providers.of(dispute.issuer) else {
            store.delay_dispute(dispute.id, now).await?;
            continue;
        };
        match ask(store, provider.as_ref(), &dispute.provider_dispute, now).await {
            Ok(_) => followed += 1,
            Err(EventError::Store(error)) if error.is_unreachable() => return Err(error),
            Err(error) => {
                tracing::warn!(event = "dispute_not_followed", dispute = %dispute.id, %error);
                store.delay_dispute(dispute.id, now).await?;
            }
        }
    }
    Ok(followed)
}
