//! Payments, and refunds of them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AmountError, amount};
use crate::{
    api::{instant::Instant, money::AmountDocument},
    id::{InvoiceId, PaymentId, TenantId},
    money::{Currency, Money},
    payment::{NewPayment, Payment},
    time::Micros,
};

/// The way in which a payment came, unless stated.
const METHOD: &str = "bank_transfer";

/// A payment that came in by a way that Tollgate does not follow itself.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPayment)]
pub struct NewPaymentBody {
    /// The amount in major units, above zero and at most what is open.
    #[schema(example = "103.80")]
    pub amount: String,
    /// The way in which it came: 1 to 64 of a-z, 0-9, - and _. `bank_transfer` unless stated.
    #[schema(pattern = "^[a-z0-9_-]{1,64}$", example = "bank_transfer")]
    pub method: Option<String>,
    /// Its name there, 1 to 200 characters. The same method and reference count once.
    #[schema(min_length = 1, max_length = 200, example = "statement 2026-12 line 7")]
    pub reference: String,
    /// Time at which it came; now unless stated.
    pub received_at: Option<Instant>,
}

/// A payment that went back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRefund)]
pub struct RefundBody {
    /// The amount in major units, above zero. A credit note says first that the buyer does not owe
    /// it.
    #[schema(example = "10.00")]
    pub amount: String,
    /// Its name in the way in which the payment came, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    pub reference: String,
}

/// A payment, or a refund of one.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Payment)]
pub struct PaymentDocument {
    /// Its id.
    #[schema(value_type = String, example = "pay_01jd0000000000000000000000")]
    pub id: PaymentId,
    /// The invoice.
    #[schema(value_type = String)]
    pub invoice: InvoiceId,
    /// The tenant that pays.
    #[schema(value_type = String)]
    pub tenant: TenantId,
    /// The amount; below zero for a refund.
    pub amount: AmountDocument,
    /// The way in which it came.
    pub method: String,
    /// Its name there.
    pub reference: String,
    /// The payment that went back; null for a payment.
    #[schema(value_type = Option<String>, required = true)]
    pub refund_of: Option<PaymentId>,
    /// Time at which it came.
    pub received_at: Instant,
    /// Time at which it was recorded.
    pub recorded_at: Instant,
}

impl NewPaymentBody {
    /// The payment of an invoice in this currency.
    pub fn payment(self, invoice: InvoiceId, currency: Currency, now: Micros) -> Result<NewPayment, AmountError> {
        Ok(NewPayment {
            invoice,
            amount: amount("amount", &self.amount, currency)?,
            method: self.method.unwrap_or_else(|| METHOD.into()),
            reference: self.reference,
            received_at: self.received_at.map_or(now, Into::into),
        })
    }
}

impl RefundBody {
    /// The amount, in the currency of the payment.
    pub fn amount(&self, currency: Currency) -> Result<Money, AmountError> {
        amount("amount", &self.amount, currency)
    }
}

impl From<Payment> for PaymentDocument {
    fn from(payment: Payment) -> Self {
        Self {
            id: payment.id,
            invoice: payment.invoice,
            tenant: payment.tenant,
            amount: payment.amount.into(),
            method: payment.method,
            reference: payment.reference,
            refund_of: payment.refund_of,
            received_at: payment.received_at.into(),
            recorded_at: payment.recorded_at.into(),
        }
    }
}
