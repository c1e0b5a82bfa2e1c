//! Looking for disputes and payouts of which no event has told.

use common::{
    store::{Store, StoreError},
    time::Micros,
};

use super::{dispute, events::EventError, payout, provider::PaymentProvider, providers::Providers};

/// Time between two looks at a provider.
const LOOK_SECONDS: i64 = 3_600;

/// Age up to which disputes and payouts are looked for: 30 days.
const PAST_SECONDS: i64 = 30 * 86_400;

/// Asks each provider, once an hour, for disputes and payouts that are not known.
pub async fn look_for_missed(store: &Store, providers: &Providers, now: Micros) -> Result<u32, StoreError> {
    let mut found = 0;
    for provider in providers.all() {
        let (issuer, name) = (provider.issuer(), provider.name());
        let last = store.provider_look(issuer, name).await?;
        if last.is_some_and(|last| now < last.plus_seconds(LOOK_SECONDS)) {
            continue;
        }
        match look(store, provider.as_ref(), now).await {
            Ok(count) => found += count,
            Err(EventError::Store(error)) if error.is_unreachable() => return Err(error),
            Err(error) => {
                tracing::warn!(event = "provider_not_looked_at", provider = name, %issuer, %error);
                continue;
            }
        }
        store.keep_provider_look(issuer, name, now).await?;
    }
    Ok(found)
}

async fn look(store: &Store, provider: &dyn PaymentProvider, now: Micros) -> Result<u32, EventError> {
    let since = now.plus_seconds(-PAST_SECONDS);
    let mut found = 0;
    for told in provider.disputes_since(since).await? {
        found += u32::from(dispute::take(store, provider, &told, now).await?.is_some());
    }
    for name in provider.payouts_since(since).await? {
        payout::ask(store, provider, &name, now).await?;
        found += 1;
    }
    Ok(found)
}
