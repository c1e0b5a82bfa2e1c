//! What one request holds of the quotas that it draws on.

use std::sync::Arc;

use common::{quota::QuotaSource, time::Micros};
use smallvec::SmallVec;

use super::QuotaCell;

/// Quotas that one request takes from without an allocation: as many as the tree has levels, and credit.
const HOLDS_IN_PLACE: usize = 6;

/// Units taken for one request. What is not used goes back when it is dropped.
pub(crate) struct Held {
    cell: Arc<QuotaCell>,
    units: i64,
}

/// Units taken for one request, from each quota that it draws on.
#[derive(Default)]
pub(crate) struct Holds(SmallVec<[Held; HOLDS_IN_PLACE]>);

impl Held {
    /// Units that were taken out of `cell`.
    pub(super) const fn new(cell: Arc<QuotaCell>, units: i64) -> Self {
        Self { cell, units }
    }

    /// The request used `units`: the difference to what was taken is charged or goes back.
    pub(super) fn settle(mut self, units: u64) {
        let used = i64::try_from(units).unwrap_or(i64::MAX);
        let beyond = used.saturating_sub(self.units).max(0);
        self.cell.count_taken(beyond);
        self.units = self.units.saturating_sub(used);
    }
}

impl Holds {
    pub(crate) fn push(&mut self, held: Held) {
        self.0.push(held);
    }

    /// Returns true if the units were taken from credit, too.
    pub(crate) fn is_prepaid(&self) -> bool {
        self.0.iter().any(|held| held.cell.source() == QuotaSource::Credit)
    }

    /// When a request counts that was admitted `now`, by a clock that may have stepped back into the month before.
    pub(crate) fn counts_at(&self, now: Micros) -> Micros {
        self.0.iter().fold(now, |at, held| at.max(held.cell.window().start))
    }

    /// The request used `units`, which each quota is charged.
    pub(crate) fn settle(self, units: u64) {
        self.0.into_iter().for_each(|held| held.settle(units));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.units != 0 {
            self.cell.balance(self.units);
        }
    }
}
