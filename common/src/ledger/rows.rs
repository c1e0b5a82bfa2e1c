//! Rows of the ledger.

use std::collections::HashMap;

use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{Account, Cause, Entry, Posting};
use crate::{
    money::{Currency, Money},
    store::{
        StoreError,
        bulk::{self, Value},
        row::{corrupt, instant, parsed},
    },
};

/// Effect of a posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    /// It is in the ledger now.
    New,
    /// The same posting was in the ledger already.
    Before,
}

/// Writes a posting, in the transaction of its cause. A conflict: another posting has its key.
pub(crate) async fn post(connection: &mut AnyConnection, posting: &Posting) -> Result<Posted, StoreError> {
    let inserted = sqlx::query(
        "INSERT INTO ledger_postings (idempotency_key, issuer_id, tenant_id, currency, cause_kind, cause_id, at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (idempotency_key) DO NOTHING RETURNING seq",
    )
    .bind(&posting.key)
    .bind(posting.issuer.to_string())
    .bind(posting.tenant.to_string())
    .bind(posting.currency.code())
    .bind(posting.cause.kind.as_str())
    .bind(&posting.cause.id)
    .bind(posting.at.0)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = inserted else { return same(connection, posting).await };
    let seq: i64 = row.try_get("seq")?;
    for (place, entry) in (0_i64..).zip(&posting.entries) {
        sqlx::query("INSERT INTO ledger_entries (posting_seq, place, account, amount) VALUES ($1, $2, $3, $4)")
            .bind(seq)
            .bind(place)
            .bind(entry.account.as_str())
            .bind(entry.amount.minor())
            .execute(&mut *connection)
            .await?;
    }
    Ok(Posted::New)
}

/// Writes new postings, in the transaction of their causes. Refused by the store if one has a key that
/// is in the ledger already.
pub(crate) async fn post_all(connection: &mut AnyConnection, postings: &[Posting]) -> Result<(), StoreError> {
    let text = |text: &str| Value::Text(text.to_owned());
    let row = |posting: &Posting| {
        [
            text(&posting.key),
            Value::Text(posting.issuer.to_string()),
            Value::Text(posting.tenant.to_string()),
            text(posting.currency.code()),
            text(posting.cause.kind.as_str()),
            text(&posting.cause.id),
            Value::Number(posting.at.0),
        ]
    };
    let inserted = bulk::fetch(
        connection,
        "INSERT INTO ledger_postings (idempotency_key, issuer_id, tenant_id, currency, cause_kind, cause_id, at)",
        "RETURNING seq, idempotency_key",
        &postings.iter().map(row).collect::<Vec<_>>(),
    )
    .await?;
    let seqs: Result<HashMap<String, i64>, StoreError> =
        inserted.iter().map(|row| Ok((row.try_get("idempotency_key")?, row.try_get("seq")?))).collect();
    let seqs = seqs?;
    let mut entries = Vec::new();
    for posting in postings {
        let Some(seq) = seqs.get(&posting.key) else {
            return Err(corrupt("posting", format!("`{}` was not written", posting.key)));
        };
        let row = |(place, entry): (i64, &Entry)| {
            let (account, amount) = (text(entry.account.as_str()), Value::Number(entry.amount.minor()));
            [Value::Number(*seq), Value::Number(place), account, amount]
        };
        entries.extend((0_i64..).zip(&posting.entries).map(row));
    }
    let head = "INSERT INTO ledger_entries (posting_seq, place, account, amount)";
    bulk::execute(connection, head, "", &entries).await
}

/// Compares with the posting that has the key. Its time is not compared: a step that is run again
/// runs later.
async fn same(connection: &mut AnyConnection, posting: &Posting) -> Result<Posted, StoreError> {
    let row = sqlx::query(
        "SELECT seq, issuer_id, tenant_id, currency, cause_kind, cause_id, at FROM ledger_postings \
         WHERE idempotency_key = $1",
    )
    .bind(&posting.key)
    .fetch_one(&mut *connection)
    .await?;
    let stored = read_posting(connection, &posting.key, &row).await?;
    if (Posting { at: posting.at, ..stored }) == *posting {
        return Ok(Posted::Before);
    }
    Err(StoreError::conflict(format!("another posting of the ledger has the key `{}`", posting.key)))
}

async fn read_posting(connection: &mut AnyConnection, key: &str, row: &AnyRow) -> Result<Posting, StoreError> {
    let seq: i64 = row.try_get("seq")?;
    let currency = currency(row)?;
    let rows = sqlx::query("SELECT account, amount FROM ledger_entries WHERE posting_seq = $1 ORDER BY place")
        .bind(seq)
        .fetch_all(&mut *connection)
        .await?;
    let entries: Result<Vec<Entry>, StoreError> = rows.iter().map(|row| read_entry(row, currency)).collect();
    Ok(Posting {
        issuer: parsed(row, "issuer_id")?,
        tenant: parsed(row, "tenant_id")?,
        key: key.to_owned(),
        cause: read_cause(row)?,
        currency,
        at: instant(row, "at")?,
        entries: entries?,
    })
}

fn read_entry(row: &AnyRow, currency: Currency) -> Result<Entry, StoreError> {
    let account: Account = parsed(row, "account")?;
    Ok(Entry { account, amount: Money::from_minor(row.try_get("amount")?, currency) })
}

pub(crate) fn read_cause(row: &AnyRow) -> Result<Cause, StoreError> {
    Ok(Cause { kind: parsed(row, "cause_kind")?, id: row.try_get("cause_id")? })
}

pub(crate) fn currency(row: &AnyRow) -> Result<Currency, StoreError> {
    let code: String = row.try_get("currency")?;
    Currency::from_code(&code).ok_or_else(|| corrupt("currency", format!("`{code}` is not a currency")))
}
