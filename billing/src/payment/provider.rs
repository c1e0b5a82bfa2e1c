//! Payment providers, as the rest of billing sees them.

use std::pin::Pin;

use common::{
    id::TenantId,
    payment::{AttemptFailure, IntentState, PaymentAttempt, RefundAttempt, RefundState, SavedMethod},
};

/// The answer of a provider, on its way.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, ProviderError>> + Send + 'a>>;

/// An intent: the provider's side of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Its name at the provider.
    pub id: String,
    /// Its state.
    pub state: IntentState,
}

/// A refund at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// Its name at the provider.
    pub id: String,
    /// Its state.
    pub state: RefundState,
}

/// A page of the provider on which a tenant saves a payment method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupPage {
    /// Its address.
    pub url: String,
}

/// A payment provider with the account of one issuer.
pub trait PaymentProvider: Send + Sync {
    /// Its name in the store, as in `stripe`.
    fn name(&self) -> &'static str;

    /// Makes a customer for a tenant; the same again gives the same. Returns its name there.
    fn create_customer<'a>(&'a self, tenant: TenantId, name: &'a str) -> Answer<'a, String>;

    /// A page on which the customer saves a method; it ends at `back_to`.
    fn setup_page<'a>(&'a self, customer: &'a str, back_to: &'a str) -> Answer<'a, SetupPage>;

    /// Gives a method that was made elsewhere to a customer.
    fn attach_method<'a>(&'a self, customer: &'a str, method: &'a str) -> Answer<'a, SavedMethod>;

    /// Makes the intent of an attempt, without a charge; the same again gives the same.
    fn create_intent<'a>(&'a self, attempt: &'a PaymentAttempt) -> Answer<'a, Intent>;

    /// Charges an intent. One that was charged stays so.
    fn confirm_intent<'a>(&'a self, attempt: &'a PaymentAttempt, intent: &'a str) -> Answer<'a, Intent>;

    /// Gives up an intent that was not charged; the state says whether it was in the end.
    fn cancel_intent<'a>(&'a self, attempt: &'a PaymentAttempt, intent: &'a str) -> Answer<'a, Intent>;

    /// The present state of an intent.
    fn intent<'a>(&'a self, attempt: &'a PaymentAttempt, intent: &'a str) -> Answer<'a, Intent>;

    /// The refund of an attempt, if the provider has heard of it.
    fn find_refund<'a>(&'a self, attempt: &'a RefundAttempt) -> Answer<'a, Option<Refund>>;

    /// Gives a payment back.
    fn create_refund<'a>(&'a self, attempt: &'a RefundAttempt) -> Answer<'a, Refund>;
}

/// The reason for which a provider did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It may have been done or not; ask again.
    #[error("{provider} does not answer: {reason}")]
    Silent {
        /// The provider.
        provider: &'static str,
        /// Error of the client.
        reason: String,
    },
    /// It was refused, and is again whenever it is repeated.
    #[error("{provider} refuses ({code}): {message}")]
    Refused {
        /// The provider.
        provider: &'static str,
        /// Its word for the reason.
        code: String,
        /// Its text.
        message: String,
    },
    /// It says that the payer's bank refuses.
    #[error("{provider} says that the payment is declined: {}", .failure.code)]
    Declined {
        /// The provider.
        provider: &'static str,
        /// The reason.
        failure: AttemptFailure,
    },
    /// The answer is not what the provider documents.
    #[error("{provider} answered something else than expected: {reason}")]
    Unexpected {
        /// The provider.
        provider: &'static str,
        /// Fault of the answer.
        reason: String,
    },
    /// The amount cannot be charged there.
    #[error("{provider} cannot charge {amount}: {reason}")]
    Amount {
        /// The provider.
        provider: &'static str,
        /// The amount.
        amount: String,
        /// The reason.
        reason: &'static str,
    },
}
