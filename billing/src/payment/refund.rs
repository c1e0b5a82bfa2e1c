//! Refunds by the provider.

use common::{
    payment::{RefundAttempt, RefundState},
    store::{Store, StoreError},
    time::Micros,
};

use super::{
    provider::{PaymentProvider, ProviderError, Refund},
    providers::Providers,
};

/// Refunds that one look asks about.
const DUE_AT_ONCE: u32 = 200;

/// Takes a refund as far as the provider lets it go now. It is looked for there first, so that one whose
/// answer was lost is not asked for twice. An error is the store's.
pub async fn advance_refund(
    store: &Store,
    provider: &dyn PaymentProvider,
    attempt: RefundAttempt,
    now: Micros,
) -> Result<RefundAttempt, StoreError> {
    let found = match provider.find_refund(&attempt).await {
        Ok(None) => provider.create_refund(&attempt).await,
        Ok(Some(refund)) => Ok(refund),
        Err(error) => Err(error),
    };
    match found {
        Ok(Refund { id, state }) => {
            let after = store.follow_refund(attempt.id, &id, &state, now).await?;
            if after.status != attempt.status {
                let (payment, status) = (after.payment.id, after.status);
                tracing::info!(event = "refund_attempt", attempt = %after.id, %payment, %status);
            }
            Ok(after)
        }
        Err(error) => {
            tracing::warn!(event = "refund_attempt_refused", attempt = %attempt.id, payment = %attempt.payment.id, %error);
            match error {
                ProviderError::Silent { .. } | ProviderError::Unexpected { .. } => {
                    store.delay_refund(attempt.id, now).await?;
                    Ok(attempt)
                }
                ProviderError::Refused { code, .. } => failed(store, &attempt, code, now).await,
                ProviderError::Declined { failure, .. } => failed(store, &attempt, failure.code, now).await,
                ProviderError::Amount { .. } => failed(store, &attempt, "amount_not_chargeable".into(), now).await,
            }
        }
    }
}

async fn failed(
    store: &Store,
    attempt: &RefundAttempt,
    code: String,
    now: Micros,
) -> Result<RefundAttempt, StoreError> {
    let name = attempt.provider_refund.clone().unwrap_or_default();
    store.follow_refund(attempt.id, &name, &RefundState::Failed(code), now).await
}

/// Asks the providers about refunds that have not ended.
pub async fn follow_due_refunds(store: &Store, providers: &Providers, now: Micros) -> Result<u32, StoreError> {
    let mut followed = 0;
    for attempt in store.due_refunds(now, DUE_AT_ONCE).await? {
        let Some(provider) = providers.of(attempt.issuer()) else {
            store.delay_refund(attempt.id, now).await?;
            continue;
        };
        let (id, payment) = (attempt.id, attempt.payment.id);
        match advance_refund(store, provider.as_ref(), attempt, now).await {
            Ok(_) => followed += 1,
            // The others would fail as well.
            Err(error) if error.is_unreachable() => return Err(error),
            Err(error) => {
                tracing::error!(event = "refund_not_followed", attempt = %id, %payment, %error);
                store.delay_refund(id, now).await?;
            }
        }
    }
    Ok(followed)
}
