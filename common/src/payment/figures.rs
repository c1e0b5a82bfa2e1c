//! Figures about money for the metrics of operators. Each is read with an index, however many
//! invoices there are.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;

use super::AttemptStatus;
use crate::{
    store::{
        Store, StoreError,
        row::{count, instant, parsed},
    },
    time::Micros,
};

/// Most attempts that count, the newest first.
const ATTEMPTS: i64 = 1_000;

/// Figures about money.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MoneyFigures {
    /// Attempts to collect payments by status, of the last 1,000 and not before the time asked for.
    pub attempts: BTreeMap<AttemptStatus, u64>,
    /// Events that payment providers have told and that are not handled yet.
    pub unhandled_events: u64,
    /// Tenants that are refused because of an unpaid invoice of their own.
    pub unpaid_tenants: u64,
    /// Time at which the last invoice was finalized; none without an invoice.
    pub last_finalized: Option<Micros>,
}

impl Store {
    /// Reads the figures; attempts count if they began at `since` or later.
    pub async fn money_figures(&self, since: Micros) -> Result<MoneyFigures, StoreError> {
        let attempts = sqlx::query(
            "SELECT status, COUNT(*) AS attempts FROM (SELECT status, created_at FROM payment_attempts ORDER BY seq DESC \
             LIMIT $1) AS latest WHERE created_at >= $2 GROUP BY status",
        );
        let attempts = attempts.bind(ATTEMPTS).bind(since.0).fetch_all(&self.pool).await?;
        let by_status = |row: &AnyRow| Ok::<_, StoreError>((parsed(row, "status")?, count(row, "attempts")?));
        let finalized = sqlx::query("SELECT finalized_at FROM invoices ORDER BY seq DESC LIMIT 1");
        let finalized = finalized.fetch_optional(&self.pool).await?;
        Ok(MoneyFigures {
            attempts: attempts.iter().map(by_status).collect::<Result<_, _>>()?,
            unhandled_events: self
                .count_of("SELECT COUNT(*) AS found FROM provider_events WHERE handled_at IS NULL")
                .await?,
            unpaid_tenants: self
                .count_of("SELECT COUNT(*) AS found FROM tenants WHERE unpaid_invoice IS NOT NULL")
                .await?,
            last_finalized: finalized.map(|row| instant(&row, "finalized_at")).transpose()?,
        })
    }

    async fn count_of(&self, query: &'static str) -> Result<u64, StoreError> {
        let row = sqlx::query(query).fetch_one(&self.pool).await?;
        count(&row, "found")
    }
}
