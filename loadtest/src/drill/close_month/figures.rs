//! The figures of the drill.

use serde::Serialize;

use super::documents::DocumentFigures;

/// Time and memory that the close of the month took.
#[derive(Debug, Clone, Serialize)]
pub struct MonthFigures {
    /// Time of `billing run`, in seconds.
    pub seconds: f64,
    /// Tenants that are billed.
    pub tenants: u32,
    /// Invoices that were issued.
    pub invoices: i64,
    /// Hourly rollups of the month.
    pub rollups: i64,
    /// Most memory of `billing run`, in MiB.
    pub peak_rss_mib: f64,
    /// Figures of the documents, if they were made.
    #[serde(flatten)]
    pub documents: Option<DocumentFigures>,
}
