//! Times when usage cannot be recorded: what becomes of requests then, told once per outage and counted throughout.

use std::sync::atomic::{AtomicU64, Ordering};

use common::usage::UsageRecord;
use prometheus::IntCounterVec;

use super::{MeterError, WhenFull};
use crate::outage::Outage;

/// Whether the journal takes records, and what happened while it did not.
pub(super) struct Fullness {
    policy: WhenFull,
    outage: Outage,
    /// By tenant.
    unmetered: IntCounterVec,
    /// Since the outage began.
    served: AtomicU64,
}

impl Fullness {
    pub(super) const fn new(policy: WhenFull, unmetered: IntCounterVec) -> Self {
        Self { policy, outage: Outage::new("usage journal"), unmetered, served: AtomicU64::new(0) }
    }

    /// Returns true if requests are served although their usage is not recorded.
    pub(super) fn serves_unmetered(&self) -> bool {
        self.policy == WhenFull::ServeUnmetered
    }

    /// A record was not taken. It is counted, if the request is served all the same; else the error stays one.
    pub(super) fn judge(&self, record: &UsageRecord, error: MeterError) -> Result<(), MeterError> {
        if matches!(error, MeterError::Invalid(_)) {
            return Err(error);
        }
        self.outage.failed(&error);
        if !self.serves_unmetered() {
            return Err(error);
        }
        self.unmetered.with_label_values(&[record.tenant.to_string()]).inc();
        self.served.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Looks at how the journal stands, from time to time.
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
