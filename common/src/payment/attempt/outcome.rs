//! Effects of an attempt: a payment with what is over, or the event that tells of it.

use super::{AttemptStatus, PaymentAttempt};
use crate::{
    event::{EventType, NewEvent},
    invoice::{Invoice, InvoiceStatus, details, locked},
    money::Money,
    payment::record::{NewPayment, by_reference, record},
    store::{StoreError, transaction::ChangeTransaction},
    wallet::{GrantKind, NewWalletGrant, PRIORITY_DEFAULT, WalletKey, grant},
};

/// The event of an attempt that has failed, or waits for its payer. It keeps its order with the events of
/// its invoice.
pub(super) async fn event(
    change: &mut ChangeTransaction,
    attempt: &PaymentAttempt,
    invoice: &Invoice,
) -> Result<Option<NewEvent>, StoreError> {
    let kind = match attempt.status {
        // Nobody needs to hear that a page was left.
        AttemptStatus::Failed if !attempt.is_by_page() => EventType::PaymentFailed,
        AttemptStatus::ActionRequired => EventType::PaymentActionRequired,
        _ => return Ok(None),
    };
    let dunning = details::read(change.connection(), attempt.issuer).await?.dunning;
    let failure = attempt.failure.as_ref();
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
        "reason": failure.map(|failure| &failure.code),
        "final": failure.is_some_and(|failure| failure.is_final),
        "action_url": attempt.action_url,
        "pay_at": dunning.and_then(|policy| policy.pay_at(attempt.invoice)),
    });
    Ok(Some(NewEvent { kind, tenant: attempt.tenant, object: attempt.invoice.to_string(), data }))
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
