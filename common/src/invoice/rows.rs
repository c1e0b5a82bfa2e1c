//! Rows of invoices.

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{Invoice, InvoiceStatus};
use crate::{
    dunning::resume_if_paid,
    id::InvoiceId,
    ledger::rows::currency,
    money::Money,
    store::{
        StoreError,
        row::{corrupt, instant, instant_or_null, parsed},
        transaction::ChangeTransaction,
    },
    time::Window,
};

macro_rules! select_invoices {
    ($rest:expr) => {
        concat!(
            "SELECT invoices.seq, invoices.id, number, issuer_id, tenant_id, invoices.kind, invoices.status, currency, \
             period_start, period_end, part, total, credit_used, open, finalized_at, due_at, content FROM invoices ",
            $rest
        )
    };
}

pub(super) use select_invoices;

pub(super) fn read(row: &AnyRow) -> Result<Invoice, StoreError> {
    let currency = currency(row)?;
    let start = instant_or_null(row, "period_start")?;
    let end = instant_or_null(row, "period_end")?;
    let content: String = row.try_get("content")?;
    Ok(Invoice {
        id: parsed(row, "id")?,
        number: row.try_get("number")?,
        issuer: parsed(row, "issuer_id")?,
        tenant: parsed(row, "tenant_id")?,
        kind: parsed(row, "kind")?,
        status: parsed(row, "status")?,
        part: u32::try_from(row.try_get::<i64, _>("part")?).map_err(|error| corrupt("part", error))?,
        period: start.zip(end).map(|(start, end)| Window { start, end }),
        total: Money::from_minor(row.try_get("total")?, currency),
        credit_used: Money::from_minor(row.try_get("credit_used")?, currency),
        open: Money::from_minor(row.try_get("open")?, currency),
        finalized_at: instant(row, "finalized_at")?,
        due_at: instant(row, "due_at")?,
        content: serde_json::from_str(&content).map_err(|error| corrupt("invoice", error))?,
    })
}

/// An invoice, whoever asks.
pub(super) async fn find(connection: &mut AnyConnection, id: InvoiceId) -> Result<Invoice, StoreError> {
    let row = sqlx::query(select_invoices!("WHERE id = $1")).bind(id.to_string()).fetch_optional(connection).await?;
    row.as_ref().map(read).transpose()?.ok_or_else(|| StoreError::not_found("invoice", &id))
}

/// An invoice that nobody else changes up to the end of the transaction.
pub(crate) async fn lock(connection: &mut AnyConnection, id: InvoiceId) -> Result<Invoice, StoreError> {
    sqlx::query("UPDATE invoices SET status = status WHERE id = $1")
        .bind(id.to_string())
        .execute(&mut *connection)
        .await?;
    find(connection, id).await
}

/// Writes what is open of an invoice, and the status that follows. A tenant that is refused because
/// of it is served again once nothing is to be paid.
pub(crate) async fn set_open(
    change: &mut ChangeTransaction,
    invoice: &Invoice,
    open: Money,
    status: InvoiceStatus,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE invoices SET open = $1, status = $2 WHERE id = $3")
        .bind(open.minor())
        .bind(status.as_str())
        .bind(invoice.id.to_string())
        .execute(change.connection())
        .await?;
    if status != InvoiceStatus::Finalized || open.minor() <= 0 {
        resume_if_paid(change, invoice.tenant, invoice.id).await?;
    }
    Ok(())
}
