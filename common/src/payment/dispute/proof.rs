//! Proof of disputes: what `billing audit` looks for, and must not find.

use std::fmt;

use serde::Serialize;
use sqlx::Row as _;

use crate::{
    ledger::rows::currency,
    money::Money,
    store::{Store, StoreError},
};

/// Most faults that are told.
const FAULTS_MAX: i64 = 100;

/// Money of a dispute that is closed, or that nobody knows, and that still stands on `disputed`. A
/// dispute that is won waits for its money as long as the provider is asked.
const LEFT: &str = "SELECT issuer_id, tenant_id, currency, posted, expected FROM ( \
    SELECT ledger_postings.issuer_id AS issuer_id, ledger_postings.tenant_id AS tenant_id, \
    ledger_postings.currency AS currency, CAST(SUM(ledger_entries.amount) AS BIGINT) AS posted, \
    COALESCE((SELECT CAST(SUM(moved.amount) AS BIGINT) FROM disputes JOIN ledger_postings AS causes \
    ON causes.cause_kind = 'dispute' AND causes.cause_id = disputes.id JOIN ledger_entries AS moved \
    ON moved.posting_seq = causes.seq AND moved.account = 'disputed' WHERE disputes.check_at IS NOT NULL \
    AND disputes.issuer_id = ledger_postings.issuer_id AND disputes.tenant_id = ledger_postings.tenant_id \
    AND causes.currency = ledger_postings.currency AND disputes.status <> 'lost'), 0) AS expected \
    FROM ledger_postings JOIN ledger_entries ON posting_seq = ledger_postings.seq WHERE account = 'disputed' \
    GROUP BY ledger_postings.issuer_id, ledger_postings.tenant_id, ledger_postings.currency) AS compared \
    WHERE posted <> expected ORDER BY issuer_id, tenant_id, currency LIMIT $1";

/// The account `disputed` of a tenant is not what its open disputes hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DisputeFault {
    /// The tenant that was paid.
    pub issuer: String,
    /// The tenant that paid.
    pub tenant: String,
    /// Balance of the account.
    pub posted: Money,
    /// Money that open disputes hold.
    pub expected: Money,
}

impl fmt::Display for DisputeFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { issuer, tenant, posted, expected } = self;
        write!(
            formatter,
            "{posted} of {tenant} is disputed in the books of {issuer}, and open disputes hold {expected}"
        )
    }
}

impl Store {
    /// Tenants whose disputed money is not that of their open disputes, at most 100.
    pub async fn dispute_faults(&self) -> Result<Vec<DisputeFault>, StoreError> {
        let rows = sqlx::query(LEFT).bind(FAULTS_MAX).fetch_all(&self.pool).await?;
        let mut faults = Vec::new();
        for row in &rows {
            let money = |column| Ok::<_, StoreError>(Money::from_minor(row.try_get(column)?, currency(row)?));
            faults.push(DisputeFault {
                issuer: row.try_get("issuer_id")?,
                tenant: row.try_get("tenant_id")?,
                posted: money("posted")?,
                expected: money("expected")?,
            });
        }
        Ok(faults)
    }
}
