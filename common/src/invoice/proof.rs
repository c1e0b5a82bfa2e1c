//! Proof of invoices: what `billing audit` looks for, and must not find.

use std::fmt;

use serde::Serialize;
use sqlx::{Row as _, any::AnyRow};

use super::{
    Invoice,
    rows::{self, select_invoices},
};
use crate::{
    ledger::rows::currency,
    money::Money,
    store::{Store, StoreError},
};

/// Most faults of a kind that are told.
const FAULTS_MAX: i64 = 100;

/// Invoices whose contents are read at once.
const PAGE_ROWS: i64 = 500;

/// The open part of each invoice, against what is paid and credited.
const OPEN: &str = "SELECT id, currency, total - credit_used AS total, open, status, \
    COALESCE((SELECT CAST(SUM(total) AS BIGINT) FROM credit_notes WHERE invoice_id = invoices.id), 0) AS credited, \
    COALESCE((SELECT CAST(SUM(amount) AS BIGINT) FROM payments WHERE invoice_id = invoices.id), 0) AS paid \
    FROM invoices \
    WHERE open <> CASE WHEN status IN ('void', 'uncollectible') THEN 0 ELSE total - credit_used \
    - COALESCE((SELECT CAST(SUM(total) AS BIGINT) FROM credit_notes WHERE invoice_id = invoices.id), 0) \
    - COALESCE((SELECT CAST(SUM(amount) AS BIGINT) FROM payments WHERE invoice_id = invoices.id), 0) END \
    ORDER BY seq LIMIT $1";

/// The receivable of each document in the ledger, against its amount. A credit note and a payment
/// lower it.
const POSTED: &str = "SELECT kind, id, currency, amount, posted FROM ( \
    SELECT documents.kind AS kind, documents.id AS id, documents.currency AS currency, documents.amount AS amount, \
    COALESCE((SELECT CAST(SUM(ledger_entries.amount) AS BIGINT) FROM ledger_postings \
    JOIN ledger_entries ON posting_seq = ledger_postings.seq \
    WHERE cause_kind = documents.kind AND cause_id = documents.id AND account = 'receivable'), 0) AS posted FROM ( \
    SELECT 'invoice' AS kind, id, currency, total AS amount FROM invoices UNION ALL \
    SELECT 'credit_use', id, currency, CASE WHEN status = 'void' THEN 0 ELSE -credit_used END FROM invoices UNION ALL \
    SELECT 'credit_note', id, currency, -total FROM credit_notes UNION ALL \
    SELECT CASE WHEN amount < 0 THEN 'refund' ELSE 'payment' END, id, currency, -amount FROM payments \
    ) AS documents ) AS compared WHERE amount <> posted ORDER BY kind, id LIMIT $1";

/// Numbers of each series, against how many documents there are.
const NUMBERS: &str = "SELECT number_series.issuer_id AS issuer_id, number_series.series AS series, last_number, \
    COALESCE(MAX(documents.number), 0) AS highest, COUNT(documents.number) AS documents FROM number_series \
    LEFT JOIN (SELECT issuer_id, series, series_number AS number FROM invoices UNION ALL \
    SELECT issuer_id, series, series_number FROM credit_notes) AS documents \
    ON documents.issuer_id = number_series.issuer_id AND documents.series = number_series.series \
    GROUP BY number_series.issuer_id, number_series.series, last_number \
    HAVING last_number <> COUNT(documents.number) OR last_number <> COALESCE(MAX(documents.number), 0) \
    ORDER BY number_series.issuer_id, number_series.series LIMIT $1";

/// Something about invoices that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum InvoiceFault {
    /// The open part of an invoice is not its total less what is paid and credited.
    Open {
        /// The invoice.
        id: String,
        /// Its total, less credit of the wallet.
        total: Money,
        /// Credit notes.
        credited: Money,
        /// Payments less refunds.
        paid: Money,
        /// The part that the invoice says is open.
        open: Money,
    },
    /// The ledger has another amount than the document.
    Posted {
        /// The kind of document.
        document: String,
        /// Its id.
        id: String,
        /// The amount that it adds to what the tenant owes.
        amount: Money,
        /// The receivable in the ledger.
        posted: Money,
    },
    /// A series has gaps, or documents that were not numbered by it.
    Numbers {
        /// The issuer.
        issuer: String,
        /// The series.
        series: String,
        /// The last number that was given.
        last: i64,
        /// The number of documents.
        documents: i64,
    },
    /// The lines and taxes of an invoice do not add up to its total.
    Sum {
        /// The invoice.
        id: String,
        /// Its total.
        total: Money,
        /// The sum of its lines and their tax.
        sum: Money,
    },
}

impl fmt::Display for InvoiceFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { id, total, credited, paid, open } => {
                write!(formatter, "{open} of {id} is open, though of {total} {credited} is credited and {paid} is paid")
            }
            Self::Posted { document, id, amount, posted } => {
                write!(formatter, "{document} {id} adds {amount} to what is owed, and the ledger has {posted}")
            }
            Self::Numbers { issuer, series, last, documents } => {
                write!(
                    formatter,
                    "series {series} of {issuer} has given the number {last} and has {documents} documents"
                )
            }
            Self::Sum { id, total, sum } => {
                write!(formatter, "the lines of {id} add up to {sum}, and its total is {total}")
            }
        }
    }
}

impl Store {
    /// Invoices, credit notes and payments that do not agree with each other or with the ledger; at
    /// most 100 of each kind.
    pub async fn invoice_faults(&self) -> Result<Vec<InvoiceFault>, StoreError> {
        let mut faults = Vec::new();
        for row in sqlx::query(OPEN).bind(FAULTS_MAX).fetch_all(&self.pool).await? {
            let money = |column| Ok::<_, StoreError>(Money::from_minor(row.try_get(column)?, currency(&row)?));
            let (total, credited, paid, open) = (money("total")?, money("credited")?, money("paid")?, money("open")?);
            faults.push(InvoiceFault::Open { id: row.try_get("id")?, total, credited, paid, open });
        }
        for row in sqlx::query(POSTED).bind(FAULTS_MAX).fetch_all(&self.pool).await? {
            let money = |column| Ok::<_, StoreError>(Money::from_minor(row.try_get(column)?, currency(&row)?));
            let (amount, posted) = (money("amount")?, money("posted")?);
            faults.push(InvoiceFault::Posted {
                document: row.try_get("kind")?,
                id: row.try_get("id")?,
                amount,
                posted,
            });
        }
        for row in sqlx::query(NUMBERS).bind(FAULTS_MAX).fetch_all(&self.pool).await? {
            faults.push(numbers(&row)?);
        }
        self.sum_faults(&mut faults).await?;
        Ok(faults)
    }

    /// Adds up the frozen contents, page by page.
    async fn sum_faults(&self, faults: &mut Vec<InvoiceFault>) -> Result<(), StoreError> {
        let (mut after, before) = (0_i64, faults.len());
        loop {
            let rows = sqlx::query(select_invoices!("WHERE invoices.seq > $1 ORDER BY invoices.seq LIMIT $2"))
                .bind(after)
                .bind(PAGE_ROWS)
                .fetch_all(&self.pool)
                .await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = last.try_get("seq")?;
            for row in &rows {
                faults.extend(sum_fault(&rows::read(row)?));
            }
            if faults.len() - before >= usize::try_from(FAULTS_MAX).unwrap_or(usize::MAX) {
                return Ok(());
            }
        }
    }
}

fn numbers(row: &AnyRow) -> Result<InvoiceFault, StoreError> {
    Ok(InvoiceFault::Numbers {
        issuer: row.try_get("issuer_id")?,
        series: row.try_get("series")?,
        last: row.try_get("last_number")?,
        documents: row.try_get("documents")?,
    })
}

/// The fault of an invoice whose lines and taxes are not its total. Lines whose rule includes the
/// tax hold it already.
fn sum_fault(invoice: &Invoice) -> Option<InvoiceFault> {
    let content = &invoice.content;
    let tax: i128 = content.taxes.iter().map(|tax| i128::from(tax.tax_minor)).sum();
    let net: i128 = content.taxes.iter().map(|tax| i128::from(tax.net_minor)).sum();
    let lines: i128 = content.lines.iter().map(|line| i128::from(line.amount_minor)).sum();
    let included = content.taxes.iter().filter(|tax| tax.rule.is_inclusive());
    let included: i128 = included.map(|tax| i128::from(tax.tax_minor)).sum();
    let total = i128::from(invoice.total.minor());
    if lines - included == net && net + tax == total {
        return None;
    }
    let sum = i64::try_from(lines - included + tax).unwrap_or(i64::MAX);
    let sum = Money::from_minor(sum, content.currency);
    Some(InvoiceFault::Sum { id: invoice.id.to_string(), total: invoice.total, sum })
}
