//! The outcome of a booking.

use serde::Serialize;

use crate::id::TenantId;

/// Result of booking a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Booked {
    /// Number after the highest entry of the stream that is booked.
    pub next_seq: u64,
    /// Entries booked now.
    pub booked: u64,
    /// Entries that were booked before and changed nothing.
    pub replayed: u64,
    /// Numbers skipped by this batch: booked as a gap, which a late batch may still fill.
    pub gap: u64,
    /// Of the entries booked now, those that are lost: a gap as well.
    pub lost: u64,
    /// Of the entries booked now, those that are set aside until somebody has looked at them.
    pub quarantined: u64,
    /// Tenants that the store does not know; their usage is kept and can be billed once they exist.
    pub unknown_tenants: Vec<TenantId>,
}
