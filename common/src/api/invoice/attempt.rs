//! Attempts to collect payments, saved payment methods, and steps of dunning.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AmountError, amount};
use crate::{
    api::{instant::Instant, money::AmountDocument},
    dunning::DunningAction,
    id::{InvoiceId, PaymentAttemptId, PaymentId, RefundAttemptId, TenantId},
    money::{Currency, Money},
    payment::{AttemptStatus, DunningStep, PaymentAccount, PaymentAttempt, RefundAttempt},
};

/// An attempt to collect a payment.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PaymentAttempt)]
pub struct PaymentAttemptDocument {
    /// Its id.
    #[schema(value_type = String, example = "pat_01jd0000000000000000000000")]
    pub id: PaymentAttemptId,
    /// The invoice.
    #[schema(value_type = String)]
    pub invoice: InvoiceId,
    /// The provider, as in `stripe`.
    pub provider: String,
    /// Currency of its amount.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
    /// The amount: what was open when it began.
    pub amount: AmountDocument,
    /// Its status.
    pub status: AttemptStatus,
    /// The provider's name of it; null until there is one.
    #[schema(required = true)]
    pub intent: Option<String>,
    /// The provider's word for the reason for which it failed; null if it did not.
    #[schema(required = true)]
    pub failure: Option<String>,
    /// True if the same method will not do later either.
    pub is_final: bool,
    /// Address at which the payer confirms it or pays, if it waits for that.
    #[schema(required = true)]
    pub action_url: Option<String>,
    /// Time at which it began.
    pub created_at: Instant,
    /// Time of the last change.
    pub updated_at: Instant,
}

/// A payment method that a provider keeps for a tenant. What is charged is not known here.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PaymentMethod)]
pub struct PaymentMethodDocument {
    /// The tenant that is paid by it.
    #[schema(value_type = String)]
    pub issuer: TenantId,
    /// The provider, as in `stripe`.
    pub provider: String,
    /// Text by which people know it, as in `visa 4242`; null if the tenant has saved none.
    #[schema(required = true)]
    pub label: Option<String>,
    /// Time of the last change.
    pub updated_at: Instant,
}

/// A payment method that was made at the provider, by a page with the provider's own script.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPaymentMethod)]
pub struct NewPaymentMethodBody {
    /// The tenant that is paid by it; the tenant above unless stated.
    #[schema(value_type = Option<String>)]
    pub issuer: Option<TenantId>,
    /// Its name at the provider.
    #[schema(min_length = 1, max_length = 200, example = "pm_1MqLiJLkdIwHu7ixUEgbFdYF")]
    pub method: String,
}

/// The page on which a tenant saves a payment method.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPaymentPage)]
pub struct NewPaymentPageBody {
    /// The tenant that is paid by it; the tenant above unless stated.
    #[schema(value_type = Option<String>)]
    pub issuer: Option<TenantId>,
    /// Address that the page leads to in the end.
    #[schema(max_length = 2_000)]
    pub back_to: String,
}

/// The page on which an invoice is paid.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewInvoicePage)]
pub struct NewInvoicePageBody {
    /// Address that the page leads to in the end.
    #[schema(max_length = 2_000)]
    pub back_to: String,
}

/// The address of a page of the provider.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PaymentPage)]
pub struct PaymentPageDocument {
    /// Its address.
    pub url: String,
}

/// A step that was taken against an unpaid invoice.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = DunningStep)]
pub struct DunningStepDocument {
    /// Its number in the campaign, from 0 on.
    pub number: u32,
    /// The action that it took.
    pub action: DunningAction,
    /// Time at which it was taken.
    pub taken_at: Instant,
}

impl From<PaymentAttempt> for PaymentAttemptDocument {
    fn from(attempt: PaymentAttempt) -> Self {
        let is_final = attempt.failure.as_ref().is_some_and(|failure| failure.is_final);
        Self {
            id: attempt.id,
            invoice: attempt.invoice,
            provider: attempt.provider,
            currency: attempt.amount.currency(),
            amount: attempt.amount.into(),
            status: attempt.status,
            intent: attempt.intent,
            failure: attempt.failure.map(|failure| failure.code),
            is_final,
            action_url: attempt.action_url,
            created_at: attempt.created_at.into(),
            updated_at: attempt.updated_at.into(),
        }
    }
}

impl From<PaymentAccount> for PaymentMethodDocument {
    fn from(account: PaymentAccount) -> Self {
        Self {
            issuer: account.issuer,
            provider: account.provider,
            label: account.method.map(|method| method.label),
            updated_at: account.updated_at.into(),
        }
    }
}

impl From<DunningStep> for DunningStepDocument {
    fn from(step: DunningStep) -> Self {
        Self { number: step.number, action: step.action, taken_at: step.taken_at.into() }
    }
}

/// A payment that is to go back by its provider.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewProviderRefund)]
pub struct NewProviderRefundBody {
    /// The amount in major units, above zero. A credit note says first that the buyer does not owe it.
    #[schema(example = "10.00")]
    pub amount: String,
}

/// A payment that goes back by its provider.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ProviderRefund)]
pub struct ProviderRefundDocument {
    /// Its id.
    #[schema(value_type = String, example = "ref_01jd0000000000000000000000")]
    pub id: RefundAttemptId,
    /// The payment.
    #[schema(value_type = String)]
    pub payment: PaymentId,
    /// The amount, above zero.
    pub amount: AmountDocument,
    /// Its status.
    pub status: AttemptStatus,
    /// The provider's name of it; null until there is one.
    #[schema(required = true)]
    pub provider_refund: Option<String>,
    /// The provider's word for the reason for which it failed; null if it did not.
    #[schema(required = true)]
    pub failure: Option<String>,
    /// Time at which it began.
    pub created_at: Instant,
    /// Time of the last change.
    pub updated_at: Instant,
}

impl NewProviderRefundBody {
    /// The amount, in the currency of the payment.
    pub fn amount(&self, currency: Currency) -> Result<Money, AmountError> {
        amount("amount", &self.amount, currency)
    }
}

impl From<RefundAttempt> for ProviderRefundDocument {
    fn from(attempt: RefundAttempt) -> Self {
        Self {
            id: attempt.id,
            payment: attempt.payment.id,
            amount: attempt.amount.into(),
            status: attempt.status,
            provider_refund: attempt.provider_refund,
            failure: attempt.failure,
            created_at: attempt.created_at.into(),
            updated_at: attempt.updated_at.into(),
        }
    }
}
