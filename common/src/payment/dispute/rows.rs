//! Disputes in the store.

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::Dispute;
use crate::{
    id::{DisputeId, TenantId},
    ledger::rows::currency,
    money::Money,
    payment::record::{PAYMENT_BY_REFERENCE, Payment, read as read_payment},
    store::{
        Store, StoreError,
        row::{instant, instant_or_null, parsed},
        scope,
    },
    time::Micros,
};

macro_rules! select_disputes {
    ($rest:literal) => {
        concat!(
            "SELECT seq, id, issuer_id, tenant_id, invoice_id, payment_id, provider, provider_dispute, currency, amount, \
             status, reason, evidence_due_at, opened_at, updated_at, closed_at, check_at FROM disputes ",
            $rest
        )
    };
}
pub(super) use select_disputes;

impl Store {
    /// A dispute.
    pub async fn dispute(&self, id: DisputeId) -> Result<Dispute, StoreError> {
        let row = sqlx::query(select_disputes!("WHERE id = $1")).bind(id.to_string()).fetch_optional(&self.pool);
        let found = row.await?.as_ref().map(read).transpose()?.ok_or_else(|| StoreError::not_found("dispute", &id))?;
        let mut connection = self.pool.acquire().await?;
        if scope::holds_tenant(&mut connection, self.acting.scope, found.tenant).await? {
            return Ok(found);
        }
        Err(StoreError::not_found("dispute", &id))
    }

    /// Disputes that the provider is to be asked about, those that have waited longest first.
    pub async fn due_disputes(&self, now: Micros, limit: u32) -> Result<Vec<Dispute>, StoreError> {
        let rows = sqlx::query(select_disputes!("WHERE check_at <= $1 ORDER BY check_at, seq LIMIT $2"))
            .bind(now.0)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read).collect()
    }
}

/// The payment that a provider knows by this name.
pub(super) async fn payment(
    connection: &mut AnyConnection,
    issuer: TenantId,
    provider: &str,
    intent: &str,
) -> Result<Option<Payment>, StoreError> {
    let row = sqlx::query(PAYMENT_BY_REFERENCE)
        .bind(issuer.to_string())
        .bind(provider)
        .bind(intent)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read_payment).transpose()
}

/// The dispute that a provider knows by this name.
pub(super) async fn by_name(
    connection: &mut AnyConnection,
    issuer: TenantId,
    provider: &str,
    name: &str,
) -> Result<Option<Dispute>, StoreError> {
    let row = sqlx::query(select_disputes!("WHERE issuer_id = $1 AND provider = $2 AND provider_dispute = $3"))
        .bind(issuer.to_string())
        .bind(provider)
        .bind(name)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

pub(super) async fn insert(connection: &mut AnyConnection, dispute: &Dispute) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO disputes (id, issuer_id, tenant_id, invoice_id, payment_id, provider, provider_dispute, currency, \
         amount, status, reason, evidence_due_at, opened_at, updated_at, closed_at, check_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(dispute.id.to_string())
    .bind(dispute.issuer.to_string())
    .bind(dispute.tenant.to_string())
    .bind(dispute.invoice.to_string())
    .bind(dispute.payment.to_string())
    .bind(&dispute.provider)
    .bind(&dispute.provider_dispute)
    .bind(dispute.amount.currency().code())
    .bind(dispute.amount.minor())
    .bind(dispute.status.as_str())
    .bind(&dispute.reason)
    .bind(dispute.evidence_due_at.map(|at| at.0))
    .bind(dispute.opened_at.0)
    .bind(dispute.updated_at.0)
    .bind(dispute.closed_at.map(|at| at.0))
    .bind(dispute.check_at.map(|at| at.0))
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn save(connection: &mut AnyConnection, dispute: &Dispute) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE disputes SET amount = $1, status = $2, reason = $3, evidence_due_at = $4, updated_at = $5, \
         closed_at = $6, check_at = $7 WHERE id = $8",
    )
    .bind(dispute.amount.minor())
    .bind(dispute.status.as_str())
    .bind(&dispute.reason)
    .bind(dispute.evidence_due_at.map(|at| at.0))
    .bind(dispute.updated_at.0)
    .bind(dispute.closed_at.map(|at| at.0))
    .bind(dispute.check_at.map(|at| at.0))
    .bind(dispute.id.to_string())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) fn read(row: &AnyRow) -> Result<Dispute, StoreError> {
    Ok(Dispute {
        id: parsed(row, "id")?,
        issuer: parsed(row, "issuer_id")?,
        tenant: parsed(row, "tenant_id")?,
        invoice: parsed(row, "invoice_id")?,
        payment: parsed(row, "payment_id")?,
        provider: row.try_get("provider")?,
        provider_dispute: row.try_get("provider_dispute")?,
        amount: Money::from_minor(row.try_get("amount")?, currency(row)?),
        status: parsed(row, "status")?,
        reason: row.try_get("reason")?,
        evidence_due_at: instant_or_null(row, "evidence_due_at")?,
        opened_at: instant(row, "opened_at")?,
        updated_at: instant(row, "updated_at")?,
        closed_at: instant_or_null(row, "closed_at")?,
        check_at: instant_or_null(row, "check_at")?,
    })
}
