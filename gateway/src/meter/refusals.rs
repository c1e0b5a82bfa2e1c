//! Refusals by the gateway itself: counted in memory, summed up into the journal each second.
//!
//! A flood of refusals costs one entry per second, key and reason. A sum that finds no room in the
//! journal stays here and is tried again.

use common::{
    id::{KeyId, TenantId},
    time::Micros,
    usage::RefusalCount,
};
use dashmap::DashMap;

use super::{error::MeterError, journal::Journal, metrics::MeterMetrics};

/// Refusals since the last sum, by tenant, key and reason.
#[derive(Default)]
pub(super) struct Refusals(DashMap<(TenantId, KeyId, &'static str), Tally>);

#[derive(Default)]
struct Tally {
    /// Refusals that are not in the journal yet.
    count: u64,
    /// Refusals that are not in the metrics yet.
    unshown: u64,
}

impl Refusals {
    pub(super) fn count(&self, tenant: TenantId, key: KeyId, reason: &'static str) {
        let mut tally = self.0.entry((tenant, key, reason)).or_default();
        tally.count += 1;
        tally.unshown += 1;
    }

    /// Moves every sum into the journal and the metrics. Returns the first failure; a sum that
    /// fails stays.
    pub(super) fn flush(&self, journal: &Journal, metrics: &MeterMetrics, at: Micros) -> Result<(), MeterError> {
        let mut outcome = Ok(());
        self.0.retain(|(tenant, key, reason), tally| {
            let unshown = std::mem::take(&mut tally.unshown);
            metrics.refusals.with_label_values(&[reason]).inc_by(unshown);
            metrics.tenants.refused(*tenant, unshown);
            let sum = RefusalCount { at, tenant: *tenant, key: *key, reason: (*reason).into(), count: tally.count };
            let Err(error) = journal.append_refusals(&sum) else {
                return false;
            };
            if outcome.is_ok() {
                outcome = Err(error);
            }
            true
        });
        outcome
    }
}
