//! The cell of one month of a quota, or of credit: the units in hand, and the size of the next
//! block.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use common::{
    id::TenantId,
    limit::{LimitState, whole_nanos},
    quota::{QuotaGrant, QuotaSource},
    time::{Micros, Window},
};
use tokio::sync::Notify;

use super::{hold::Hold, queue::DrawQueue};

/// Time that a block should last at the current demand: long enough to hide a slow store, short
/// enough that a crash strands few units.
const BLOCK_LASTS: Duration = Duration::from_secs(2);

/// Smallest block while plenty is left: demand is not known yet, and each draw is a transaction.
const BLOCK_MIN: u64 = 16;

/// Factor by which a block grows if the one before was used up before the draw ended.
const BLOCK_GROWTH: u64 = 8;

/// A block is at most 1/16 of what the store had left the last time, so that several gateways can
/// use up the rest.
const BLOCK_SHARE: u64 = 16;

/// Time for which a spent quota counts as spent. The first request after that asks the store and
/// waits for the answer, so that new units (a top-up, or units that other gateways gave back) are
/// found within a second, without a refusal in between.
const SPENT_FOR: Duration = Duration::from_millis(500);

/// Time without draws after a failed one.
const FAILED_FOR: Duration = Duration::from_millis(250);

/// Largest step back of the clock, in microseconds, that still counts into the month that has
/// begun.
const STEP_BACK: i64 = 60 * Micros::PER_SECOND;

/// Status: nothing was drawn yet, or the last draw was granted in full.
const OPEN: u8 = 0;
/// Status: the last draw was not granted in full.
const SPENT: u8 = 1;
/// Status: the last draw failed, or takes too long.
const FAILING: u8 = 2;

/// The units in hand of one tenant, meter and month, or of its credit.
pub(crate) struct QuotaCell {
    tenant: TenantId,
    meter: Arc<str>,
    source: QuotaSource,
    window: Window,
    limit: Arc<AtomicU64>,
    /// Below zero is a debt: answers used more than was estimated. The next draw reports it to the
    /// store.
    in_hand: AtomicI64,
    /// Units in hand at or below which the next block is drawn.
    low_water: AtomicI64,
    /// Units that the store had left after the last draw.
    left: AtomicU64,
    /// Units that the last draw granted.
    block: AtomicU64,
    /// Units taken since the last draw.
    taken: AtomicU64,
    /// Units taken since the last look for a surplus.
    needed: AtomicU64,
    /// The largest request that found too little since the last draw.
    shortfall: AtomicU64,
    status: AtomicU8,
    /// A draw is queued or under way.
    drawing: AtomicBool,
    /// Monotonic nanoseconds of the last draw.
    last_draw: AtomicU64,
    /// Monotonic nanoseconds of the earliest next draw.
    next_draw: AtomicU64,
    /// Notified after every draw, granted or not.
    pub(crate) drew: Notify,
    queue: Arc<DrawQueue>,
}

/// Reason why a cell does not have the units that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Too few units are in hand.
    InHand,
    /// The limit is smaller than the request.
    InLimit,
}

/// Reason why units cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The quota has too few units left.
    Spent,
    /// Too few units are in hand, and a draw is under way.
    Drawing,
    /// None in hand, and the store does not answer.
    Unavailable,
}

impl QuotaCell {
    pub(super) fn new(
        tenant: TenantId,
        meter: Arc<str>,
        source: QuotaSource,
        window: Window,
        limit: Arc<AtomicU64>,
        queue: Arc<DrawQueue>,
    ) -> Self {
        Self {
            tenant,
            meter,
            source,
            window,
            left: AtomicU64::new(limit.load(Ordering::Acquire)),
            limit,
            block: AtomicU64::new(0),
            in_hand: AtomicI64::new(0),
            low_water: AtomicI64::new(0),
            taken: AtomicU64::new(0),
            needed: AtomicU64::new(0),
            shortfall: AtomicU64::new(0),
            status: AtomicU8::new(OPEN),
            drawing: AtomicBool::new(false),
            last_draw: AtomicU64::new(0),
            next_draw: AtomicU64::new(0),
            drew: Notify::new(),
            queue,
        }
    }

    pub(super) const fn tenant(&self) -> TenantId {
        self.tenant
    }

    pub(super) fn meter(&self) -> &str {
        &self.meter
    }

    pub(super) const fn source(&self) -> QuotaSource {
        self.source
    }

    pub(super) const fn window(&self) -> Window {
        self.window
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit.load(Ordering::Acquire)
    }

    /// Returns true if a request at `now` counts into this month.
    pub(super) const fn serves(&self, now: Micros) -> bool {
        now.0 < self.window.end.0 && now.0 >= self.window.start.0.saturating_sub(STEP_BACK)
    }

    /// State of the quota, with the units in hand as a lower bound of what is left. None for
    /// credit, which has no window. The quota of a tenant above `asking` is shown as a pool.
    pub(crate) fn state(&self, asking: TenantId, now: Micros) -> Option<LimitState> {
        if self.source == QuotaSource::Credit {
            return None;
        }
        let seconds = |micros: i64| micros.max(0).unsigned_abs().div_ceil(Micros::PER_SECOND.unsigned_abs());
        Some(LimitState {
            policy: if self.tenant == asking { "quota-month" } else { "pool-quota-month" },
            quota: self.limit(),
            window_seconds: seconds(self.window.end.0.saturating_sub(self.window.start.0)),
            remaining: self.in_hand.load(Ordering::Acquire).max(0).unsigned_abs(),
            reset_seconds: seconds(self.window.end.0.saturating_sub(now.0)),
        })
    }

    /// State of the quota as clients see it, and the units that are probably left: those in hand
    /// and those that the store had left after the last draw. None if nothing is in hand and the
    /// store may have more: then there is nothing true to show.
    pub(crate) fn standing(&self, asking: TenantId, now: Micros) -> Option<(LimitState, u64)> {
        let state = self.state(asking, now)?;
        let is_spent = self.status.load(Ordering::Acquire) == SPENT;
        let at_store = if is_spent { 0 } else { self.left.load(Ordering::Acquire) };
        if state.remaining == 0 && at_store > 0 {
            return None;
        }
        let likely = state.remaining.saturating_add(at_store);
        // Most of what is left is still in the store and can be drawn in a moment.
        let reset_seconds = if state.remaining < likely / 2 { 1 } else { state.reset_seconds };
        Some((LimitState { reset_seconds, ..state }, likely))
    }

    /// Takes `units`, at least one: a request whose units are not known yet must not pass an empty
    /// quota.
    pub(super) fn take(self: &Arc<Self>, units: u64) -> Result<Hold, Missing> {
        let wanted = self.wanted(units)?;
        let taken = self
            .in_hand
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |in_hand| (in_hand >= wanted).then(|| in_hand - wanted));
        if taken.is_err() {
            return Err(self.missing(wanted));
        }
        self.count_taken(wanted);
        Ok(Hold::new(Arc::clone(self), wanted))
    }

    pub(super) fn count_taken(&self, units: i64) {
        self.taken.fetch_add(units.unsigned_abs(), Ordering::Relaxed);
        self.needed.fetch_add(units.unsigned_abs(), Ordering::Relaxed);
    }

    /// Checks that [`Self::take`] would succeed, without taking units.
    pub(crate) fn look(&self, units: u64) -> Result<(), Missing> {
        let wanted = self.wanted(units)?;
        if self.in_hand.load(Ordering::Acquire) < wanted {
            return Err(self.missing(wanted));
        }
        Ok(())
    }

    fn wanted(&self, units: u64) -> Result<i64, Missing> {
        let units = units.max(1);
        i64::try_from(units).ok().filter(|_| units <= self.limit()).ok_or(Missing::InLimit)
    }

    /// Makes the next block hold at least `wanted` units.
    fn missing(&self, wanted: i64) -> Missing {
        self.shortfall.fetch_max(wanted.unsigned_abs(), Ordering::AcqRel);
        Missing::InHand
    }

    /// Reason for the refusal of a request that found too few units. Call [`Self::needs_draw`]
    /// first, as a draw under way changes the reason.
    pub(crate) fn refusal(&self, missing: Missing) -> Refused {
        match (missing, self.status.load(Ordering::Acquire)) {
            (Missing::InLimit, _) | (_, SPENT) => Refused::Spent,
            (_, FAILING) => Refused::Unavailable,
            _ => Refused::Drawing,
        }
    }

    /// Returns true if a request that found too few units is refused whatever else it draws on: the
    /// quota is spent, and it is too early to ask the store again.
    pub(crate) fn is_spent(&self, missing: Missing, clock_nanos: u64) -> bool {
        self.refusal(missing) == Refused::Spent
            && (missing == Missing::InLimit || self.next_draw.load(Ordering::Acquire) > clock_nanos)
    }

    /// Returns true if a draw is needed and the caller is the one who has to queue it. `refused`
    /// says that a request found too few units. It waits for the draw, and so do all that come
    /// while the draw is under way, whatever the last draw brought.
    pub(super) fn needs_draw(&self, refused: bool, clock_nanos: u64) -> bool {
        let low = self.in_hand.load(Ordering::Acquire) <= self.low_water.load(Ordering::Acquire);
        (refused || low) && self.next_draw.load(Ordering::Acquire) <= clock_nanos && self.begins_draw()
    }

    /// Returns true if no draw is under way. The caller then begins one.
    fn begins_draw(&self) -> bool {
        let begins = !self.drawing.swap(true, Ordering::AcqRel);
        if begins {
            self.status.store(OPEN, Ordering::Release);
        }
        begins
    }

    /// Refuses requests at once until the draw under way ends, after one has waited too long for
    /// it.
    pub(crate) fn give_up_waiting(&self) {
        let _ = self.status.compare_exchange(OPEN, FAILING, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Opens a spent quota again, after its limit was raised.
    pub(super) fn reopen(&self) {
        if self.status.compare_exchange(SPENT, OPEN, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.left.store(self.limit(), Ordering::Release);
            self.next_draw.store(0, Ordering::Release);
        }
    }

    /// Units to draw now: what the pace since the last draw uses in [`BLOCK_LASTS`], less when
    /// little may be left, but never less than a request is missing. A block that was used up
    /// before the next came was too small whatever the pace, which does not count the requests that
    /// found nothing.
    pub(super) fn block(&self, clock_nanos: u64) -> u64 {
        let limit = self.limit();
        let since = clock_nanos.saturating_sub(self.last_draw.swap(clock_nanos, Ordering::AcqRel)).max(1);
        let taken = u128::from(self.taken.swap(0, Ordering::AcqRel));
        let by_demand = taken * u128::from(whole_nanos(BLOCK_LASTS)) / u128::from(since);
        let by_demand = u64::try_from(by_demand).unwrap_or(u64::MAX).max(BLOCK_MIN);
        let shortfall = self.shortfall.swap(0, Ordering::AcqRel);
        let grown = if shortfall > 0 { self.block.load(Ordering::Acquire).saturating_mul(BLOCK_GROWTH) } else { 0 };
        let by_demand = by_demand.max(grown);
        let share = self.left.load(Ordering::Acquire) / BLOCK_SHARE;
        let in_hand = i128::from(self.in_hand.load(Ordering::Acquire));
        let missing = (i128::from(shortfall) - in_hand).max(1);
        let missing = u64::try_from(missing).unwrap_or(u64::MAX);
        by_demand.min(share).max(missing).min(limit.max(1))
    }

    /// Takes the store's grant for a draw of `wanted` units.
    pub(super) fn granted(&self, grant: QuotaGrant, wanted: u64, clock_nanos: u64) {
        let QuotaGrant { granted, left } = grant;
        self.add(granted);
        self.block.store(granted, Ordering::Release);
        self.left.store(left, Ordering::Release);
        self.low_water.store(i64::try_from(granted / 2).unwrap_or(i64::MAX), Ordering::Release);
        if granted < wanted {
            self.ended(SPENT, clock_nanos.saturating_add(whole_nanos(SPENT_FOR)));
        } else {
            self.ended(OPEN, 0);
        }
    }

    /// Ends a draw that the store did not answer, or refused.
    pub(super) fn failed(&self, clock_nanos: u64) {
        self.ended(FAILING, clock_nanos.saturating_add(whole_nanos(FAILED_FOR)));
    }

    fn ended(&self, status: u8, next_draw: u64) {
        self.next_draw.store(next_draw, Ordering::Release);
        self.status.store(status, Ordering::Release);
        self.drawing.store(false, Ordering::Release);
        self.drew.notify_waiters();
    }

    /// Takes all units in hand, or the debt, out of the cell, to be balanced with the store.
    pub(super) fn empty(&self) -> i64 {
        self.in_hand.swap(0, Ordering::AcqRel)
    }

    /// Takes the debt out of the cell, to be reported to the store.
    pub(super) fn take_debt(&self) -> u64 {
        let debt = |in_hand: i64| (in_hand < 0).then_some(0);
        self.in_hand.fetch_update(Ordering::AcqRel, Ordering::Acquire, debt).map_or(0, i64::unsigned_abs)
    }

    /// Puts a debt back that could not be reported to the store.
    pub(super) fn put_debt_back(&self, debt: u64) {
        self.in_hand.fetch_sub(i64::try_from(debt).unwrap_or(i64::MAX), Ordering::AcqRel);
    }

    /// Puts units back that a request did not use, or charges those that it used beyond what it
    /// took.
    pub(super) fn balance(self: &Arc<Self>, units: i64) {
        self.in_hand.fetch_add(units, Ordering::AcqRel);
        self.report_debt();
    }

    /// Queues the cell for the keeper if it has a debt, unless it is queued.
    pub(super) fn report_debt(self: &Arc<Self>) {
        if self.in_hand.load(Ordering::Acquire) < 0 && self.begins_draw() {
            self.queue.push(Arc::clone(self));
        }
    }

    /// Puts units into the cell.
    pub(super) fn add(&self, units: u64) {
        self.in_hand.fetch_add(i64::try_from(units).unwrap_or(i64::MAX), Ordering::AcqRel);
    }

    /// Takes units out of the cell that are in hand beyond those used since the last call.
    pub(super) fn take_surplus(&self) -> u64 {
        let needed = i64::try_from(self.needed.swap(0, Ordering::AcqRel)).unwrap_or(i64::MAX);
        let keep = |in_hand: i64| (in_hand > needed).then_some(needed);
        let Ok(in_hand) = self.in_hand.fetch_update(Ordering::AcqRel, Ordering::Acquire, keep) else {
            return 0;
        };
        // The units kept must not cause another draw at once.
        self.low_water.fetch_min(needed / 2, Ordering::AcqRel);
        (in_hand - needed).unsigned_abs()
    }
}
