//! Invoices: what a tenant owes an issuer, frozen as it was when it was finalized.
//!
//! Invariants: a finalized invoice never changes, but for its status and what is open of it. Its
//! number follows the one before it in the series of its issuer, without a gap. It is written in
//! one transaction with its number, its posting in the [`crate::ledger`] and the credit of the
//! wallet that it uses. There is one invoice for each issuer, tenant, currency, period and part of
//! it; a voided one makes room for another. An invoice for several tenants has a section for each
//! of those, and is for the tenant that pays for them.
//!
//! The issuer of an invoice is the owner of the plan that it bills.

mod close;
mod collective;
mod content;
pub mod correction;
mod credit_note;
pub(crate) mod details;
pub(crate) mod event;
mod finalize;
mod freeze;
mod incomplete;
mod line;
mod list;
mod parts;
mod proof;
mod rows;
mod series;
pub mod tax;

use std::{fmt, str::FromStr};

pub(crate) use close::{check_reason, locked};
pub use content::{BilledPeriod, BilledUsage, Counts, InvoiceContent, Party, PinnedPlan, Section, TaxLine};
pub use credit_note::{CreditNote, CreditNoteLine, NewCreditNote};
pub use details::{Address, BillingDetails, DetailsError};
pub use finalize::{Finalized, NewInvoice};
pub use line::{InvoiceLine, LineKind};
pub use list::{BilledInvoice, InvoiceFilter, InvoiceSpan};
pub use parts::BilledBefore;
pub use proof::InvoiceFault;
pub(crate) use rows::{lock, set_open};
use serde::{Deserialize, Serialize};

use crate::{
    id::{InvoiceId, TenantId},
    money::Money,
    time::{Micros, Window},
    word::UnknownWord,
};

/// A finalized invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invoice {
    /// Its id.
    pub id: InvoiceId,
    /// Its number in the issuer's books, as in `INV-000042`.
    pub number: String,
    /// The tenant that sells.
    pub issuer: TenantId,
    /// The tenant that owes.
    pub tenant: TenantId,
    /// The kind of invoice.
    pub kind: InvoiceKind,
    /// Its status.
    pub status: InvoiceStatus,
    /// The period that it bills; none for a one-off invoice.
    pub period: Option<Window>,
    /// 0: it closes its period, or has none. From 1 on: it bills a part of the period before that, as
    /// fees in advance do.
    pub part: u32,
    /// Sum of its lines and their tax.
    pub total: Money,
    /// Part of the total that credit of the tenant's wallet has paid.
    pub credit_used: Money,
    /// Part of the total that is neither paid nor credited; below zero, the issuer owes it.
    pub open: Money,
    /// Time at which it was finalized.
    pub finalized_at: Micros,
    /// Time by which it is to be paid.
    pub due_at: Micros,
    /// The frozen content.
    pub content: InvoiceContent,
}

/// What an invoice bills to one tenant: all of it, or a section.
#[derive(Debug, Clone, Copy)]
pub struct OwnBill<'a> {
    /// The tenant whose usage and fees it bills.
    pub tenant: TenantId,
    /// Place of the section; none on an invoice for one tenant.
    pub section: Option<usize>,
    /// Its period.
    pub window: Window,
    /// The part of the period.
    pub part: u32,
    /// The plan that rates the period.
    pub plan: Option<&'a PinnedPlan>,
    /// Its lines.
    pub lines: &'a [InvoiceLine],
}

impl Invoice {
    /// What it bills to each tenant that it is about; nothing of one without a period.
    pub fn bills(&self) -> Vec<OwnBill<'_>> {
        let Some(window) = self.period else { return Vec::new() };
        let content = &self.content;
        if content.sections.is_empty() {
            let (tenant, part, plan, lines) = (self.tenant, self.part, content.plan.as_ref(), &*content.lines);
            return vec![OwnBill { tenant, section: None, window, part, plan, lines }];
        }
        let bills = content.sections.iter().enumerate().map(|(place, section)| OwnBill {
            tenant: section.tenant,
            section: Some(place),
            window: section.period.window,
            part: section.part,
            plan: section.plan.as_ref(),
            lines: content.lines_of(place),
        });
        bills.collect()
    }
}

/// The kinds of invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum InvoiceKind {
    /// A period of subscriptions.
    Period,
    /// Lines that somebody wrote.
    OneOff,
}

/// Status of a finalized invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum InvoiceStatus {
    /// To be paid.
    Finalized,
    /// Nothing is open of it.
    Paid,
    /// It counts as never issued.
    Void,
    /// Given up.
    Uncollectible,
}

macro_rules! words {
    ($type:ident, $what:literal, $all:literal, $($variant:ident => $word:literal),+ $(,)?) => {
        impl $type {
            /// The word in the store, in documents and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord::new($what, $all, word)),
                }
            }
        }
    };
}

words!(InvoiceKind, "kind of invoice", "period, one_off", Period => "period", OneOff => "one_off");
words!(InvoiceStatus, "status of an invoice", "finalized, paid, void, uncollectible",
    Finalized => "finalized", Paid => "paid", Void => "void", Uncollectible => "uncollectible",
);
