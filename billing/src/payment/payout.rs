//! Payouts: what the provider says of them is taken over.

use common::{
    payment::Payout,
    store::{Store, StoreError},
    time::Micros,
};

use super::{events::EventError, provider::PaymentProvider, providers::Providers};

/// Payouts that one look asks about.
const DUE_AT_ONCE: u32 = 200;

/// Asks the provider about a payout, and takes over what it says.
pub(super) async fn ask(
    store: &Store,
    provider: &dyn PaymentProvider,
    name: &str,
    now: Micros,
) -> Result<Payout, EventError> {
    let told = provider.payout(name).await?;
    let payout = store.follow_payout(provider.issuer(), provider.name(), &told, now).await?;
    let (status, amount, unmatched) = (payout.status, payout.amount, payout.unmatched);
    if payout.reconciled_at == Some(now) {
        tracing::info!(event = "payout_reconciled", payout = %payout.id, %status, %amount, unmatched);
    }
    Ok(payout)
}

/// Asks the providers about payouts that have not arrived, are not posted, or may yet be refused.
pub async fn follow_due_payouts(store: &Store, providers: &Providers, now: Micros) -> Result<u32, StoreError> {
    let mut followed = 0;
    for payout in store.due_payouts(now, DUE_AT_ONCE).await? {
        let Some(provider) = providers.of(payout.issuer) else {
            store.delay_payout(payout.id, now).await?;
            continue;
        };
        match ask(store, provider.as_ref(), &payout.provider_payout, now).await {
            Ok(_) => followed += 1,
            Err(EventError::Store(error)) if error.is_unreachable() => return Err(error),
            Err(error) => {
                tracing::warn!(event = "payout_not_followed", payout = %payout.id, %error);
                store.delay_payout(payout.id, now).await?;
            }
        }
    }
    Ok(followed)
}
