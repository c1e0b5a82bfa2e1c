//! Exports: the books, invoices and their costs as files for other programs.
//!
//! An export is written piece by piece, each of some hundred rows, so that it takes the same memory
//! however large it is. Pieces are read one after the other: what is finalized or posted meanwhile
//! within the window may or may not be in it, and nothing is in it twice.
//!
//! Invariants: amounts are digits, never floats; a cell of a table that comes from somebody's words is
//! never a formula for a spreadsheet.

mod accounts;
mod beancount;
mod datev;
mod focus;
mod invoices;
mod ledger;
mod row;

pub use accounts::{AccountMap, AccountMapError};
pub use datev::{DatevError, DatevProfile};
pub use invoices::InvoiceSide;
use row::Row;

use crate::{
    id::TenantId,
    store::{Store, StoreError},
    time::Window,
};

/// Rows that one piece is made of, or somewhat more: postings and invoices are not split.
const PIECE_ROWS: u32 = 500;

/// The content of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExportKind {
    /// Entries of the ledger, a row each.
    Ledger,
    /// Postings of the ledger as beancount reads them.
    Beancount(AccountMap),
    /// Postings of one currency as a batch for DATEV.
    Datev(Box<DatevProfile>),
    /// Invoices, a row each.
    Invoices(InvoiceSide),
    /// Lines of invoices and their tax, a row each.
    InvoiceLines(InvoiceSide),
    /// Costs by FOCUS 1.2, a row for each line and tax of invoices and credit notes.
    Focus {
        /// Includes invoices of every tenant below.
        subtree: bool,
    },
}

/// Selection of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportQuery {
    /// The issuer of the books, or the side of the invoices.
    pub tenant: TenantId,
    /// Postings and invoices from this time.
    pub window: Window,
    /// The content.
    pub kind: ExportKind,
}

/// An export that is being written.
pub struct Export {
    store: Store,
    query: ExportQuery,
    /// Place behind the rows that are written: none before the head, and the second for what follows
    /// the first list.
    after: Option<(Stage, i64)>,
}

/// The list that an export is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    First,
    CreditNotes,
    Done,
}

impl ExportKind {
    /// Content type of the file.
    pub const fn media_type(&self) -> &'static str {
        match self {
            Self::Beancount(_) => "text/plain; charset=utf-8",
            Self::Datev(_) => "text/csv; charset=windows-1252",
            Self::Ledger | Self::Invoices(_) | Self::InvoiceLines(_) | Self::Focus { .. } => {
                "text/csv; charset=utf-8; header=present"
            }
        }
    }

    /// Name of the file.
    pub const fn file_name(&self) -> &'static str {
        match self {
            Self::Ledger => "ledger.csv",
            Self::Beancount(_) => "ledger.beancount",
            Self::Datev(_) => "EXTF_Buchungsstapel.csv",
            Self::Invoices(_) => "invoices.csv",
            Self::InvoiceLines(_) => "invoice-lines.csv",
            Self::Focus { .. } => "focus.csv",
        }
    }
}

impl Store {
    /// Begins an export. A tenant outside the actor's scope is not found.
    pub async fn export(&self, query: ExportQuery) -> Result<Export, StoreError> {
        self.require_tenant(query.tenant).await?;
        Ok(Export { store: self.clone(), query, after: None })
    }
}

impl Export {
    /// The next piece of the file; none at its end.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((stage, after)) = self.after else {
            self.after = Some((Stage::First, 0));
            let head = self.head().await?;
            return if head.is_empty() { Box::pin(self.next()).await } else { Ok(Some(head)) };
        };
        if stage == Stage::Done {
            return Ok(None);
        }
        let (piece, next) = match (&self.query.kind, stage) {
            (ExportKind::Ledger, _) => self.ledger_rows(after).await?,
            (ExportKind::Beancount(accounts), _) => self.beancount_postings(accounts, after).await?,
            (ExportKind::Datev(profile), _) => self.datev_rows(profile, after).await?,
            (ExportKind::Invoices(side), _) => self.invoice_rows(*side, after).await?,
            (ExportKind::InvoiceLines(side), _) => self.line_rows(*side, after).await?,
            (ExportKind::Focus { subtree }, Stage::First) => self.focus_rows(*subtree, after).await?,
            (ExportKind::Focus { subtree }, _) => self.focus_corrections(*subtree, after).await?,
        };
        self.after = Some(match (next, stage, &self.query.kind) {
            (Some(place), ..) => (stage, place),
            (None, Stage::First, ExportKind::Focus { .. }) => (Stage::CreditNotes, 0),
            (None, ..) => (Stage::Done, 0),
        });
        if piece.is_empty() { Box::pin(self.next()).await } else { Ok(Some(piece)) }
    }

    async fn head(&self) -> Result<Vec<u8>, StoreError> {
        Ok(match &self.query.kind {
            ExportKind::Ledger => Row::header(ledger::COLUMNS),
            ExportKind::Beancount(accounts) => self.beancount_head(accounts).await?,
            ExportKind::Datev(profile) => self.datev_head(profile).await?,
            ExportKind::Invoices(_) => Row::header(invoices::COLUMNS),
            ExportKind::InvoiceLines(_) => Row::header(invoices::LINE_COLUMNS),
            ExportKind::Focus { .. } => Row::header(focus::COLUMNS),
        })
    }
}

/// A piece, and the place behind it; no place at the end of a list.
type Piece = (Vec<u8>, Option<i64>);
