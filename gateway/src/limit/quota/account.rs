//! The quota account of one tenant and meter: the cell of the current month, and taking units from
//! it.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;
use common::{
    id::TenantId,
    quota::QuotaSource,
    time::{Micros, Period, Window, Zone},
};

use super::{
    cell::{QuotaCell, Refused},
    hold::Hold,
    queue::DrawQueue,
};
use crate::lock::locked;

/// The account of one tenant's hard quota of a meter, which all tenants below share, or of its
/// credit.
///
/// Invariant: an account outlives changes of plan, so that no change creates units.
pub(crate) struct QuotaAccount {
    tenant: TenantId,
    meter: Arc<str>,
    /// Time zone in which months begin. Credit has none.
    zone: Option<Zone>,
    limit: Arc<AtomicU64>,
    current: ArcSwapOption<QuotaCell>,
    turning: Mutex<()>,
    queue: Arc<DrawQueue>,
}

#[cfg(test)]
impl std::fmt::Display for QuotaAccount {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let limit = self.limit.load(Ordering::Acquire);
        write!(formatter, "{} {} {limit} {:?}", self.tenant, self.meter, self.zone)
    }
}

impl QuotaAccount {
    pub(super) fn new(tenant: TenantId, meter: &str, zone: Option<Zone>, limit: u64, queue: Arc<DrawQueue>) -> Self {
        Self {
            tenant,
            meter: meter.into(),
            zone,
            limit: Arc::new(AtomicU64::new(limit)),
            current: ArcSwapOption::empty(),
            turning: Mutex::new(()),
            queue,
        }
    }

    pub(super) const fn is_credit(&self) -> bool {
        self.zone.is_none()
    }

    /// The cell of the current month, if it was used.
    pub(super) fn current(&self) -> Option<Arc<QuotaCell>> {
        self.current.load_full()
    }

    /// Retires the cell of a month that has passed.
    pub(super) fn retire_past(&self, now: Micros) {
        let is_past = self.current.load().as_ref().is_some_and(|cell| cell.window().end <= now);
        if is_past && let Some(cell) = self.current.swap(None) {
            self.queue.retire(cell);
        }
    }

    pub(in crate::limit) fn meter(&self) -> &str {
        &self.meter
    }

    pub(super) fn set_limit(&self, limit: u64) {
        let before = self.limit.swap(limit, Ordering::AcqRel);
        if before < limit
            && let Some(cell) = &*self.current.load()
        {
            cell.reopen();
        }
    }

    /// The cell of the month at `now`. None if the clock shows a time outside of all months.
    pub(in crate::limit) fn cell(&self, now: Micros) -> Option<Arc<QuotaCell>> {
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
        let (meter, limit, queue) = (&self.meter, &self.limit, &self.queue);
        let cell = QuotaCell::new(self.tenant, meter.clone(), source, window, limit.clone(), queue.clone());
        let cell = Arc::new(cell);
        if let Some(past) = self.current.swap(Some(Arc::clone(&cell))) {
            self.queue.retire(past);
        }
        Some(cell)
    }

    /// The source of units at `now`, and the window in which it counts.
    fn source(&self, now: Micros) -> Option<(QuotaSource, Window)> {
        let Some(zone) = &self.zone else {
            return Some((QuotaSource::Credit, Window { start: Micros(i64::MIN), end: Micros(i64::MAX) }));
        };
        let period = Period::containing(now, zone).ok()?;
        Some((QuotaSource::Month(period), period.window(zone).ok()?))
    }

    /// Takes `units` out of `cell`, and queues a draw if it runs low. A request that found too few
    /// may wait for the draw.
    pub(in crate::limit) fn take(&self, cell: &Arc<QuotaCell>, units: u64, clock_nanos: u64) -> Result<Hold, Refused> {
        let taken = cell.take(units);
        self.send_for_more(cell, taken.is_err(), clock_nanos);
        taken.map_err(|missing| cell.refusal(missing))
    }

    /// Queues a draw if `cell` runs low or a request was refused.
    #[inline]
    pub(in crate::limit) fn send_for_more(&self, cell: &Arc<QuotaCell>, refused: bool, clock_nanos: u64) {
        if cell.needs_draw(refused, clock_nanos) {
            self.queue.push(Arc::clone(cell));
        }
    }
}
