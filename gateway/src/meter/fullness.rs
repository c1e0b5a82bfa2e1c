//! The policy for times when usage cannot be recorded. Each outage is logged once, and its requests
//! are counted.

use std::sync::atomic::{AtomicU64, Ordering};

use common::usage::UsageRecord;
use prometheus::IntCounter;

use super::{error::MeterError, settings::WhenFull, tenants::TenantFigures};
use crate::outage::Outage;

/// Decides about requests whose record the journal does not take.
pub(super) struct Fullness {
    policy: WhenFull,
    outage: Outage,
    /// Requests served unmetered.
    unmetered: IntCounter,
    tenants: TenantFigures,
    /// Requests served unmetered since the outage began.
    served: AtomicU64,
}

impl Fullness {
    pub(super) const fn new(policy: WhenFull, unmetered: IntCounter, tenants: TenantFigures) -> Self {
        Self { policy, outage: Outage::new("usage journal"), unmetered, tenants, served: AtomicU64::new(0) }
    }

    /// Returns true if requests are served although their usage is not recorded.
    pub(super) fn serves_unmetered(&self) -> bool {
        self.policy == WhenFull::ServeUnmetered
    }

    /// Decides about a record that was not taken: Ok if its request is served unmetered, else the
    /// error.
    pub(super) fn judge(&self, record: &UsageRecord, error: MeterError) -> Result<(), MeterError> {
        if matches!(error, MeterError::Invalid(_)) {
            return Err(error);
        }
        self.outage.failed(&error);
        if !self.serves_unmetered() {
            return Err(error);
        }
        self.unmetered.inc();
        self.tenants.served_unmetered(record.tenant);
        self.served.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Updates the outage from the state of the journal.
    pub(super) fn look(&self, has_room: bool) {
        if !has_room {
            self.outage.failed(&MeterError::Full);
            return;
        }
        self.outage.over();
        let served = self.served.swap(0, Ordering::Relaxed);
        if served > 0 {
            tracing::error!(event = "requests_served_unmetered", requests = served);
        }
    }
}
