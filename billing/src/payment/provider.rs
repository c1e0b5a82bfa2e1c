//! Payment providers, as the rest of billing sees them.

use std::pin::Pin;

use common::{
    id::{PaymentAttemptId, TenantId},
    payment::{
        AttemptFailure, IntentState, PaymentAttempt, RefundAttempt, RefundState, SavedMethod, ToldDispute, ToldPayout,
    },
    time::Micros,
};

/// Largest distance between the time of a signature and ours, in seconds: Stripe's own default.
pub(super) const SIGNATURE_TOLERANCE_SECONDS: i64 = 300;

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

/// A page of the provider on which a payer pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentPage {
    /// Its name at the provider.
    pub id: String,
    /// Its address.
    pub url: String,
}

/// State of a page on which a payer pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageState {
    /// The payer may still pay there.
    Open,
    /// Nobody can pay there any more, and nobody has.
    Closed,
    /// The payer has paid, or has ordered the bank to, by this intent.
    Complete(String),
}

/// A payment method that a customer has saved on a page of the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The customer, by the provider's name.
    pub customer: String,
    /// The method.
    pub method: SavedMethod,
}

/// The thing that an event of a provider is about, by the provider's name of it. Its state is asked for
/// then: an event only says when to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// An intent.
    Intent {
        /// Its name.
        id: String,
        /// The attempt that it was made for, if the provider says so.
        attempt: Option<PaymentAttemptId>,
    },
    /// The saving of a method.
    Setup(String),
    /// A page on which a payer pays, and the attempt that it was made for.
    Page(PaymentAttemptId),
    /// A dispute.
    Dispute(String),
    /// A payout.
    Payout(String),
    /// Nothing that anything follows from.
    Nothing,
}

/// A payment provider with the account of one issuer.
pub trait PaymentProvider: Send + Sync {
    /// Its name in the store, as in `stripe`.
    fn name(&self) -> &'static str;

    /// The tenant that is paid into the account.
    fn issuer(&self) -> TenantId;

    /// Checks that an event comes from the provider, and is not an old one.
    fn check_event(&self, signature: &str, body: &[u8], now: Micros) -> Result<(), SignatureError>;

    /// The thing that an event is about.
    fn about(&self, kind: &str, body: &str) -> About;

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

    /// Makes a page on which the payer pays what an attempt is to collect; the same again gives the same.
    /// `title` says what is paid; it ends at `back_to`.
    fn payment_page<'a>(
        &'a self,
        attempt: &'a PaymentAttempt,
        title: &'a str,
        back_to: &'a str,
    ) -> Answer<'a, PaymentPage>;

    /// The present state of such a page.
    fn page_state<'a>(&'a self, page: &'a str) -> Answer<'a, PageState>;

    /// Closes such a page, unless it is paid already.
    fn close_page<'a>(&'a self, page: &'a str) -> Answer<'a, PageState>;

    /// The refund of an attempt, if the provider has heard of it.
    fn find_refund<'a>(&'a self, attempt: &'a RefundAttempt) -> Answer<'a, Option<Refund>>;

    /// Gives a payment back.
    fn create_refund<'a>(&'a self, attempt: &'a RefundAttempt) -> Answer<'a, Refund>;

    /// The method that was saved on a page, once it was.
    fn saved<'a>(&'a self, setup: &'a str) -> Answer<'a, Option<Saved>>;

    /// The present state of a dispute; none if it is about nothing that was charged from here.
    fn dispute<'a>(&'a self, dispute: &'a str) -> Answer<'a, Option<ToldDispute>>;

    /// Disputes that were opened since then.
    fn disputes_since(&self, since: Micros) -> Answer<'_, Vec<ToldDispute>>;

    /// The present state of a payout, with what it consists of.
    fn payout<'a>(&'a self, payout: &'a str) -> Answer<'a, ToldPayout>;

    /// Names of payouts that were made since then.
    fn payouts_since(&self, since: Micros) -> Answer<'_, Vec<String>>;
}

/// The reason for which an event does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The header cannot be read.
    #[error("the header Stripe-Signature is not of the form t=TIME,v1=SIGNATURE")]
    Malformed,
    /// The time is too far from ours.
    #[error("the signature is of {0} s: more than {SIGNATURE_TOLERANCE_SECONDS} s from now")]
    Old(i64),
    /// No signature is made with one of the secrets.
    #[error("no signature of the header Stripe-Signature is right for this body")]
    Wrong,
}

/// The reason for which a provider did not do what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
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
