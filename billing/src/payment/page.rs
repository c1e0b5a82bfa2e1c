//! Payments that the payer makes on a page of the provider: with another method than the saved one, or
//! because the bank wants the payer to confirm.

use common::{
    invoice::Invoice,
    payment::{AttemptFailure, IntentState, PaymentAttempt},
    store::{Store, StoreError},
    time::Micros,
};

use super::{
    collect::{follow, is_owed, refused},
    provider::{PageState, PaymentPage, PaymentProvider, ProviderError},
};

/// The reason for which there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The provider did not make one.
    #[error(transparent)]
    Provider(#[from] ProviderError),
}

/// The attempt of an invoice that waits for its payer on a page; the page of one that waits already is
/// given again.
pub async fn open_page(
    store: &Store,
    provider: &dyn PaymentProvider,
    invoice: &Invoice,
    back_to: &str,
    now: Micros,
) -> Result<PaymentAttempt, PageError> {
    let mut attempt = store.begin_page_payment(invoice.id, provider.name(), now).await?;
    if let Some(page) = &attempt.page {
        // It may be over by now, or the amount another.
        if is_owed(invoice, &attempt) && provider.page_state(page).await? == PageState::Open {
            return Ok(attempt);
        }
        attempt = advance(store, provider, attempt, now).await?;
        if attempt.check_at.is_some() {
            return Ok(attempt);
        }
        attempt = store.begin_page_payment(invoice.id, provider.name(), now).await?;
    }
    match provider.payment_page(&attempt, &invoice.number, back_to).await {
        Ok(PaymentPage { id, url }) => Ok(store.keep_payment_page(attempt.id, (&id, &url), now).await?),
        Err(error) => {
            refused(store, attempt, error.clone(), now).await?;
            Err(error.into())
        }
    }
}

/// Takes an attempt as far as its page has come.
pub(super) async fn advance(
    store: &Store,
    provider: &dyn PaymentProvider,
    attempt: PaymentAttempt,
    now: Micros,
) -> Result<PaymentAttempt, StoreError> {
    let Some(page) = attempt.page.clone() else {
        // Whoever asked for the page never got its address.
        return fail(store, attempt, "page_not_made", now).await;
    };
    let invoice = store.invoice(attempt.invoice).await?;
    let state =
        if is_owed(&invoice, &attempt) { provider.page_state(&page).await } else { provider.close_page(&page).await };
    match state {
        Ok(PageState::Open) => {
            store.delay_payment(attempt.id, now).await?;
            Ok(attempt)
        }
        Ok(PageState::Closed) => fail(store, attempt, "page_closed", now).await,
        Ok(PageState::Complete(intent)) => {
            let named = store.name_intent(attempt.id, &intent, now).await?;
            match provider.intent(&named, &intent).await {
                Ok(intent) => follow(store, named, &intent.state, now).await,
                Err(error) => refused(store, named, error, now).await,
            }
        }
        Err(error) => refused(store, attempt, error, now).await,
    }
}

async fn fail(store: &Store, attempt: PaymentAttempt, code: &str, now: Micros) -> Result<PaymentAttempt, StoreError> {
    let failure = AttemptFailure { code: code.to_owned(), is_final: false };
    follow(store, attempt, &IntentState::Failed(failure), now).await
}
