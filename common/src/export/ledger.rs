//! Postings of an issuer's books, and the table of their entries.

use sqlx::{Row as _, any::AnyRow};

use super::{Export, PIECE_ROWS, Piece, Row};
use crate::{
    id::TenantId,
    ledger::{
        Account, Cause, Entry,
        rows::{currency, read_cause},
    },
    money::{Currency, Money},
    store::{
        StoreError,
        row::{instant, parsed},
    },
    time::Micros,
};

/// Columns of the table.
pub(super) const COLUMNS: &[&str] = &[
    "posting",
    "time",
    "issuer",
    "tenant",
    "tenant_name",
    "cause",
    "cause_id",
    "document",
    "account",
    "currency",
    "debit",
    "credit",
];

/// A posting with the names of what it is about.
pub(super) struct NamedPosting {
    pub(super) seq: i64,
    pub(super) at: Micros,
    pub(super) tenant: TenantId,
    pub(super) tenant_name: String,
    pub(super) cause: Cause,
    /// Number of the invoice or credit note; none for credit.
    pub(super) document: Option<String>,
    pub(super) currency: Currency,
    pub(super) entries: Vec<Entry>,
}

impl Export {
    /// The next postings of the books, and the place behind them.
    pub(super) async fn postings(
        &self,
        currency_only: Option<Currency>,
        after: i64,
    ) -> Result<(Vec<NamedPosting>, Option<i64>), StoreError> {
        let (issuer, window) = (self.query.tenant.to_string(), self.query.window);
        let code = currency_only.as_ref().map(Currency::code).unwrap_or_default();
        let places = sqlx::query(
            "SELECT seq FROM ledger_postings WHERE issuer_id = $1 AND seq > $2 AND at >= $3 AND at < $4 \
             AND ($5 = '' OR currency = $5) ORDER BY seq LIMIT $6",
        )
        .bind(issuer.clone())
        .bind(after)
        .bind(window.start.0)
        .bind(window.end.0)
        .bind(code)
        .bind(i64::from(PIECE_ROWS))
        .fetch_all(&self.store.pool)
        .await?;
        let Some(last) = places.last() else { return Ok((Vec::new(), None)) };
        let last: i64 = last.try_get("seq")?;
        let rows = sqlx::query(
            "SELECT ledger_postings.seq AS seq, at, ledger_postings.tenant_id AS tenant_id, tenants.name AS tenant_name, \
             cause_kind, cause_id, ledger_postings.currency AS currency, account, ledger_entries.amount AS amount, \
             COALESCE(invoices.number, credit_notes.number, paid.number) AS document FROM ledger_postings \
             JOIN ledger_entries ON posting_seq = ledger_postings.seq \
             JOIN tenants ON tenants.id = ledger_postings.tenant_id \
             LEFT JOIN invoices ON invoices.id = cause_id LEFT JOIN credit_notes ON credit_notes.id = cause_id \
             LEFT JOIN payments ON payments.id = cause_id LEFT JOIN invoices AS paid ON paid.id = payments.invoice_id \
             WHERE ledger_postings.issuer_id = $1 AND ledger_postings.seq > $2 AND ledger_postings.seq <= $3 \
             AND at >= $4 AND at < $5 AND ($6 = '' OR ledger_postings.currency = $6) \
             ORDER BY ledger_postings.seq, place",
        )
        .bind(issuer)
        .bind(after)
        .bind(last)
        .bind(window.start.0)
        .bind(window.end.0)
        .bind(code)
        .fetch_all(&self.store.pool)
        .await?;
        let mut postings: Vec<NamedPosting> = Vec::new();
        for row in &rows {
            let entry = read_entry(row)?;
            match postings.last_mut().filter(|posting| row.try_get("seq").ok() == Some(posting.seq)) {
                Some(posting) => posting.entries.push(entry),
                None => postings.push(read_posting(row, entry)?),
            }
        }
        Ok((postings, Some(last)))
    }

    /// Rows of the table.
    pub(super) async fn ledger_rows(&self, after: i64) -> Result<Piece, StoreError> {
        let (postings, next) = self.postings(None, after).await?;
        let mut piece = Vec::new();
        for posting in &postings {
            for entry in &posting.entries {
                let amount = Money::from_minor(entry.amount.minor().saturating_abs(), posting.currency).digits();
                let (debit, credit) =
                    if entry.amount.minor() > 0 { (amount.as_str(), "") } else { ("", amount.as_str()) };
                let row = Row::default()
                    .value(posting.seq)
                    .value(posting.at)
                    .value(self.query.tenant)
                    .value(posting.tenant)
                    .text(&posting.tenant_name)
                    .value(posting.cause.kind)
                    .text(&posting.cause.id)
                    .optional(posting.document.as_deref())
                    .value(entry.account)
                    .exact(posting.currency.code())
                    .exact(debit)
                    .exact(credit);
                piece.extend(row.end());
            }
        }
        Ok((piece, next))
    }
}

fn read_posting(row: &AnyRow, entry: Entry) -> Result<NamedPosting, StoreError> {
    Ok(NamedPosting {
        seq: row.try_get("seq")?,
        at: instant(row, "at")?,
        tenant: parsed(row, "tenant_id")?,
        tenant_name: row.try_get("tenant_name")?,
        cause: read_cause(row)?,
        document: row.try_get("document")?,
        currency: currency(row)?,
        entries: vec![entry],
    })
}

fn read_entry(row: &AnyRow) -> Result<Entry, StoreError> {
    let account: Account = parsed(row, "account")?;
    Ok(Entry { account, amount: Money::from_minor(row.try_get("amount")?, currency(row)?) })
}
