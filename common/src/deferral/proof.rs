//! Proof of deferred revenue: what `billing audit` looks for, and must not find.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use sqlx::{Row as _, any::AnyRow};

use super::rows::{beyond, read, select_deferrals};
use crate::{
    id::TenantId,
    ledger::rows::currency,
    money::{Currency, Money},
    store::{Store, StoreError, row::parsed},
};

/// Most faults of a kind that are told.
const FAULTS_MAX: usize = 100;

/// Rows that are read at once.
const PAGE_ROWS: i64 = 1_000;

/// Something about deferred revenue that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DeferralFault {
    /// The account is not what the lines have left.
    Balance {
        /// The issuer whose books it is in.
        issuer: TenantId,
        /// The tenant that owes the fees, or has paid them.
        tenant: TenantId,
        /// Sum of what lines have left.
        left: Money,
        /// Balance of the account `deferred_revenue`, as an amount that is owed.
        ledger: Money,
    },
    /// The recognized part of a line is not what was earned by then.
    Line {
        /// The invoice.
        invoice: String,
        /// Place of the line, from 0.
        line: usize,
        /// The part of what is left to earn that is recognized.
        recognized: Money,
        /// The part that was earned.
        earned: Money,
    },
}

impl fmt::Display for DeferralFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balance { issuer, tenant, left, ledger } => {
                write!(formatter, "fees of {tenant} have {left} left to be earned by {issuer}, the ledger {ledger}")
            }
            Self::Line { invoice, line, recognized, earned } => {
                write!(formatter, "line {line} of {invoice} has earned {earned}, and {recognized} of it is revenue")
            }
        }
    }
}

/// Sums by tenant, issuer and currency: left, and in the ledger.
type Sums = BTreeMap<(TenantId, TenantId, &'static str), (Money, Money)>;

impl Store {
    /// Deferred revenue that is not what the ledger has, or was not recognized by exact time; at
    /// most 100 of each kind.
    pub async fn deferral_faults(&self) -> Result<Vec<DeferralFault>, StoreError> {
        let mut faults = self.deferral_balances().await?;
        let (mut after, before) = ((String::new(), -1_i64), faults.len());
        loop {
            let rows = sqlx::query(select_deferrals!(
                "WHERE (invoice_id, line) > ($1, $2) ORDER BY invoice_id, line LIMIT $3"
            ))
            .bind(&after.0)
            .bind(after.1)
            .bind(PAGE_ROWS)
            .fetch_all(&self.pool)
            .await?;
            let Some(last) = rows.last() else { return Ok(faults) };
            after = (last.try_get("invoice_id")?, last.try_get("line")?);
            for row in &rows {
                let one = read(row)?;
                let recognized = one.recognized_of_rest().map_err(|error| beyond(&error))?;
                let earned = one.rest.by(one.recognized_until).map_err(|error| beyond(&error))?;
                if recognized != earned {
                    let (invoice, line) = (one.invoice.to_string(), one.line);
                    faults.push(DeferralFault::Line { invoice, line, recognized, earned });
                }
            }
            if faults.len() - before >= FAULTS_MAX {
                return Ok(faults);
            }
        }
    }

    /// Both sums, as of one instant.
    async fn deferral_balances(&self) -> Result<Vec<DeferralFault>, StoreError> {
        let mut snapshot = self.begin_snapshot().await?;
        let left = sqlx::query(
            "SELECT issuer_id, tenant_id, currency, CAST(SUM(amount - taken_back - recognized) AS BIGINT) AS amount \
             FROM deferrals GROUP BY issuer_id, tenant_id, currency",
        )
        .fetch_all(&mut *snapshot)
        .await?;
        let posted = sqlx::query(
            "SELECT issuer_id, tenant_id, currency, CAST(-SUM(amount) AS BIGINT) AS amount FROM ledger_postings \
             JOIN ledger_entries ON posting_seq = seq WHERE account = 'deferred_revenue' \
             GROUP BY issuer_id, tenant_id, currency",
        )
        .fetch_all(&mut *snapshot)
        .await?;
        snapshot.rollback().await?;
        let mut sums = Sums::new();
        for row in &left {
            let (issuer, tenant, currency, amount) = sum(row)?;
            let nothing = Money::zero(currency);
            sums.entry((tenant, issuer, currency.code())).or_insert((nothing, nothing)).0 = amount;
        }
        for row in &posted {
            let (issuer, tenant, currency, amount) = sum(row)?;
            let nothing = Money::zero(currency);
            sums.entry((tenant, issuer, currency.code())).or_insert((nothing, nothing)).1 = amount;
        }
        let differ = sums.into_iter().filter(|(_, (left, ledger))| left != ledger).take(FAULTS_MAX);
        let fault = |((tenant, issuer, _), (left, ledger))| DeferralFault::Balance { issuer, tenant, left, ledger };
        Ok(differ.map(fault).collect())
    }
}

fn sum(row: &AnyRow) -> Result<(TenantId, TenantId, Currency, Money), StoreError> {
    let currency = currency(row)?;
    let amount = Money::from_minor(row.try_get("amount")?, currency);
    Ok((parsed(row, "issuer_id")?, parsed(row, "tenant_id")?, currency, amount))
}
