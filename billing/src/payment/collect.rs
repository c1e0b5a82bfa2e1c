//! Collecting what is open of invoices: the first attempt, the steps of dunning, and asking again what
//! has not been decided.
//!
//! Attempts are begun here and taken to the provider by the outbox; whatever neither it nor an event of
//! the provider has brought to an end is asked about each minute.

use common::{
    id::InvoiceId,
    invoice::{Invoice, InvoiceStatus},
    payment::{AttemptFailure, AttemptStatus, IntentState, PaymentAttempt, UnpaidInvoice},
    store::{Store, StoreError},
    time::Micros,
};

use super::{
    page,
    provider::{Intent, PaymentProvider, ProviderError},
    providers::Providers,
};

/// Attempts that one look asks about.
const DUE_AT_ONCE: u32 = 200;

/// Counts of one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// Attempts that were begun.
    pub begun: u32,
    /// Attempts that the provider was asked about.
    pub followed: u32,
    /// Steps of dunning that were taken.
    pub steps: u32,
}

/// Takes an attempt as far as the provider lets it go now. Whatever fails on the way is tried again from
/// the job; an error is the store's.
pub async fn advance(
    store: &Store,
    provider: &dyn PaymentProvider,
    attempt: PaymentAttempt,
    now: Micros,
) -> Result<PaymentAttempt, StoreError> {
    if attempt.is_by_page() {
        return page::advance(store, provider, attempt, now).await;
    }
    let answer = match &attempt.intent {
        None => provider.create_intent(&attempt).await,
        Some(intent) if attempt.status == AttemptStatus::Created => {
            let invoice = store.invoice(attempt.invoice).await?;
            if is_owed(&invoice, &attempt) {
                provider.confirm_intent(&attempt, intent).await
            } else {
                provider.cancel_intent(&attempt, intent).await
            }
        }
        Some(intent) => provider.intent(&attempt, intent).await,
    };
    match answer {
        Ok(Intent { id, state }) if attempt.intent.is_none() => {
            let named = store.name_intent(attempt.id, &id, now).await?;
            let named =
                if state == IntentState::Unconfirmed { named } else { follow(store, named, &state, now).await? };
            // Its first confirmation follows at once.
            if named.status == AttemptStatus::Created {
                Box::pin(advance(store, provider, named, now)).await
            } else {
                Ok(named)
            }
        }
        Ok(Intent { state, .. }) => follow(store, attempt, &state, now).await,
        Err(error) => refused(store, attempt, error, now).await,
    }
}

/// Returns true if the invoice still asks for what the attempt is to charge.
pub(super) fn is_owed(invoice: &Invoice, attempt: &PaymentAttempt) -> bool {
    invoice.status == InvoiceStatus::Finalized && invoice.open == attempt.amount
}

pub(super) async fn follow(
    store: &Store,
    attempt: PaymentAttempt,
    state: &IntentState,
    now: Micros,
) -> Result<PaymentAttempt, StoreError> {
    let after = store.follow_payment(attempt.id, state, now).await?;
    if after.status != attempt.status {
        let (invoice, status) = (after.invoice, after.status);
        let failure = after.failure.as_ref().map_or("", |failure| failure.code.as_str());
        tracing::info!(event = "payment_attempt", attempt = %after.id, %invoice, %status, failure);
    }
    Ok(after)
}

pub(super) async fn refused(
    store: &Store,
    attempt: PaymentAttempt,
    error: ProviderError,
    now: Micros,
) -> Result<PaymentAttempt, StoreError> {
    let failure = match &error {
        ProviderError::Silent { .. } | ProviderError::Unexpected { .. } => None,
        ProviderError::Declined { failure, .. } => Some(failure.clone()),
        ProviderError::Refused { code, .. } => Some(AttemptFailure { code: code.clone(), is_final: true }),
        ProviderError::Amount { .. } => Some(AttemptFailure { code: "amount_not_chargeable".into(), is_final: true }),
    };
    tracing::warn!(event = "payment_attempt_refused", attempt = %attempt.id, invoice = %attempt.invoice, %error);
    match failure {
        // An intent that exists may have been charged: only the provider's word on it ends the attempt.
        Some(failure) if attempt.intent.is_none() => store.fail_payment(attempt.id, failure, now).await,
        _ => {
            store.delay_payment(attempt.id, now).await?;
            Ok(attempt)
        }
    }
}

/// Asks the providers about attempts that have not ended.
pub async fn follow_due(store: &Store, providers: &Providers, now: Micros) -> Result<u32, StoreError> {
    let mut followed = 0;
    for attempt in store.due_payment_attempts(now, DUE_AT_ONCE).await? {
        let Some(provider) = providers.of(attempt.issuer) else {
            store.delay_payment(attempt.id, now).await?;
            continue;
        };
        let (id, invoice) = (attempt.id, attempt.invoice);
        match advance(store, provider.as_ref(), attempt, now).await {
            Ok(_) => followed += 1,
            Err(error) => {
                pass_by(invoice, error)?;
                store.delay_payment(id, now).await?;
            }
        }
    }
    Ok(followed)
}

/// Begins to collect invoices that are new, and takes the steps of dunning that are due.
pub async fn collect(store: &Store, providers: &Providers, now: Micros) -> Result<Collected, StoreError> {
    let mut done = Collected::default();
    let mut last = 0;
    loop {
        let page = store.unpaid_invoices(last).await?;
        let Some(end) = page.last() else { return Ok(done) };
        last = end.seq;
        for unpaid in &page {
            if let Err(error) = collect_one(store, providers, unpaid, now, &mut done).await {
                pass_by(unpaid.id, error)?;
            }
        }
    }
}

/// Logs the fault of one invoice, so that the others go on; an error if the store is not reached, as
/// they would fail as well.
fn pass_by(invoice: InvoiceId, error: StoreError) -> Result<(), StoreError> {
    if error.is_unreachable() {
        return Err(error);
    }
    tracing::error!(event = "invoice_not_collected", %invoice, %error);
    Ok(())
}

async fn collect_one(
    store: &Store,
    providers: &Providers,
    unpaid: &UnpaidInvoice,
    now: Micros,
    done: &mut Collected,
) -> Result<(), StoreError> {
    let provider = providers.of(unpaid.issuer);
    let method = match provider {
        Some(provider) => {
            let account = store.payment_account((unpaid.issuer, unpaid.tenant), provider.name()).await?;
            account.and_then(|account| account.method).map(|method| method.id)
        }
        None => None,
    };
    // A bank that took a payment back is not asked for the same again.
    let can_charge = method.is_some() && method != unpaid.useless_method && unpaid.taken_back_at.is_none();
    // A method that was not tried yet does not wait for a day of the campaign.
    let is_new = method.is_some() && method != unpaid.last_method;
    let begins = is_new && can_charge && !unpaid.is_attempted;
    if let Some(step) = unpaid.due_step(can_charge, now) {
        let by = provider.filter(|_| !unpaid.is_attempted).map(|provider| provider.name());
        if let Some(taken) = store.take_dunning_step(unpaid, step, by, now).await? {
            done.steps += 1;
            done.begun += u32::from(taken.begun.is_some());
            tracing::info!(event = "dunning_step", invoice = %unpaid.id, tenant = %unpaid.tenant, step = step.number, action = %step.action);
            if taken.begun.is_some() {
                return Ok(());
            }
        }
    }
    let Some(provider) = provider.filter(|_| begins) else { return Ok(()) };
    match store.begin_payment(unpaid.id, provider.name(), now, now).await {
        Ok(_) => done.begun += 1,
        // It was paid, or its method taken away, meanwhile.
        Err(StoreError::Conflict(_)) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
