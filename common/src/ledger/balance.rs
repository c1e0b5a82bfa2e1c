//! Balances: sums of entries.

use serde::Serialize;
use sqlx::{Row as _, any::AnyRow};

use super::{
    Account, Cause, Posted, Posting,
    rows::{currency, post, read_cause},
};
use crate::{
    id::TenantId,
    money::Money,
    store::{
        Page, PageRequest, Store, StoreError,
        row::{instant, parsed},
    },
    tenant::row as tenants,
    time::Micros,
};

/// The balance of an account in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// The account.
    pub account: Account,
    /// Sum of its entries: above zero a debit.
    pub amount: Money,
}

/// An entry of a tenant's account, with what it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatementLine {
    /// Place in the ledger.
    pub seq: i64,
    /// Time at which it was posted.
    pub at: Micros,
    /// The issuer in whose books it is.
    pub issuer: TenantId,
    /// The thing that it comes from.
    pub cause: Cause,
    /// The account.
    pub account: Account,
    /// Above zero a debit, below zero a credit.
    pub amount: Money,
}

impl Store {
    /// Writes a posting by itself, for causes that change nothing else in the store.
    pub async fn post(&self, posting: &Posting) -> Result<Posted, StoreError> {
        let mut write = self.begin_write().await?;
        let posted = post(write.connection(), posting).await?;
        write.commit().await?;
        Ok(posted)
    }

    /// Balances of a tenant's accounts, over all issuers, by account and currency.
    pub async fn balances(&self, tenant: TenantId) -> Result<Vec<Balance>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        tenants::find(&mut connection, self.acting.scope, tenant).await?;
        let rows = sqlx::query(
            "SELECT account, currency, CAST(SUM(amount) AS BIGINT) AS amount FROM ledger_entries \
             JOIN ledger_postings ON seq = posting_seq WHERE tenant_id = $1 \
             GROUP BY account, currency ORDER BY account, currency",
        )
        .bind(tenant.to_string())
        .fetch_all(&mut *connection)
        .await?;
        rows.iter().map(read_balance).collect()
    }

    /// The trial balance of an issuer's books at an instant: every account over all tenants of the
    /// actor's scope. The balances of each currency sum to zero.
    pub async fn trial_balance(&self, issuer: TenantId, until: Option<Micros>) -> Result<Vec<Balance>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        tenants::find(&mut connection, self.acting.scope, issuer).await?;
        let rows = sqlx::query(
            "SELECT account, currency, CAST(SUM(amount) AS BIGINT) AS amount FROM ledger_entries \
             JOIN ledger_postings ON seq = posting_seq WHERE issuer_id = $1 AND at < $2 \
             GROUP BY account, currency ORDER BY account, currency",
        )
        .bind(issuer.to_string())
        .bind(until.map_or(i64::MAX, |until| until.0))
        .fetch_all(&mut *connection)
        .await?;
        rows.iter().map(read_balance).collect()
    }

    /// Entries of a tenant's accounts, or of one of them, in the order in which they were posted.
    pub async fn statement(
        &self,
        tenant: TenantId,
        account: Option<Account>,
        page: PageRequest,
    ) -> Result<Page<StatementLine>, StoreError> {
        let mut connection = self.pool.acquire().await?;
        tenants::find(&mut connection, self.acting.scope, tenant).await?;
        let rows = sqlx::query(
            "SELECT seq, place, at, issuer_id, currency, cause_kind, cause_id, account, amount FROM ledger_postings \
             JOIN ledger_entries ON posting_seq = seq WHERE tenant_id = $1 AND ($2 = '' OR account = $2) \
             AND seq * 1000 + place > $3 ORDER BY seq, place LIMIT $4",
        )
        .bind(tenant.to_string())
        .bind(account.map(Account::as_str).unwrap_or_default())
        .bind(page.begin())
        .bind(page.rows())
        .fetch_all(&mut *connection)
        .await?;
        let line = |row: &AnyRow| {
            let (seq, place): (i64, i64) = (row.try_get("seq")?, row.try_get("place")?);
            Ok::<_, StoreError>((seq * 1_000 + place, read_line(row, seq)?))
        };
        let found: Result<Vec<_>, _> = rows.iter().map(line).collect();
        Ok(page.page(found?))
    }
}

fn read_balance(row: &AnyRow) -> Result<Balance, StoreError> {
    let amount = Money::from_minor(row.try_get("amount")?, currency(row)?);
    Ok(Balance { account: parsed(row, "account")?, amount })
}

fn read_line(row: &AnyRow, seq: i64) -> Result<StatementLine, StoreError> {
    Ok(StatementLine {
        seq,
        at: instant(row, "at")?,
        issuer: parsed(row, "issuer_id")?,
        cause: read_cause(row)?,
        account: parsed(row, "account")?,
        amount: Money::from_minor(row.try_get("amount")?, currency(row)?),
    })
}
