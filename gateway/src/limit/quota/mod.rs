//! Hard quotas and prepaid credit: units are drawn from the store in blocks ahead of demand and spent from memory.
//!
//! Sum of grants - refunds <= limit, always: the store's row is the only source, and a block in hand is spent by one
//! gateway alone. A hard quota is shared by the tenant whose it is and everybody below: a request takes its units from
//! each quota on its way up and from its tenant's credit, or from none. What counts is what is billed: units of billable
//! answers under live keys, in the month in which their requests were admitted. So the records in the journal tell what
//! a life of the gateway used, and once they are all booked, what a crash left in its hands is granted anew.

mod cell;
mod holds;
mod keeper;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwapOption;
pub(super) use cell::{QuotaCell, Refused};
use common::{
    id::TenantId,
    quota::QuotaSource,
    time::{Micros, Period, Window, Zone},
};
use holds::Held;
pub(super) use holds::Holds;
pub use keeper::QuotaKeeper;
use tokio::sync::Notify;

use crate::lock::locked;

/// The hard quotas of all tenants: units in hand, and what has to be drawn or given back. Made by the catalog.
#[derive(Default)]
pub struct QuotaBook {
    leases: Mutex<HashMap<TenantId, Vec<Arc<QuotaLease>>>>,
    errands: Arc<Errands>,
}

/// One tenant's quota of one meter, on which everybody below draws too, or its credit. It outlives changes of plan, so
/// that none of them mints units.
pub(crate) struct QuotaLease {
    tenant: TenantId,
    meter: Arc<str>,
    /// In which months begin; credit has none.
    zone: Option<Zone>,
    limit: Arc<AtomicU64>,
    current: ArcSwapOption<QuotaCell>,
    turning: Mutex<()>,
    errands: Arc<Errands>,
}

/// What a tenant has of a meter.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Allowance<'a> {
    /// So many units in each month of a zone.
    Month {
        /// In which months begin.
        zone: &'a Zone,
        /// Units of each.
        units: u64,
    },
    /// As many units as were paid for in advance; the store knows how many.
    Credit,
}

/// What the request path leaves to the keeper.
#[derive(Default)]
struct Errands {
    /// Cells that need a block.
    draw: Mutex<VecDeque<Arc<QuotaCell>>>,
    /// Cells of months that have passed.
    retired: Mutex<Vec<Arc<QuotaCell>>>,
    wake: Notify,
}

impl Errands {
    fn queue(&self, cell: Arc<QuotaCell>) {
        locked(&self.draw).push_back(cell);
        self.wake.notify_one();
    }
}

impl QuotaBook {
    /// The lease of a quota or of credit, the same one for the same tenant and meter as ever, with its limit as of now.
    pub(crate) fn lease(&self, tenant: TenantId, meter: &str, allowance: Allowance<'_>) -> Arc<QuotaLease> {
        let (zone, limit) = match allowance {
            Allowance::Month { zone, units } => (Some(zone), units),
            Allowance::Credit => (None, u64::MAX),
        };
        let mut book = locked(&self.leases);
        let known = book.entry(tenant).or_default();
        let same = |lease: &&Arc<QuotaLease>| *lease.meter == *meter && lease.zone.is_some() == zone.is_some();
        if let Some(lease) = known.iter().find(same) {
            lease.set_limit(limit);
            return Arc::clone(lease);
        }
        let lease = Arc::new(QuotaLease {
            tenant,
            meter: meter.into(),
            zone: zone.cloned(),
            limit: Arc::new(AtomicU64::new(limit)),
            current: ArcSwapOption::empty(),
            turning: Mutex::new(()),
            errands: Arc::clone(&self.errands),
        });
        known.push(Arc::clone(&lease));
        lease
    }

    /// Retires every cell whose month has passed.
    fn retire_past(&self, now: Micros) {
        for lease in locked(&self.leases).values().flatten() {
            let past = lease.current.load().as_ref().is_some_and(|cell| cell.window().end <= now);
            if past && let Some(cell) = lease.current.swap(None) {
                locked(&self.errands.retired).push(cell);
            }
        }
    }

    /// The cells of the months that are now.
    fn current(&self) -> Vec<Arc<QuotaCell>> {
        locked(&self.leases).values().flatten().filter_map(|lease| lease.current.load_full()).collect()
    }

    /// Every cell that may have units in hand.
    fn cells(&self) -> Vec<Arc<QuotaCell>> {
        let mut cells = self.current();
        cells.extend(locked(&self.errands.retired).iter().cloned());
        cells
    }
}

#[cfg(test)]
impl std::fmt::Display for QuotaLease {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let limit = self.limit.load(Ordering::Acquire);
        write!(formatter, "{} {} {limit} {:?}", self.tenant, self.meter, self.zone)
    }
}

impl QuotaLease {
    pub(super) fn meter(&self) -> &str {
        &self.meter
    }

    fn set_limit(&self, limit: u64) {
        let before = self.limit.swap(limit, Ordering::AcqRel);
        if before < limit
            && let Some(cell) = &*self.current.load()
        {
            cell.reopen();
        }
    }

    /// The cell of the month that holds `now`; none for a clock that shows no month at all.
    pub(super) fn cell(&self, now: Micros) -> Option<Arc<QuotaCell>> {
        let current = self.current.load();
        match &*current {
            Some(cell) if cell.serves(now) => Some(Arc::clone(cell)),
            _ => self.turn(now),
        }
    }

    fn turn(&self, now: Micros) -> Option<Arc<QuotaCell>> {
        let _one_at_a_time = locked(&self.turning);
        if let Some(cell) = self.current.load_full().filter(|cell| cell.serves(now)) {
            return Some(cell);
        }
        let (source, window) = self.source(now)?;
        let (meter, limit, errands) = (&self.meter, &self.limit, &self.errands);
        let cell = QuotaCell::new(self.tenant, meter.clone(), source, window, limit.clone(), errands.clone());
        let cell = Arc::new(cell);
        if let Some(past) = self.current.swap(Some(Arc::clone(&cell))) {
            locked(&self.errands.retired).push(past);
        }
        Some(cell)
    }

    /// What is drawn from at `now`, and how long that lasts.
    fn source(&self, now: Micros) -> Option<(QuotaSource, Window)> {
        let Some(zone) = &self.zone else {
            return Some((QuotaSource::Credit, Window { start: Micros(i64::MIN), end: Micros(i64::MAX) }));
        };
        let period = Period::containing(now, zone).ok()?;
        Some((QuotaSource::Month(period), period.window(zone).ok()?))
    }

    /// Takes `units` out of `cell`, and sends for more when it runs low: a request that found too little may wait for it.
    pub(super) fn take(&self, cell: &Arc<QuotaCell>, units: u64, clock_nanos: u64) -> Result<Held, Refused> {
        let taken = cell.take(units);
        self.send_for_more(cell, taken.is_err(), clock_nanos);
        taken.map_err(|short| cell.refusal(short))
    }

    /// Sends for more units, if `cell` runs low or a request was refused.
    #[inline]
    pub(super) fn send_for_more(&self, cell: &Arc<QuotaCell>, refused: bool, clock_nanos: u64) {
        if cell.needs_draw(refused, clock_nanos) {
            self.errands.queue(Arc::clone(cell));
        }
    }
}
