//! Usage in the store: entries exactly once per (stream, number), and hourly sums kept in the same transaction.

use serde::Serialize;

use super::{Store, StoreError};
use crate::{
    id::{KeyId, TenantId},
    key::Mode,
    time::{Micros, Window},
    usage::UsageBatch,
};

/// What booking a batch did.
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
    /// Tenants that the store does not know; their usage is kept and can be billed once they exist.
    pub unknown_tenants: Vec<TenantId>,
}

/// Which usage to sum.
#[derive(Debug, Clone, Default)]
pub struct UsageFilter {
    /// Of one tenant; of all if none.
    pub tenant: Option<TenantId>,
    /// Of hours that start inside.
    pub window: Option<Window>,
}

/// Usage of one hour, as far as everything but its units is alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageSum {
    /// Start of the hour on the tenant's clock.
    pub hour: Micros,
    /// Who used it.
    pub tenant: TenantId,
    /// With which key.
    pub key: KeyId,
    /// Through which route.
    pub route: String,
    /// What is counted.
    pub meter: String,
    /// Mode of the key.
    pub mode: Mode,
    /// Whether it is billed (never, under a test key).
    pub billable: bool,
    /// Requests.
    pub requests: u64,
    /// Units.
    pub units: u64,
}

/// Refusals of one hour and reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusalSum {
    /// Start of the hour on the tenant's clock.
    pub hour: Micros,
    /// Who was refused.
    pub tenant: TenantId,
    /// With which key.
    pub key: KeyId,
    /// The problem code that clients were told.
    pub reason: String,
    /// How many.
    pub count: u64,
}

impl Store {
    /// Books a batch exactly once: entries whose numbers are booked already are passed over, skipped numbers become a
    /// gap that a late batch may fill, and entries, sums and the stream's mark change in one transaction.
    pub async fn book_usage(&self, batch: &UsageBatch, now: Micros) -> Result<Booked, StoreError> {
        let _ = (batch, now);
        todo!()
    }

    /// Hourly sums, by hour, tenant, key, route and meter.
    pub async fn usage(&self, filter: &UsageFilter) -> Result<Vec<UsageSum>, StoreError> {
        let _ = filter;
        todo!()
    }

    /// Hourly refusals, by hour, tenant, key and reason.
    pub async fn refusals(&self, filter: &UsageFilter) -> Result<Vec<RefusalSum>, StoreError> {
        let _ = filter;
        todo!()
    }
}
