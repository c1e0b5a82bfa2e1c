//! Attempts in the store.

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{AttemptFailure, PaymentAttempt};
use crate::{
    id::{InvoiceId, PaymentAttemptId},
    ledger::rows::currency,
    money::Money,
    store::{
        StoreError,
        row::{instant, instant_or_null, parsed},
        transaction::ChangeTransaction,
    },
};

macro_rules! select_attempts {
    ($rest:literal) => {
        concat!(
            "SELECT id, issuer_id, tenant_id, invoice_id, provider, customer, method, currency, amount, status, intent, \
             failure, is_final, page, action_url, created_at, updated_at, check_at FROM payment_attempts ",
            $rest
        )
    };
}
pub(super) use select_attempts;

/// An attempt that nobody else changes up to the end of the transaction.
pub(super) async fn lock(change: &mut ChangeTransaction, id: PaymentAttemptId) -> Result<PaymentAttempt, StoreError> {
    sqlx::query("UPDATE payment_attempts SET status = status WHERE id = $1")
        .bind(id.to_string())
        .execute(change.connection())
        .await?;
    let row =
        sqlx::query(select_attempts!("WHERE id = $1")).bind(id.to_string()).fetch_optional(change.connection()).await?;
    row.as_ref().map(read).transpose()?.ok_or_else(|| StoreError::not_found("payment attempt", &id))
}

/// The attempt of an invoice that has not ended.
pub(super) async fn open_of(
    connection: &mut AnyConnection,
    invoice: InvoiceId,
) -> Result<Option<PaymentAttempt>, StoreError> {
    let row = sqlx::query(select_attempts!("WHERE invoice_id = $1 AND check_at IS NOT NULL"))
        .bind(invoice.to_string())
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn insert(connection: &mut AnyConnection, attempt: &PaymentAttempt) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO payment_attempts (id, issuer_id, tenant_id, invoice_id, provider, customer, method, currency, \
         amount, status, created_at, updated_at, check_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(attempt.id.to_string())
    .bind(attempt.issuer.to_string())
    .bind(attempt.tenant.to_string())
    .bind(attempt.invoice.to_string())
    .bind(&attempt.provider)
    .bind(&attempt.customer)
    .bind(&attempt.method)
    .bind(attempt.amount.currency().code())
    .bind(attempt.amount.minor())
    .bind(attempt.status.as_str())
    .bind(attempt.created_at.0)
    .bind(attempt.updated_at.0)
    .bind(attempt.check_at.map(|at| at.0))
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn save(connection: &mut AnyConnection, attempt: &PaymentAttempt) -> Result<(), StoreError> {
    let failure = attempt.failure.as_ref();
    sqlx::query(
        "UPDATE payment_attempts SET status = $1, intent = $2, failure = $3, is_final = $4, action_url = $5, \
         updated_at = $6, check_at = $7, page = $8 WHERE id = $9",
    )
    .bind(attempt.status.as_str())
    .bind(attempt.intent.clone())
    .bind(failure.map(|failure| failure.code.clone()))
    .bind(i64::from(failure.is_some_and(|failure| failure.is_final)))
    .bind(attempt.action_url.clone())
    .bind(attempt.updated_at.0)
    .bind(attempt.check_at.map(|at| at.0))
    .bind(attempt.page.clone())
    .bind(attempt.id.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) fn read(row: &AnyRow) -> Result<PaymentAttempt, StoreError> {
    let failure: Option<String> = row.try_get("failure")?;
    let is_final = row.try_get::<i64, _>("is_final")? != 0;
    Ok(PaymentAttempt {
        id: parsed(row, "id")?,
        issuer: parsed(row, "issuer_id")?,
        tenant: parsed(row, "tenant_id")?,
        invoice: parsed(row, "invoice_id")?,
        provider: row.try_get("provider")?,
        customer: row.try_get("customer")?,
        method: row.try_get("method")?,
        amount: Money::from_minor(row.try_get("amount")?, currency(row)?),
        status: parsed(row, "status")?,
        intent: row.try_get("intent")?,
        failure: failure.map(|code| AttemptFailure { code, is_final }),
        page: row.try_get("page")?,
        action_url: row.try_get("action_url")?,
        created_at: instant(row, "created_at")?,
        updated_at: instant(row, "updated_at")?,
        check_at: instant_or_null(row, "check_at")?,
    })
}
