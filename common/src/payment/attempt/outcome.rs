//! Effects of an attempt's end: a payment with what is over, or the event of a failure.

use super::{AttemptFailure, PaymentAttempt};
use crate::{
    event::{EventType, NewEvent},
    invoice::{Invoice, InvoiceStatus, locked},
    money::Money,
    payment::{NewPayment, by_reference, record},
    store::{StoreError, transaction::ChangeTransaction},
    wallet::{GrantKind, NewWalletGrant, PRIORITY_DEFAULT, WalletKey, grant},
};

/// The event of a failure. It keeps its order with the events of its invoice.
pub(super) fn failed(attempt: &PaymentAttempt, failure: &AttemptFailure, invoice: &Invoice) -> NewEvent {
    let data = serde_json::json!({
        "id": attempt.id,
        "invoice": attempt.invoice,
        "invoice_number": invoice.number,
        "issuer": { "tenant": attempt.issuer, "name": invoice.content.issuer.name },
        "buyer": { "tenant": attempt.tenant, "name": invoice.content.buyer.name },
        "currency": attempt.amount.currency().code(),
        "amount": attempt.amount.digits(),
        "open": invoice.open.digits(),
        "method": attempt.provider,
        "reason": failure.code,
        "final": failure.is_final,
    });
    NewEvent { kind: EventType::PaymentFailed, tenant: attempt.tenant, object: attempt.invoice.to_string(), data }
}

/// Records what an attempt has brought: as much as is open pays the invoice, the rest is the tenant's
/// money with the issuer.
pub(super) async fn take(
    change: &mut ChangeTransaction,
    attempt: &PaymentAttempt,
    amount: Money,
) -> Result<(), StoreError> {
    let now = change.now();
    let Some(intent) = attempt.intent.clone() else {
        return Err(StoreError::conflict(format!("{} is paid, and the provider has no name for it", attempt.id)));
    };
    let invoice: Invoice = locked(change, attempt.invoice).await?;
    let open = if invoice.status == InvoiceStatus::Finalized { invoice.open.minor().max(0) } else { 0 };
    let paid = Money::from_minor(amount.minor().min(open), amount.currency());
    let is_recorded = by_reference(change, &invoice, &attempt.provider, &intent).await?.is_some();
    if is_recorded {
        return Ok(());
    }
    if !paid.is_zero() {
        let new = NewPayment {
            invoice: invoice.id,
            amount: paid,
            method: attempt.provider.clone(),
            reference: intent.clone(),
            received_at: now,
        };
        record(change, &invoice, &new).await?;
    }
    let rest = amount.checked_sub(paid).map_err(|error| StoreError::refused(format!("amount: {error}")))?;
    if rest.is_zero() {
        return Ok(());
    }
    let key = WalletKey { issuer: attempt.issuer, tenant: attempt.tenant, currency: rest.currency() };
    let grant = NewWalletGrant {
        issuer: Some(attempt.issuer),
        tenant: attempt.tenant,
        amount: rest,
        kind: GrantKind::Paid,
        priority: PRIORITY_DEFAULT,
        expires_at: None,
        reference: intent,
        reason: Some(format!("paid for {} beyond what was open", invoice.number)),
    };
    grant::insert(change.connection(), &key, &grant, now).await.map(drop)
}
