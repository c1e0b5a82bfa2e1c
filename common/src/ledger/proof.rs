//! Proof of the ledger: what `billing audit` looks for, and must not find.

use std::fmt;

use serde::Serialize;
use sqlx::{Row as _, any::AnyRow};

use super::rows::currency;
use crate::{
    money::Money,
    store::{Store, StoreError},
};

/// Most faults that are told.
const FAULTS_MAX: i64 = 100;

/// A posting that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerFault {
    /// Place in the ledger.
    pub seq: i64,
    /// Idempotency key.
    pub key: String,
    /// Number of its entries.
    pub entries: i64,
    /// Sum of its entries.
    pub sum: Money,
}

impl fmt::Display for LedgerFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, key, entries, sum } = self;
        write!(formatter, "posting {seq} (`{key}`) has {entries} entries that sum to {sum}")
    }
}

impl Store {
    /// Postings whose entries do not sum to zero, or that have none; in the order of the ledger,
    /// at most 100.
    pub async fn ledger_faults(&self) -> Result<Vec<LedgerFault>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq, idempotency_key, currency, COUNT(account) AS entries, \
             CAST(COALESCE(SUM(amount), 0) AS BIGINT) AS amount \
             FROM ledger_postings LEFT JOIN ledger_entries ON posting_seq = seq \
             GROUP BY seq, idempotency_key, currency \
             HAVING COALESCE(SUM(amount), 0) <> 0 OR COUNT(account) < 2 ORDER BY seq LIMIT $1",
        )
        .bind(FAULTS_MAX)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }
}

fn read(row: &AnyRow) -> Result<LedgerFault, StoreError> {
    Ok(LedgerFault {
        seq: row.try_get("seq")?,
        key: row.try_get("idempotency_key")?,
        entries: row.try_get("entries")?,
        sum: Money::from_minor(row.try_get("amount")?, currency(row)?),
    })
}
