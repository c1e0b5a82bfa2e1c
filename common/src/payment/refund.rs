//! Payments that go back by their provider.
//!
//! Invariants: a refund is a row before the provider hears of it, and is looked for there before it is
//! asked for again; what it takes is kept from other refunds until it has ended; the refund is
//! recorded with its posting once the provider says that it has succeeded.

use serde::Serialize;
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{
    attempt::AttemptStatus,
    record::{Payment, Way, find, refunded, write},
    request::{ProviderRequest, ask},
};
use crate::{
    id::{PaymentId, RefundAttemptId, TenantId},
    invoice::locked,
    ledger::rows::currency,
    money::Money,
    store::{
        Store, StoreError,
        row::{instant, instant_or_null, parsed},
        transaction::ChangeTransaction,
    },
    time::Micros,
};

/// Seconds until a refund is looked at again that the provider has not decided.
const CHECK_SECONDS: i64 = 60;

/// A payment that is to go back, in whole or in part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefundAttempt {
    /// Its id. The provider's idempotency key is made of it.
    pub id: RefundAttemptId,
    /// The payment.
    pub payment: Payment,
    /// The amount, above zero.
    pub amount: Money,
    /// Its status; it never needs the payer.
    pub status: AttemptStatus,
    /// The provider's name of it, once there is one.
    pub provider_refund: Option<String>,
    /// The provider's word for the reason for which it failed.
    pub failure: Option<String>,
    /// Time at which it began.
    pub created_at: Micros,
    /// Time of the last change.
    pub updated_at: Micros,
    /// Time from which on the provider is asked again; none once it has ended.
    pub check_at: Option<Micros>,
}

/// The state of a refund, as the provider tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundState {
    /// Not decided yet.
    Processing,
    /// The payer has it.
    Succeeded,
    /// The payer does not get it; the provider's word for the reason.
    Failed(String),
}

macro_rules! select_refunds {
    ($rest:literal) => {
        concat!(
            "SELECT id, payment_id, currency, amount, status, provider_refund, failure, created_at, updated_at, check_at \
             FROM refund_attempts ",
            $rest
        )
    };
}

impl Store {
    /// Begins to give a payment back by its provider. The outbox asks the provider from `ask_at` on:
    /// whoever asks at once himself leaves it some time. Refused: an amount of nothing or less, another
    /// currency. A conflict: more than is left of the payment, or than credit notes have taken back, less
    /// refunds that have not ended.
    pub async fn begin_refund(
        &self,
        payment: PaymentId,
        amount: Money,
        ask_at: Micros,
        now: Micros,
    ) -> Result<RefundAttempt, StoreError> {
        let mut change = self.begin_change(now).await?;
        let paid = find(change.connection(), payment).await?;
        let invoice = locked(&mut change, paid.invoice).await?;
        if amount.minor() <= 0 || amount.currency() != paid.amount.currency() {
            return Err(StoreError::refused(format!("amount: {amount} is not above zero in the payment's currency")));
        }
        let back = refunded(change.connection(), payment).await?;
        let of_payment = under_way(change.connection(), Some(payment), &invoice.id.to_string()).await?;
        let of_invoice = under_way(change.connection(), None, &invoice.id.to_string()).await?;
        let left = (paid.amount.minor() + back - of_payment).min(-invoice.open.minor() - of_invoice).max(0);
        if paid.refund_of.is_some() || amount.minor() > left {
            let left = Money::from_minor(left, amount.currency());
            return Err(StoreError::conflict(format!(
                "{left} of {payment} can go back: a credit note says first what the buyer does not owe"
            )));
        }
        let attempt = RefundAttempt {
            id: RefundAttemptId::generate(),
            payment: paid,
            amount,
            status: AttemptStatus::Created,
            provider_refund: None,
            failure: None,
            created_at: now,
            updated_at: now,
            check_at: Some(ask_at.plus_seconds(CHECK_SECONDS)),
        };
        sqlx::query(
            "INSERT INTO refund_attempts (id, payment_id, currency, amount, status, created_at, updated_at, check_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(attempt.id.to_string())
        .bind(payment.to_string())
        .bind(amount.currency().code())
        .bind(amount.minor())
        .bind(attempt.status.as_str())
        .bind(now.0)
        .bind(now.0)
        .bind(attempt.check_at.map(|at| at.0))
        .execute(change.connection())
        .await?;
        let request = (ProviderRequest::Refund(attempt.id), amount);
        ask(&mut change, &invoice, &attempt.payment.method, request, ask_at).await?;
        change.commit().await?;
        Ok(attempt)
    }

    /// Takes over what the provider says of a refund. If the payer has it, it is recorded in the same
    /// transaction. What has ended stays so.
    pub async fn follow_refund(
        &self,
        id: RefundAttemptId,
        provider_refund: &str,
        state: &RefundState,
        now: Micros,
    ) -> Result<RefundAttempt, StoreError> {
        let mut change = self.begin_change(now).await?;
        sqlx::query("UPDATE refund_attempts SET status = status WHERE id = $1")
            .bind(id.to_string())
            .execute(change.connection())
            .await?;
        let attempt = by_id(change.connection(), id).await?;
        if attempt.check_at.is_none() {
            return Ok(attempt);
        }
        let after = RefundAttempt { provider_refund: Some(provider_refund.to_owned()), updated_at: now, ..attempt };
        let after = match state {
            RefundState::Processing => RefundAttempt {
                status: AttemptStatus::Processing,
                check_at: Some(now.plus_seconds(CHECK_SECONDS)),
                ..after
            },
            RefundState::Succeeded => RefundAttempt { status: AttemptStatus::Succeeded, check_at: None, ..after },
            RefundState::Failed(failure) => {
                RefundAttempt { status: AttemptStatus::Failed, failure: Some(failure.clone()), check_at: None, ..after }
            }
        };
        if after.status == AttemptStatus::Succeeded {
            record(&mut change, &after, provider_refund).await?;
        }
        save(change.connection(), &after).await?;
        change.commit().await?;
        Ok(after)
    }

    /// A refund is to be looked at again in a minute, as the provider did not answer.
    pub async fn delay_refund(&self, id: RefundAttemptId, now: Micros) -> Result<(), StoreError> {
        let mut write = self.begin_write().await?;
        sqlx::query("UPDATE refund_attempts SET check_at = $1 WHERE id = $2 AND check_at IS NOT NULL")
            .bind(now.plus_seconds(CHECK_SECONDS).0)
            .bind(id.to_string())
            .execute(write.connection())
            .await?;
        write.commit().await
    }

    /// Refunds that the provider is to be asked about, those that have waited longest first.
    pub async fn due_refunds(&self, now: Micros, limit: u32) -> Result<Vec<RefundAttempt>, StoreError> {
        let rows = sqlx::query("SELECT id FROM refund_attempts WHERE check_at <= $1 ORDER BY check_at, seq LIMIT $2")
            .bind(now.0)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        let mut connection = self.pool.acquire().await?;
        let mut due = Vec::new();
        for row in &rows {
            due.push(by_id(&mut connection, parsed(row, "id")?).await?);
        }
        Ok(due)
    }

    /// A refund by its provider.
    pub async fn refund_attempt(&self, id: RefundAttemptId) -> Result<RefundAttempt, StoreError> {
        by_id(&mut *self.pool.acquire().await?, id).await
    }

    /// Refunds of a payment by its provider, oldest first.
    pub async fn refund_attempts(&self, payment: PaymentId) -> Result<Vec<RefundAttempt>, StoreError> {
        let paid = self.payment(payment).await?;
        let rows = sqlx::query(select_refunds!("WHERE payment_id = $1 ORDER BY seq"))
            .bind(payment.to_string())
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| read(row, paid.clone())).collect()
    }
}

impl RefundAttempt {
    /// The tenant that gives the payment back.
    pub fn issuer(&self) -> TenantId {
        self.payment.issuer
    }
}

/// Records that a payment went back.
async fn record(change: &mut ChangeTransaction, attempt: &RefundAttempt, reference: &str) -> Result<(), StoreError> {
    let invoice = locked(change, attempt.payment.invoice).await?;
    let now = change.now();
    let refund = Payment {
        id: PaymentId::generate(),
        amount: Money::from_minor(-attempt.amount.minor(), attempt.amount.currency()),
        reference: reference.to_owned(),
        refund_of: Some(attempt.payment.id),
        received_at: now,
        recorded_at: now,
        ..attempt.payment.clone()
    };
    write(change, &invoice, &refund, Way::REFUND).await
}

/// Sum of refunds that have not ended, of a payment or of all payments of an invoice.
async fn under_way(
    connection: &mut AnyConnection,
    payment: Option<PaymentId>,
    invoice: &str,
) -> Result<i64, StoreError> {
    let row = sqlx::query(
        "SELECT CAST(COALESCE(SUM(refund_attempts.amount), 0) AS BIGINT) AS amount FROM refund_attempts \
         JOIN payments ON payments.id = payment_id \
         WHERE check_at IS NOT NULL AND invoice_id = $1 AND (payments.id = $2 OR $3 = 1)",
    )
    .bind(invoice)
    .bind(payment.map_or_else(String::new, |payment| payment.to_string()))
    .bind(i64::from(payment.is_none()))
    .fetch_one(connection)
    .await?;
    Ok(row.try_get("amount")?)
}

async fn by_id(connection: &mut AnyConnection, id: RefundAttemptId) -> Result<RefundAttempt, StoreError> {
    let row =
        sqlx::query(select_refunds!("WHERE id = $1")).bind(id.to_string()).fetch_optional(&mut *connection).await?;
    let row = row.ok_or_else(|| StoreError::not_found("refund", &id))?;
    let payment = find(connection, parsed(&row, "payment_id")?).await?;
    read(&row, payment)
}

async fn save(connection: &mut AnyConnection, attempt: &RefundAttempt) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE refund_attempts SET status = $1, provider_refund = $2, failure = $3, updated_at = $4, check_at = $5 \
         WHERE id = $6",
    )
    .bind(attempt.status.as_str())
    .bind(attempt.provider_refund.clone())
    .bind(attempt.failure.clone())
    .bind(attempt.updated_at.0)
    .bind(attempt.check_at.map(|at| at.0))
    .bind(attempt.id.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

fn read(row: &AnyRow, payment: Payment) -> Result<RefundAttempt, StoreError> {
    Ok(RefundAttempt {
        id: parsed(row, "id")?,
        payment,
        amount: Money::from_minor(row.try_get("amount")?, currency(row)?),
        status: parsed(row, "status")?,
        provider_refund: row.try_get("provider_refund")?,
        failure: row.try_get("failure")?,
        created_at: instant(row, "created_at")?,
        updated_at: instant(row, "updated_at")?,
        check_at: instant_or_null(row, "check_at")?,
    })
}
