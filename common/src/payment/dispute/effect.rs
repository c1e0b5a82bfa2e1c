//! Effects of a dispute: postings, the payment that goes back, events.

use sqlx::{AnyConnection, Row as _};

use super::{Dispute, DisputeMovement, DisputeStatus};
use crate::{
    event::{EventType, NewEvent},
    id::PaymentId,
    invoice::{Invoice, InvoiceStatus},
    ledger::{Account, Cause, CauseKind, LedgerError, Posting, rows::post},
    money::Money,
    payment::record::{Payment, Way, by_reference, refunded, write},
    store::{StoreError, audit_action::AuditAction, transaction::ChangeTransaction},
};

/// Posts what the provider has moved. The amount is in the currency of the payment: if the provider
/// moves it in another, the whole dispute is meant.
pub(super) async fn post_movement(
    change: &mut ChangeTransaction,
    dispute: &Dispute,
    movement: &DisputeMovement,
) -> Result<(), StoreError> {
    let currency = dispute.amount.currency();
    let moved = match movement.amount.minor() {
        _ if movement.amount.currency() == currency => movement.amount,
        0 => Money::from_minor(0, currency),
        ..0 => minus(dispute.amount),
        1.. => dispute.amount,
    };
    let key = format!("dispute:{}:{}", dispute.id, movement.id);
    let taken = [(Account::Cash, moved), (Account::Disputed, minus(moved))];
    let fee = [(Account::Cash, minus(movement.fee)), (Account::Fees, movement.fee)];
    for (key, entries) in [(key.clone(), taken), (format!("{key}:fee"), fee)] {
        if !entries[0].1.is_zero() {
            post_entries(change, dispute, key, &entries).await?;
        }
    }
    Ok(())
}

/// Money that the provider holds back because of a dispute, and that is nobody's yet.
pub(super) async fn taken(connection: &mut AnyConnection, dispute: &Dispute) -> Result<Money, StoreError> {
    let row = sqlx::query(
        "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS amount FROM ledger_postings \
         JOIN ledger_entries ON posting_seq = seq WHERE account = 'disputed' AND currency = $1 \
         AND (cause_kind = 'dispute' AND cause_id = $2 OR cause_kind = 'refund' AND cause_id IN \
         (SELECT id FROM payments WHERE refund_of = $3 AND reference = $4))",
    )
    .bind(dispute.amount.currency().code())
    .bind(dispute.id.to_string())
    .bind(dispute.payment.to_string())
    .bind(&dispute.provider_dispute)
    .fetch_one(connection)
    .await?;
    Ok(Money::from_minor(row.try_get("amount")?, dispute.amount.currency()))
}

/// Has the payment of a lost dispute go back: as much of it as is left, so that the invoice is open
/// again. Money beyond it, and all of it if the invoice was given up, will not be paid any more.
pub(super) async fn give_back(
    change: &mut ChangeTransaction,
    dispute: &Dispute,
    payment: &Payment,
    invoice: &Invoice,
    movements: usize,
) -> Result<(), StoreError> {
    let taken = taken(change.connection(), dispute).await?;
    let left = payment.amount.minor() + refunded(change.connection(), payment.id).await?;
    let is_to_be_paid = matches!(invoice.status, InvoiceStatus::Finalized | InvoiceStatus::Paid);
    let is_first = by_reference(change, invoice, &payment.method, &dispute.provider_dispute).await?.is_none();
    let back = if is_to_be_paid && is_first { taken.minor().min(left).max(0) } else { 0 };
    let back = Money::from_minor(back, taken.currency());
    if !back.is_zero() {
        let gone = Payment {
            id: PaymentId::generate(),
            amount: minus(back),
            reference: dispute.provider_dispute.clone(),
            refund_of: Some(payment.id),
            received_at: change.now(),
            recorded_at: change.now(),
            ..payment.clone()
        };
        let way = Way { kind: CauseKind::Refund, action: AuditAction::PaymentRefund, through: Account::Disputed };
        write(change, invoice, &gone, way).await?;
    }
    let rest = taken.checked_sub(back).map_err(|error| StoreError::refused(format!("amount: {error}")))?;
    if rest.is_zero() {
        return Ok(());
    }
    let key = format!("dispute:{}:lost:{movements}", dispute.id);
    post_entries(change, dispute, key, &[(Account::WriteOff, rest), (Account::Disputed, minus(rest))]).await
}

async fn post_entries(
    change: &mut ChangeTransaction,
    dispute: &Dispute,
    key: String,
    entries: &[(Account, Money)],
) -> Result<(), StoreError> {
    let cause = Cause { kind: CauseKind::Dispute, id: dispute.id.to_string() };
    let posting = Posting::new((dispute.issuer, dispute.tenant), key, cause, change.now(), entries);
    let posting = posting.map_err(|error: LedgerError| StoreError::refused(format!("amount: {error}")))?;
    post(change.connection(), &posting).await.map(drop)
}

/// Events of a dispute that is new, or closed. They keep their order with those of its invoice.
pub(super) fn events(before: Option<DisputeStatus>, dispute: &Dispute, invoice: &Invoice) -> Vec<NewEvent> {
    let data = serde_json::json!({
        "id": dispute.id,
        "payment": dispute.payment,
        "invoice": dispute.invoice,
        "invoice_number": invoice.number,
        "issuer": { "tenant": dispute.issuer, "name": invoice.content.issuer.name },
        "buyer": { "tenant": dispute.tenant, "name": invoice.content.buyer.name },
        "currency": dispute.amount.currency().code(),
        "amount": dispute.amount.digits(),
        "status": dispute.status,
        "reason": dispute.reason,
        "evidence_due_at": dispute.evidence_due_at.map(|at| at.to_string()),
    });
    let opened = before.is_none().then_some(EventType::PaymentDisputed);
    let closed = dispute.status.is_closed().then_some(EventType::DisputeClosed);
    let event =
        |kind| NewEvent { kind, tenant: dispute.tenant, object: dispute.invoice.to_string(), data: data.clone() };
    opened.into_iter().chain(closed).map(event).collect()
}

const fn minus(amount: Money) -> Money {
    Money::from_minor(amount.minor().saturating_neg(), amount.currency())
}
