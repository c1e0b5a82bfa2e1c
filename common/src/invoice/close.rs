//! Ends of an invoice that nobody pays: void, or uncollectible.

use sqlx::{AnyConnection, Row as _};

use super::{BilledUsage, Invoice, InvoiceStatus, OwnBill, event::of_status, lock, parts::section, set_open};
use crate::{
    deferral::take_back,
    event::emit,
    id::InvoiceId,
    ledger::{Account, Cause, CauseKind, Posting, rows::post},
    money::Money,
    name::validate_name,
    store::{
        Store, StoreError,
        audit_action::AuditAction,
        audit_log::{Audited, state},
        row::corrupt,
        transaction::ChangeTransaction,
    },
    time::Micros,
    wallet::draw::return_credit,
};

impl Store {
    /// Voids an invoice, as if it had never been issued: the next run bills its period and usage
    /// anew. Its number stays, and credit goes back to the wallet. A second time changes nothing. Refused: an empty reason. A conflict:
    /// an invoice of which something is paid or credited, that was given up, or of whose period a later
    /// invoice bills late usage.
    pub async fn void_invoice(&self, id: InvoiceId, reason: &str, now: Micros) -> Result<Invoice, StoreError> {
        check_reason(reason)?;
        let mut change = self.begin_change(now).await?;
        let invoice = locked(&mut change, id).await?;
        match invoice.status {
            InvoiceStatus::Void => return Ok(invoice),
            InvoiceStatus::Uncollectible => {
                return Err(StoreError::conflict(format!("{id} was given up: it cannot be voided any more")));
            }
            InvoiceStatus::Finalized | InvoiceStatus::Paid if paid(&invoice).minor() != 0 => {
                return Err(StoreError::conflict(format!(
                    "{} of {id} is paid or credited: correct it by a credit note",
                    paid(&invoice)
                )));
            }
            InvoiceStatus::Finalized | InvoiceStatus::Paid => {}
        }
        refuse_if_billed_later(change.connection(), &invoice).await?;
        let engine = change.engine();
        let taken = take_back(change.connection(), engine, id, None, now).await?.map_or(0, Money::minor);
        let content = &invoice.content;
        let money = |minor: i64| Money::from_minor(minor, content.currency);
        let entries = [
            (Account::Receivable, money(-invoice.total.minor())),
            (Account::Revenue, money(content.subtotal_minor.saturating_sub(taken))),
            (Account::DeferredRevenue, money(taken)),
            (Account::Tax, money(content.tax_minor)),
        ];
        post_close(&mut change, &invoice, CauseKind::InvoiceVoid, &entries).await?;
        return_credit(change.connection(), &invoice.id.to_string(), now).await?;
        finish(change, invoice, InvoiceStatus::Void, AuditAction::InvoiceVoid, reason).await
    }

    /// Gives up what is open of an invoice. A second time changes nothing. Refused: an empty reason.
    /// A conflict: an invoice that is paid or void.
    pub async fn write_off_invoice(&self, id: InvoiceId, reason: &str, now: Micros) -> Result<Invoice, StoreError> {
        check_reason(reason)?;
        let mut change = self.begin_change(now).await?;
        let invoice = locked(&mut change, id).await?;
        match invoice.status {
            InvoiceStatus::Uncollectible => return Ok(invoice),
            InvoiceStatus::Finalized if invoice.open.minor() > 0 => {}
            InvoiceStatus::Finalized | InvoiceStatus::Paid | InvoiceStatus::Void => {
                let status = invoice.status;
                return Err(StoreError::conflict(format!("{id} is {status}: nothing of it can be given up")));
            }
        }
        let minus = Money::from_minor(-invoice.open.minor(), invoice.open.currency());
        let entries = [(Account::WriteOff, invoice.open), (Account::Receivable, minus)];
        post_close(&mut change, &invoice, CauseKind::WriteOff, &entries).await?;
        finish(change, invoice, InvoiceStatus::Uncollectible, AuditAction::InvoiceWriteOff, reason).await
    }
}

/// Refuses to void an invoice of whose period another one bills late usage: the next run would bill
/// that again.
async fn refuse_if_billed_later(connection: &mut AnyConnection, invoice: &Invoice) -> Result<(), StoreError> {
    for bill in invoice.bills() {
        refuse_if_part_of_more(connection, invoice, &bill).await?;
        refuse_if_late_usage_is_billed(connection, invoice, &bill).await?;
    }
    Ok(())
}

async fn refuse_if_late_usage_is_billed(
    connection: &mut AnyConnection,
    invoice: &Invoice,
    bill: &OwnBill<'_>,
) -> Result<(), StoreError> {
    let start = bill.window.start;
    let rows = sqlx::query(
        "SELECT number, usage, section FROM bills WHERE issuer_id = $1 AND tenant_id = $2 AND period_start > $3 \
         AND status <> 'void' AND id <> $4 ORDER BY seq",
    )
    .bind(invoice.issuer.to_string())
    .bind(bill.tenant.to_string())
    .bind(start.0)
    .bind(invoice.id.to_string())
    .fetch_all(connection)
    .await?;
    for row in &rows {
        let text: String = row.try_get("usage")?;
        let usage: Vec<BilledUsage> = serde_json::from_str(&text).map_err(|error| corrupt("billed usage", error))?;
        let own = section(row)?;
        if usage.iter().any(|one| one.section == own && one.period_start == start) {
            let number: String = row.try_get("number")?;
            return Err(StoreError::conflict(format!(
                "{number} bills late usage of the period of {}: void that one first, or correct this one by a credit note",
                invoice.id
            )));
        }
    }
    Ok(())
}

/// Refuses to void an invoice that a later one takes as billed: one with fees in advance or a part of a
/// period, once another part of it or its end was billed.
async fn refuse_if_part_of_more(
    connection: &mut AnyConnection,
    invoice: &Invoice,
    bill: &OwnBill<'_>,
) -> Result<(), StoreError> {
    let own = bill.window.start;
    let mut starts: Vec<Micros> = bill.lines.iter().filter_map(|line| line.period).map(|one| one.start).collect();
    starts.retain(|start| *start > own);
    if bill.part > 0 {
        starts.push(own);
    }
    starts.dedup();
    for start in starts {
        let row = sqlx::query(
            "SELECT number FROM bills WHERE issuer_id = $1 AND tenant_id = $2 AND period_start = $3 \
             AND status <> 'void' AND seq > (SELECT own.seq FROM invoices AS own WHERE own.id = $4) ORDER BY seq LIMIT 1",
        )
        .bind(invoice.issuer.to_string())
        .bind(bill.tenant.to_string())
        .bind(start.0)
        .bind(invoice.id.to_string())
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(row) = row {
            let number: String = row.try_get("number")?;
            return Err(StoreError::conflict(format!(
                "{number} takes what {} bills as billed: void that one first, or correct this one by a credit note",
                invoice.id
            )));
        }
    }
    Ok(())
}

/// The invoice, in the actor's scope, which nobody else changes up to the end of the transaction.
pub(crate) async fn locked(change: &mut ChangeTransaction, id: InvoiceId) -> Result<Invoice, StoreError> {
    let invoice = lock(change.connection(), id).await?;
    change.require(invoice.tenant, "invoice", &id).await?;
    Ok(invoice)
}

async fn post_close(
    change: &mut ChangeTransaction,
    invoice: &Invoice,
    kind: CauseKind,
    entries: &[(Account, Money)],
) -> Result<(), StoreError> {
    if entries.iter().all(|(_, amount)| amount.is_zero()) {
        return Ok(());
    }
    let cause = Cause { kind, id: invoice.id.to_string() };
    let (key, now) = (format!("{kind}:{}", invoice.id), change.now());
    let posting = Posting::new((invoice.issuer, invoice.tenant), key, cause, now, entries)
        .map_err(|error| StoreError::refused(error.to_string()))?;
    post(change.connection(), &posting).await.map(drop)
}

/// Writes the end of an invoice, of which nothing is open then.
async fn finish(
    mut change: ChangeTransaction,
    invoice: Invoice,
    status: InvoiceStatus,
    action: AuditAction,
    reason: &str,
) -> Result<Invoice, StoreError> {
    let nothing = Money::zero(invoice.total.currency());
    set_open(&mut change, &invoice, nothing, status).await?;
    let before = state(&serde_json::json!({ "status": invoice.status, "open": invoice.open.to_string() }))?;
    let after = state(&serde_json::json!({ "status": status, "reason": reason }))?;
    let (subject_kind, subject, tenant) = ("invoice", invoice.id.to_string(), Some(invoice.tenant));
    change.audit(Audited { action, subject_kind, subject, tenant, before, after }).await?;
    let ended = Invoice { status, open: nothing, ..invoice };
    let events: Vec<_> = of_status(&ended).into_iter().collect();
    let now = change.now();
    emit(change.connection(), &events, now).await?;
    change.commit().await?;
    Ok(ended)
}

/// Refuses a reason that says nothing.
pub(crate) fn check_reason(reason: &str) -> Result<(), StoreError> {
    validate_name(reason).map_err(|error| StoreError::refused(format!("reason: {error}")))
}

/// The amount that payments and credit notes have taken off an invoice.
fn paid(invoice: &Invoice) -> Money {
    let taken = invoice.total.minor() - invoice.credit_used.minor() - invoice.open.minor();
    Money::from_minor(taken, invoice.total.currency())
}
