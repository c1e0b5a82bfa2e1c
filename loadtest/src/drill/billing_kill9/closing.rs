//! The figures of the drill.

use serde::Serialize;

/// Counts of what was issued.
#[derive(Debug, Clone, Serialize)]
pub struct Closing {
    /// Tenants that are billed.
    pub tenants: usize,
    /// Invoices that are not void.
    pub invoices: usize,
    /// Invoices of a tenant and period that has one already.
    pub double: usize,
    /// Tenants and periods without an invoice.
    pub missed: usize,
    /// Numbers that no invoice has.
    pub gaps: i64,
}

impl Closing {
    /// The first promise that was not kept, in words.
    pub(super) fn wrong(&self) -> Option<String> {
        let Self { double, missed, gaps, .. } = self;
        let kept = (*double, *missed, *gaps) == (0, 0, 0);
        (!kept).then(|| format!("{double} invoices are double, {missed} are missing, and numbers have {gaps} gaps"))
    }
}
