//! Disputes: payments that a payer's bank takes back through the provider.
//!
//! Invariants: a dispute is in the ledger with everything that the provider moves because of it, each
//! movement once; while it is open, what was taken stands on the account `disputed`; once it is lost,
//! the payment counts as gone back, so that the invoice is open again. What the provider says last
//! counts, so it does not matter how often and in which order it is heard.

mod effect;
mod list;
mod proof;
mod rows;

pub use list::DisputeFilter;
pub use proof::DisputeFault;
use serde::Serialize;

use super::record::Payment;
use crate::{
    event::emit,
    id::{DisputeId, InvoiceId, PaymentId, TenantId},
    invoice::locked,
    money::Money,
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
    },
    time::Micros,
    word::UnknownWord,
};

/// Seconds until an open dispute is looked at again. Banks take weeks.
const CHECK_SECONDS: i64 = 6 * 3_600;

/// A payment that the payer's bank takes back, or may take back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dispute {
    /// Its id.
    pub id: DisputeId,
    /// The tenant that was paid.
    pub issuer: TenantId,
    /// The tenant that paid.
    pub tenant: TenantId,
    /// The invoice that was paid.
    pub invoice: InvoiceId,
    /// The payment.
    pub payment: PaymentId,
    /// The provider, as in `stripe`.
    pub provider: String,
    /// The provider's name of it.
    pub provider_dispute: String,
    /// The amount that the payer wants back.
    pub amount: Money,
    /// Its status.
    pub status: DisputeStatus,
    /// The provider's word for the payer's reason, as in `fraudulent`.
    pub reason: String,
    /// Time until which the provider takes evidence, if it waits for any.
    pub evidence_due_at: Option<Micros>,
    /// Time at which it was opened.
    pub opened_at: Micros,
    /// Time of the last change.
    pub updated_at: Micros,
    /// Time at which it was closed.
    pub closed_at: Option<Micros>,
    /// Time from which on the provider is asked again; none once nothing more is to come.
    pub check_at: Option<Micros>,
}

/// Status of a dispute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "api", derive(serde::Deserialize, utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    /// The bank asks; no money was taken.
    Inquiry,
    /// The bank has not decided.
    Open,
    /// The issuer keeps the payment.
    Won,
    /// The payer has it back.
    Lost,
}

/// A dispute, as its provider tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldDispute {
    /// The provider's name of it.
    pub id: String,
    /// The provider's name of the payment.
    pub intent: String,
    /// The amount that the payer wants back.
    pub amount: Money,
    /// Its status.
    pub status: DisputeStatus,
    /// The provider's word for the payer's reason.
    pub reason: String,
    /// Time until which the provider takes evidence.
    pub evidence_due_at: Option<Micros>,
    /// Time at which it was opened.
    pub opened_at: Micros,
    /// Money that the provider has moved because of it so far.
    pub movements: Vec<DisputeMovement>,
}

/// Money that a provider moves because of a dispute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DisputeMovement {
    /// The provider's name of it.
    pub id: String,
    /// The amount without the fee: below zero if it was taken from the issuer.
    pub amount: Money,
    /// The fee: above zero if the issuer pays it.
    pub fee: Money,
}

impl DisputeStatus {
    const ALL: [Self; 4] = [Self::Inquiry, Self::Open, Self::Won, Self::Lost];

    /// The word in the store and in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inquiry => "inquiry",
            Self::Open => "open",
            Self::Won => "won",
            Self::Lost => "lost",
        }
    }

    /// Returns true once the bank has decided.
    pub const fn is_closed(self) -> bool {
        matches!(self, Self::Won | Self::Lost)
    }
}

impl std::str::FromStr for DisputeStatus {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let known = Self::ALL.into_iter().find(|status| status.as_str() == word);
        known.ok_or_else(|| UnknownWord::new("status of a dispute", "inquiry, open, won, lost", word))
    }
}

impl std::fmt::Display for DisputeStatus {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl Store {
    /// Takes over what a provider says of a dispute: its movements are posted, and if it is lost, the
    /// payment goes back in the same transaction. None if no payment of the issuer is meant. What is
    /// closed stays so; movements are posted even then.
    pub async fn follow_dispute(
        &self,
        issuer: TenantId,
        provider: &str,
        told: &ToldDispute,
        now: Micros,
    ) -> Result<Option<Dispute>, StoreError> {
        let mut change = self.begin_change(now).await?;
        let Some(payment) = rows::payment(change.connection(), issuer, provider, &told.intent).await? else {
            return Ok(None);
        };
        let invoice = locked(&mut change, payment.invoice).await?;
        let known = rows::by_name(change.connection(), issuer, provider, &told.id).await?;
        let before = known.as_ref().map(|dispute| dispute.status);
        let mut after = known.unwrap_or_else(|| new(&payment, told, now)).after(told, now);
        if before.is_none() {
            rows::insert(change.connection(), &after).await?;
        }
        for movement in &told.movements {
            effect::post_movement(&mut change, &after, movement).await?;
        }
        if after.status == DisputeStatus::Lost {
            effect::give_back(&mut change, &after, &payment, &invoice, told.movements.len()).await?;
        }
        // A payment that is to come back, or to go, is waited for.
        let taken = effect::taken(change.connection(), &after).await?;
        let is_over = after.status.is_closed() && taken.is_zero();
        after.check_at = (!is_over).then(|| now.plus_seconds(CHECK_SECONDS));
        rows::save(change.connection(), &after).await?;
        if before != Some(after.status) {
            audit(&mut change, &after).await?;
            let told = effect::events(before, &after, &invoice);
            emit(change.connection(), &told, now).await?;
        }
        change.commit().await?;
        Ok(Some(after))
    }

    /// A dispute is to be looked at again later, as the provider did not answer.
    pub async fn delay_dispute(&self, id: DisputeId, now: Micros) -> Result<(), StoreError> {
        let mut write = self.begin_write().await?;
        sqlx::query("UPDATE disputes SET check_at = $1 WHERE id = $2 AND check_at IS NOT NULL")
            .bind(now.plus_seconds(CHECK_SECONDS).0)
            .bind(id.to_string())
            .execute(write.connection())
            .await?;
        write.commit().await
    }
}

impl Dispute {
    /// The dispute once the provider has said this at `now`.
    fn after(self, told: &ToldDispute, now: Micros) -> Self {
        if self.status.is_closed() {
            return self;
        }
        Self {
            amount: told.amount,
            status: told.status,
            reason: told.reason.clone(),
            evidence_due_at: told.evidence_due_at,
            updated_at: now,
            closed_at: told.status.is_closed().then_some(now),
            ..self
        }
    }
}

/// A dispute of a payment that nobody has heard of before.
fn new(payment: &Payment, told: &ToldDispute, now: Micros) -> Dispute {
    Dispute {
        id: DisputeId::generate(),
        issuer: payment.issuer,
        tenant: payment.tenant,
        invoice: payment.invoice,
        payment: payment.id,
        provider: payment.method.clone(),
        provider_dispute: told.id.clone(),
        amount: told.amount,
        status: DisputeStatus::Inquiry,
        reason: told.reason.clone(),
        evidence_due_at: told.evidence_due_at,
        opened_at: told.opened_at,
        updated_at: now,
        closed_at: None,
        check_at: Some(now),
    }
}

async fn audit(change: &mut crate::store::transaction::ChangeTransaction, dispute: &Dispute) -> Result<(), StoreError> {
    let action = AuditAction::PaymentDispute;
    let (subject_kind, subject, tenant) = ("dispute", dispute.id.to_string(), Some(dispute.tenant));
    change.audit(Audited { action, subject_kind, subject, tenant, before: None, after: state(dispute)? }).await
}
