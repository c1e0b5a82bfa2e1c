//! Payments that a provider collects.

pub(super) mod attempts;
pub(super) mod disputes;
pub(super) mod events;
pub(super) mod methods;
pub(super) mod pages;
pub(super) mod payouts;
pub(super) mod refunds;

use common::{api::problem::ProblemCode, id::TenantId};

use super::services::Services;
use crate::{
    payment::{Provider, ProviderError},
    problem::Problem,
};

/// Time that a request has for asking the provider itself, before the outbox does.
const OWN_SECONDS: i64 = 60;

/// The provider that collects for an issuer.
fn provider(services: &Services, issuer: TenantId) -> Result<Provider, Problem> {
    services.providers.of(issuer).cloned().ok_or_else(|| {
        let detail =
            format!("{issuer} has no account with a payment provider: payments.stripe of billing.yaml names them");
        Problem::new(ProblemCode::Conflict, detail)
    })
}

/// The problem that a provider's error is to the caller.
fn refused(error: &ProviderError) -> Problem {
    match error {
        ProviderError::Silent { .. } | ProviderError::Unexpected { .. } => {
            tracing::warn!(event = "payment_provider_failed", %error);
            let detail = "the payment provider does not answer; the log of billing says why";
            Problem::new(ProblemCode::PaymentProviderUnavailable, detail)
        }
        ProviderError::Refused { .. } | ProviderError::Declined { .. } | ProviderError::Amount { .. } => {
            Problem::new(ProblemCode::Refused, error.to_string())
        }
    }
}
