//! The figures of the drill.

use serde::Serialize;

/// Counts of what the provider has charged.
#[derive(Debug, Clone, Serialize)]
pub struct Charges {
    /// Charges in the provider's own books.
    pub charged: usize,
    /// Invoices, each of which is to be charged once.
    pub expected: usize,
    /// Charges of an invoice that has one already.
    pub double: usize,
    /// Invoices that the provider has not charged, or that are not paid here.
    pub missed: usize,
    /// Charges that no payment here names, and payments that name no charge.
    pub unmatched: usize,
}

impl Charges {
    /// The first promise that was not kept, in words.
    pub(super) fn wrong(&self) -> Option<String> {
        let Self { double, missed, unmatched, .. } = self;
        let kept = (*double, *missed, *unmatched) == (0, 0, 0);
        (!kept).then(|| format!("{double} charges are double, {missed} are missing, {unmatched} are in one book only"))
    }
}
