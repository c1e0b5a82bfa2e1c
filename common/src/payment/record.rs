//! Payments and refunds, each written once with its posting and with what is open of its invoice.

use serde::Serialize;
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use crate::{
    event::{EventType, NewEvent, emit},
    id::{InvoiceId, PaymentId, TenantId},
    invoice::{Invoice, InvoiceStatus, check_reason, event::of_invoice, locked, set_open},
    ledger::{
        Account, Cause, CauseKind, Posting,
        rows::{currency, post},
    },
    money::Money,
    name::validate_name,
    plan::is_slug,
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        row::{instant, parsed, parsed_or_null},
        scope,
        transaction::ChangeTransaction,
    },
    time::Micros,
};

/// A payment that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPayment {
    /// The invoice that it pays.
    pub invoice: InvoiceId,
    /// The amount, above zero.
    pub amount: Money,
    /// The way in which it came, as in `bank_transfer`.
    pub method: String,
    /// Its name there, such as the number of a statement's line.
    pub reference: String,
    /// Time at which it came.
    pub received_at: Micros,
}

/// A payment, or a refund of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// The tenant that gets it.
    pub issuer: TenantId,
    /// The tenant that pays.
    pub tenant: TenantId,
    /// The invoice.
    pub invoice: InvoiceId,
    /// The amount; below zero for a refund.
    pub amount: Money,
    /// The way in which it came.
    pub method: String,
    /// Its name there.
    pub reference: String,
    /// The payment that went back, for a refund.
    pub refund_of: Option<PaymentId>,
    /// Time at which it came.
    pub received_at: Micros,
    /// Time at which it was recorded.
    pub recorded_at: Micros,
}

impl Store {
    /// Records a payment of an invoice. The same again, by method and reference, changes nothing.
    /// Refused: an amount of nothing or less, another currency, a method or reference that is no
    /// name. A conflict: more than is open, a void invoice, another payment with this reference.
    pub async fn record_payment(&self, new: &NewPayment, now: Micros) -> Result<Payment, StoreError> {
        check(new)?;
        let mut change = self.begin_change(now).await?;
        let invoice = locked(&mut change, new.invoice).await?;
        if let Some(before) = by_reference(&mut change, &invoice, &new.method, &new.reference).await? {
            return same(before, new);
        }
        let payment = record(&mut change, &invoice, new).await?;
        change.commit().await?;
        Ok(payment)
    }

    /// Records that a payment went back, in whole or in part. The same again, by reference, changes
    /// nothing. Refused: an amount of nothing or less, an empty reference. A conflict: more than is
    /// left of the payment, or than credit notes have taken back.
    pub async fn refund_payment(
        &self,
        payment: PaymentId,
        amount: Money,
        reference: &str,
        now: Micros,
    ) -> Result<Payment, StoreError> {
        check_reason(reference)?;
        let mut change = self.begin_change(now).await?;
        let paid = find(change.connection(), payment).await?;
        let invoice = locked(&mut change, paid.invoice).await?;
        let minus = Money::from_minor(amount.minor().saturating_neg(), amount.currency());
        if let Some(before) = by_reference(&mut change, &invoice, &paid.method, reference).await? {
            if (before.refund_of, before.amount) == (Some(payment), minus) {
                return Ok(before);
            }
            return Err(StoreError::conflict(format!("another payment has the reference `{reference}`")));
        }
        if amount.minor() <= 0 || amount.currency() != paid.amount.currency() {
            return Err(StoreError::refused(format!("amount: {amount} is not above zero in the payment's currency")));
        }
        let refunded = refunded(change.connection(), payment).await?;
        let left = (paid.amount.minor() + refunded).min(-invoice.open.minor()).max(0);
        if paid.refund_of.is_some() || amount.minor() > left {
            let left = Money::from_minor(left, amount.currency());
            return Err(StoreError::conflict(format!(
                "{left} of {payment} can go back: a credit note says first what the buyer does not owe"
            )));
        }
        let refund = Payment {
            id: PaymentId::generate(),
            amount: minus,
            reference: reference.to_owned(),
            refund_of: Some(payment),
            received_at: now,
            recorded_at: now,
            ..paid
        };
        write(&mut change, &invoice, &refund, Way::REFUND).await?;
        change.commit().await?;
        Ok(refund)
    }

    /// Payments of an invoice and their refunds, oldest first.
    pub async fn payments(&self, invoice: InvoiceId) -> Result<Vec<Payment>, StoreError> {
        self.invoice(invoice).await?;
        let rows = sqlx::query(PAYMENTS_OF_INVOICE).bind(invoice.to_string()).fetch_all(&self.pool).await?;
        rows.iter().map(read).collect()
    }

    /// A payment.
    pub async fn payment(&self, payment: PaymentId) -> Result<Payment, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let found = find(&mut connection, payment).await?;
        if scope::holds_tenant(&mut connection, self.acting.scope, found.tenant).await? {
            return Ok(found);
        }
        Err(StoreError::not_found("payment", &payment))
    }
}

const PAYMENTS_OF_INVOICE: &str = "SELECT id, issuer_id, tenant_id, invoice_id, currency, amount, method, reference, \
    refund_of, received_at, recorded_at FROM payments WHERE invoice_id = $1 ORDER BY seq";

const PAYMENT: &str = "SELECT id, issuer_id, tenant_id, invoice_id, currency, amount, method, reference, refund_of, \
    received_at, recorded_at FROM payments WHERE id = $1";

pub(crate) const PAYMENT_BY_REFERENCE: &str = "SELECT id, issuer_id, tenant_id, invoice_id, currency, amount, method, reference, \
    refund_of, received_at, recorded_at FROM payments WHERE issuer_id = $1 AND method = $2 AND reference = $3";

fn check(new: &NewPayment) -> Result<(), StoreError> {
    if new.amount.minor() <= 0 {
        return Err(StoreError::refused(format!("amount: {} is not above zero", new.amount)));
    }
    if !is_slug(&new.method) {
        return Err(StoreError::refused("method: use 1 to 64 characters of a-z, 0-9, - and _"));
    }
    validate_name(&new.reference).map_err(|error| StoreError::refused(format!("reference: {error}")))
}

/// The payment that has the reference already, if that is the same.
fn same(before: Payment, new: &NewPayment) -> Result<Payment, StoreError> {
    if (before.invoice, before.amount) == (new.invoice, new.amount) {
        return Ok(before);
    }
    let (method, reference) = (&new.method, &new.reference);
    Err(StoreError::conflict(format!("another payment by {method} has the reference `{reference}`: {}", before.id)))
}

/// Records a payment of a locked invoice. Refused: another currency. A conflict: more than is open, an
/// invoice that is not to be paid.
pub(crate) async fn record(
    change: &mut ChangeTransaction,
    invoice: &Invoice,
    new: &NewPayment,
) -> Result<Payment, StoreError> {
    if new.amount.currency() != invoice.open.currency() {
        let currency = invoice.open.currency().code();
        return Err(StoreError::refused(format!("amount: {} is owed in {currency}", invoice.id)));
    }
    if new.amount.minor() > invoice.open.minor() || invoice.status != InvoiceStatus::Finalized {
        let open = Money::from_minor(invoice.open.minor().max(0), invoice.open.currency());
        let status = invoice.status;
        return Err(StoreError::conflict(format!("{} is {status}, and {open} of it is open", invoice.id)));
    }
    let payment = Payment {
        id: PaymentId::generate(),
        issuer: invoice.issuer,
        tenant: invoice.tenant,
        invoice: invoice.id,
        amount: new.amount,
        method: new.method.clone(),
        reference: new.reference.clone(),
        refund_of: None,
        received_at: new.received_at,
        recorded_at: change.now(),
    };
    write(change, invoice, &payment, Way::PAYMENT).await?;
    Ok(payment)
}

/// The way in which a payment is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) kind: CauseKind,
    pub(crate) action: AuditAction,
    /// The account that has the money.
    pub(crate) through: Account,
}

impl Way {
    pub(crate) const PAYMENT: Self =
        Self { kind: CauseKind::Payment, action: AuditAction::PaymentRecord, through: Account::Cash };
    pub(crate) const REFUND: Self =
        Self { kind: CauseKind::Refund, action: AuditAction::PaymentRefund, through: Account::Cash };
}

/// Writes a payment with its posting, and what is open of the invoice then.
pub(crate) async fn write(
    change: &mut ChangeTransaction,
    invoice: &Invoice,
    payment: &Payment,
    Way { kind, action, through }: Way,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO payments (id, issuer_id, tenant_id, invoice_id, currency, amount, method, reference, refund_of, \
         received_at, recorded_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(payment.id.to_string())
    .bind(payment.issuer.to_string())
    .bind(payment.tenant.to_string())
    .bind(payment.invoice.to_string())
    .bind(payment.amount.currency().code())
    .bind(payment.amount.minor())
    .bind(&payment.method)
    .bind(&payment.reference)
    .bind(payment.refund_of.map(|of| of.to_string()))
    .bind(payment.received_at.0)
    .bind(payment.recorded_at.0)
    .execute(change.connection())
    .await?;
    let refused = |error: &dyn std::fmt::Display| StoreError::refused(format!("amount: {error}"));
    let minus = Money::from_minor(-payment.amount.minor(), payment.amount.currency());
    let entries = [(through, payment.amount), (Account::Receivable, minus)];
    let cause = Cause { kind, id: payment.id.to_string() };
    let key = format!("{kind}:{}", payment.id);
    let posting = Posting::new((payment.issuer, payment.tenant), key, cause, payment.recorded_at, &entries)
        .map_err(|error| refused(&error))?;
    post(change.connection(), &posting).await?;
    let open = invoice.open.checked_sub(payment.amount).map_err(|error| refused(&error))?;
    let status = match invoice.status {
        _ if open.minor() <= 0 => InvoiceStatus::Paid,
        // What had paid it went back.
        InvoiceStatus::Paid => InvoiceStatus::Finalized,
        before => before,
    };
    set_open(change, invoice, open, status).await?;
    let (subject_kind, subject, tenant) = ("payment", payment.id.to_string(), Some(payment.tenant));
    change.audit(Audited { action, subject_kind, subject, tenant, before: None, after: state(payment)? }).await?;
    let after = Invoice { status, open, ..invoice.clone() };
    let paid =
        (status == InvoiceStatus::Paid && invoice.status != status).then(|| of_invoice(EventType::InvoicePaid, &after));
    let events: Vec<_> = std::iter::once(event(payment, &after)).chain(paid).collect();
    emit(change.connection(), &events, payment.recorded_at).await
}

/// The event of a payment or a refund. It keeps its order with the events of its invoice.
fn event(payment: &Payment, invoice: &Invoice) -> NewEvent {
    let kind = if payment.refund_of.is_some() { EventType::PaymentRefunded } else { EventType::PaymentSucceeded };
    let data = serde_json::json!({
        "id": payment.id,
        "invoice": payment.invoice,
        "invoice_number": invoice.number,
        "issuer": { "tenant": payment.issuer, "name": invoice.content.issuer.name },
        "buyer": { "tenant": payment.tenant, "name": invoice.content.buyer.name },
        "currency": payment.amount.currency().code(),
        "amount": payment.amount.digits(),
        "open": invoice.open.digits(),
        "method": payment.method,
        "refund_of": payment.refund_of,
        "received_at": payment.received_at.to_string(),
    });
    NewEvent { kind, tenant: payment.tenant, object: payment.invoice.to_string(), data }
}

pub(crate) async fn by_reference(
    change: &mut ChangeTransaction,
    invoice: &Invoice,
    method: &str,
    reference: &str,
) -> Result<Option<Payment>, StoreError> {
    let row = sqlx::query(PAYMENT_BY_REFERENCE)
        .bind(invoice.issuer.to_string())
        .bind(method)
        .bind(reference)
        .fetch_optional(change.connection())
        .await?;
    row.as_ref().map(read).transpose()
}

pub(crate) async fn find(connection: &mut AnyConnection, id: PaymentId) -> Result<Payment, StoreError> {
    let row = sqlx::query(PAYMENT).bind(id.to_string()).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()?.ok_or_else(|| StoreError::not_found("payment", &id))
}

/// Sum of the refunds of a payment, below zero, in minor units.
pub(crate) async fn refunded(connection: &mut AnyConnection, payment: PaymentId) -> Result<i64, StoreError> {
    let row =
        sqlx::query("SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS amount FROM payments WHERE refund_of = $1")
            .bind(payment.to_string())
            .fetch_one(connection)
            .await?;
    Ok(row.try_get("amount")?)
}

pub(crate) fn read(row: &AnyRow) -> Result<Payment, StoreError> {
    Ok(Payment {
        id: parsed(row, "id")?,
        issuer: parsed(row, "issuer_id")?,
        tenant: parsed(row, "tenant_id")?,
        invoice: parsed(row, "invoice_id")?,
        amount: Money::from_minor(row.try_get("amount")?, currency(row)?),
        method: row.try_get("method")?,
        reference: row.try_get("reference")?,
        refund_of: parsed_or_null(row, "refund_of")?,
        received_at: instant(row, "received_at")?,
        recorded_at: instant(row, "recorded_at")?,
    })
}
