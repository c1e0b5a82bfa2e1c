//! Asks payment providers to collect payments and to give them back.
//!
//! The row of the attempt says how far it has come, and every step may be repeated: a message only says
//! that it is time to go on. What is given up here goes on each minute by the job `collect_payments`.

use common::{
    outbox::{Message, PAYMENT},
    payment::{AttemptStatus, ProviderRequest},
    store::{Store, StoreError},
    time::Micros,
};

use super::{Deliverer, Delivering, Outcome, TellingEnd};
use crate::payment::{Providers, advance, advance_refund};

/// Waits between tries: 5 s, 30 s, 2 min, 10 min, 1 h.
const WAITS: [i64; 5] = [5, 30, 120, 600, 3_600];

/// Most requests of this process to the account of one issuer at a time.
const AT_ONCE: usize = 8;

/// Asks payment providers.
pub struct ProviderDeliverer {
    store: Store,
    providers: Providers,
}

impl ProviderDeliverer {
    /// A deliverer that asks these providers.
    pub const fn new(store: Store, providers: Providers) -> Self {
        Self { store, providers }
    }

    async fn ask(&self, request: ProviderRequest, now: Micros) -> Result<Outcome, StoreError> {
        let (status, is_silent) = match request {
            ProviderRequest::Collect(id) => {
                let attempt = self.store.payment_attempt(id).await?;
                let Some(provider) = self.providers.of(attempt.issuer) else { return Ok(no_account()) };
                let after = advance(&self.store, provider.as_ref(), attempt, now).await?;
                (after.status, after.status == AttemptStatus::Created)
            }
            ProviderRequest::Refund(id) => {
                let attempt = self.store.refund_attempt(id).await?;
                let Some(provider) = self.providers.of(attempt.issuer()) else { return Ok(no_account()) };
                let after = advance_refund(&self.store, provider.as_ref(), attempt, now).await?;
                (after.status, after.status == AttemptStatus::Created)
            }
        };
        if is_silent {
            return Ok(Outcome::Failed("the provider has not taken it; the log of billing says why".into()));
        }
        Ok(Outcome::Delivered(status.to_string()))
    }
}

fn no_account() -> Outcome {
    Outcome::Failed("its issuer has no account with a payment provider: payments.stripe of billing.yaml".into())
}

impl Deliverer for ProviderDeliverer {
    fn kind(&self) -> &'static str {
        PAYMENT
    }

    fn at_once(&self) -> usize {
        AT_ONCE
    }

    fn waits(&self) -> &'static [i64] {
        &WAITS
    }

    fn deliver<'a>(&'a self, message: &'a Message, now: Micros) -> Delivering<'a> {
        Box::pin(async move {
            let request = match serde_json::from_value::<ProviderRequest>(message.body.clone()) {
                Ok(request) => request,
                Err(error) => return Outcome::Refused(format!("the message asks for nothing that is known: {error}")),
            };
            match self.ask(request, now).await {
                Ok(outcome) => outcome,
                Err(StoreError::NotFound { .. }) => Outcome::Refused("the attempt is not there".into()),
                Err(error) => Outcome::Failed(error.to_string()),
            }
        })
    }

    fn given_up<'a>(&'a self, _message: &'a Message, _error: &'a str, _now: Micros) -> TellingEnd<'a> {
        Box::pin(std::future::ready(()))
    }
}
