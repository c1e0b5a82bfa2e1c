//! Disputes of payments, and payouts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    api::{instant::Instant, money::AmountDocument},
    id::{DisputeId, InvoiceId, PaymentId, PayoutId, TenantId},
    money::Currency,
    payment::{Dispute, DisputeStatus, Payout, PayoutItem, PayoutItemKind, PayoutStatus},
};

/// A payment that the payer's bank takes back, or may take back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Dispute)]
pub struct DisputeDocument {
    /// Its id.
    #[schema(value_type = String, example = "dsp_01jd0000000000000000000000")]
    pub id: DisputeId,
    /// The tenant that was paid.
    #[schema(value_type = String)]
    pub issuer: TenantId,
    /// The tenant that paid.
    #[schema(value_type = String)]
    pub tenant: TenantId,
    /// The invoice that was paid.
    #[schema(value_type = String)]
    pub invoice: InvoiceId,
    /// The payment.
    #[schema(value_type = String)]
    pub payment: PaymentId,
    /// The provider, as in `stripe`.
    pub provider: String,
    /// The provider's name of it.
    pub provider_dispute: String,
    /// Currency of its amount.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
    /// The amount that the payer wants back.
    pub amount: AmountDocument,
    /// Its status.
    pub status: DisputeStatus,
    /// The provider's word for the payer's reason.
    #[schema(example = "fraudulent")]
    pub reason: String,
    /// Time until which the provider takes evidence; null if it waits for none.
    #[schema(required = true)]
    pub evidence_due_at: Option<Instant>,
    /// Time at which it was opened.
    pub opened_at: Instant,
    /// Time of the last change.
    pub updated_at: Instant,
    /// Time at which it was closed; null while it is open.
    #[schema(required = true)]
    pub closed_at: Option<Instant>,
}

/// Money that a provider sends to an issuer's bank.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Payout)]
pub struct PayoutDocument {
    /// Its id.
    #[schema(value_type = String, example = "pyo_01jd0000000000000000000000")]
    pub id: PayoutId,
    /// The tenant that gets it.
    #[schema(value_type = String)]
    pub issuer: TenantId,
    /// The provider, as in `stripe`.
    pub provider: String,
    /// The provider's name of it.
    pub provider_payout: String,
    /// Currency of it and of its items.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
    /// The amount; below zero if the provider takes it from the bank.
    pub amount: AmountDocument,
    /// Its status.
    pub status: PayoutStatus,
    /// Time at which it arrives at the bank.
    pub arrives_at: Instant,
    /// Time at which the provider made it.
    pub created_at: Instant,
    /// Time at which its items were known and it was posted; null before.
    #[schema(required = true)]
    pub reconciled_at: Option<Instant>,
    /// Number of items that nothing here explains.
    pub unmatched: u32,
}

/// A part of a payout.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PayoutItem)]
pub struct PayoutItemDocument {
    /// The provider's name of it.
    pub id: String,
    /// The kind of thing that it stands for.
    pub kind: PayoutItemKind,
    /// The provider's name of that thing; null if the provider does not say.
    #[schema(required = true)]
    pub source: Option<String>,
    /// The amount before the fee.
    pub amount: AmountDocument,
    /// The fee: above zero if the issuer pays it.
    pub fee: AmountDocument,
    /// The id here of what it stands for; null if nothing is found.
    #[schema(required = true)]
    pub matched: Option<String>,
    /// The reason for which nothing is found; null otherwise.
    #[schema(required = true)]
    pub note: Option<String>,
}

impl From<Dispute> for DisputeDocument {
    fn from(dispute: Dispute) -> Self {
        Self {
            id: dispute.id,
            issuer: dispute.issuer,
            tenant: dispute.tenant,
            invoice: dispute.invoice,
            payment: dispute.payment,
            provider: dispute.provider,
            provider_dispute: dispute.provider_dispute,
            currency: dispute.amount.currency(),
            amount: dispute.amount.into(),
            status: dispute.status,
            reason: dispute.reason,
            evidence_due_at: dispute.evidence_due_at.map(Into::into),
            opened_at: dispute.opened_at.into(),
            updated_at: dispute.updated_at.into(),
            closed_at: dispute.closed_at.map(Into::into),
        }
    }
}

impl From<Payout> for PayoutDocument {
    fn from(payout: Payout) -> Self {
        Self {
            id: payout.id,
            issuer: payout.issuer,
            provider: payout.provider,
            provider_payout: payout.provider_payout,
            currency: payout.amount.currency(),
            amount: payout.amount.into(),
            status: payout.status,
            arrives_at: payout.arrives_at.into(),
            created_at: payout.created_at.into(),
            reconciled_at: payout.reconciled_at.map(Into::into),
            unmatched: payout.unmatched,
        }
    }
}

impl From<PayoutItem> for PayoutItemDocument {
    fn from(item: PayoutItem) -> Self {
        Self {
            id: item.told.id,
            kind: item.told.kind,
            source: item.told.source,
            amount: item.told.amount.into(),
            fee: item.told.fee.into(),
            matched: item.matched,
            note: item.note,
        }
    }
}
