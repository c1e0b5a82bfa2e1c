//! The holds of one request on the quotas that it draws on.

use std::sync::Arc;

use common::{quota::QuotaSource, time::Micros};
use smallvec::SmallVec;

use super::cell::QuotaCell;

/// Holds of one request that are kept without an allocation: as many as the tree has levels, and
/// credit.
const HOLDS_IN_PLACE: usize = 6;

/// Units taken from one quota for a request. Unused units go back when it is dropped.
pub(crate) struct Hold {
    cell: Arc<QuotaCell>,
    units: i64,
}

/// The holds of one request, one on each quota that it draws on.
#[derive(Default)]
pub(crate) struct Holds(SmallVec<[Hold; HOLDS_IN_PLACE]>);

impl Hold {
    pub(super) const fn new(cell: Arc<QuotaCell>, units: i64) -> Self {
        Self { cell, units }
    }

    /// Settles the hold at `units`: the difference to the units taken is charged or goes back.
    pub(super) fn settle(mut self, units: u64) {
        let used = i64::try_from(units).unwrap_or(i64::MAX);
        let beyond = used.saturating_sub(self.units).max(0);
        self.cell.count_taken(beyond);
        self.units = self.units.saturating_sub(used);
    }
}

impl Holds {
    pub(crate) fn push(&mut self, hold: Hold) {
        self.0.push(hold);
    }

    /// Returns true if one of the holds is on credit.
    pub(crate) fn is_prepaid(&self) -> bool {
        self.0.iter().any(|hold| hold.cell.source() == QuotaSource::Credit)
    }

    /// The time at which a request counts that was admitted `now`. The clock may have stepped back
    /// into the month before.
    pub(crate) fn counts_at(&self, now: Micros) -> Micros {
        self.0.iter().fold(now, |at, hold| at.max(hold.cell.window().start))
    }

    /// The time at which units count that are spent `now`: in the months that they were taken from.
    pub(crate) fn within(&self, now: Micros) -> Micros {
        let windows = self.0.iter().map(|hold| hold.cell.window());
        windows.fold(now, |at, window| at.min(Micros(window.end.0.saturating_sub(1))).max(window.start))
    }

    /// Adds the units of other holds, which are given back if they are on other quotas or months.
    pub(crate) fn join(&mut self, mut others: Self) -> Result<(), Self> {
        let is_same = |(one, other): (&Hold, &Hold)| Arc::ptr_eq(&one.cell, &other.cell);
        if self.0.len() != others.0.len() || !self.0.iter().zip(&others.0).all(is_same) {
            return Err(others);
        }
        for (one, other) in self.0.iter_mut().zip(&mut others.0) {
            one.units = one.units.saturating_add(std::mem::take(&mut other.units));
        }
        Ok(())
    }

    /// Spends units of each hold, which do not go back.
    pub(crate) fn spend(&mut self, units: u64) {
        let units = i64::try_from(units).unwrap_or(i64::MAX);
        self.0.iter_mut().for_each(|hold| hold.units = hold.units.saturating_sub(units));
    }

    /// Settles each hold at `units`.
    pub(crate) fn settle(self, units: u64) {
        self.0.into_iter().for_each(|hold| hold.settle(units));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.units != 0 {
            self.cell.balance(self.units);
        }
    }
}
