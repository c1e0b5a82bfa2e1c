//! Rate and lengths of an outage that is measured.

use std::time::Duration;

/// Rate and lengths of an outage that is measured.
#[derive(Debug, Clone, Copy)]
pub(in crate::drill) struct OutageTiming {
    /// Requests per second.
    pub(in crate::drill) rate: u32,
    /// Load before anything happens.
    pub(in crate::drill) undisturbed: Duration,
    /// The broker is gone for at least this long, and until the spool is used.
    pub(in crate::drill) away: Duration,
    /// The journal's budget, if it is not the default.
    pub(in crate::drill) budget_mib: Option<u32>,
}
