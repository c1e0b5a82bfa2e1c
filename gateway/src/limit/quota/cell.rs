//! One month of one quota: the units in hand, and how much to draw next.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use common::{
    id::TenantId,
    quota::{QuotaGrant, QuotaSource},
    time::{Micros, Window},
};
use tokio::sync::Notify;

use super::{
    super::{LimitState, clock::whole_nanos},
    Errands, Held,
};

/// What a block is meant to last at the current demand: long enough that a slow store is not felt, short enough that
/// little is stranded by a crash.
const BLOCK_LASTS: Duration = Duration::from_secs(2);

/// Smallest block while plenty is left: demand is not known yet, and each draw is a transaction.
const BLOCK_MIN: u64 = 16;

/// How much larger the next block is if one was used up before the next came.
const BLOCK_GROWTH: u64 = 8;

/// A block is at most this part of what the store had left the last time, so that several gateways can use up the rest.
const BLOCK_SHARE: u64 = 16;

/// How long a spent quota is believed to be spent. The first request after that asks the store and waits for the
/// answer, so that units that came since (a top-up, what other gateways gave back) are found within a second and
/// without a refusal in between.
const SPENT_FOR: Duration = Duration::from_millis(500);

/// How long after a failed draw the store is left alone.
const FAILED_FOR: Duration = Duration::from_millis(250);

/// A clock that steps back by this much still counts into the month that has begun.
const STEP_BACK: i64 = 60 * Micros::PER_SECOND;

/// Nothing has been drawn yet, or the last draw was granted in full.
const OPEN: u8 = 0;
/// The last draw was not granted in full.
const SPENT: u8 = 1;
/// The last draw failed, or takes too long.
const FAILING: u8 = 2;

/// Units in hand of one tenant, meter and month, or of its credit.
pub(crate) struct QuotaCell {
    tenant: TenantId,
    meter: Arc<str>,
    source: QuotaSource,
    window: Window,
    limit: Arc<AtomicU64>,
    /// Below zero is a debt: answers that used more than was estimated. The store is told with the next draw.
    in_hand: AtomicI64,
    /// At or below this, the next block is drawn.
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
    standing: AtomicU8,
    /// A draw is queued or under way.
    drawing: AtomicBool,
    /// Monotonic nanoseconds of the last draw, and of the earliest next one.
    last_draw: AtomicU64,
    next_draw: AtomicU64,
    /// Told after every draw, granted or not.
    pub(crate) drew: Notify,
    errands: Arc<Errands>,
}

/// Why a cell does not have the units that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Short {
    /// They are not in hand.
    ForNow,
    /// The whole limit is not that large.
    ForGood,
}

/// Why units cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The quota does not hold that many any more.
    Spent,
    /// None in hand, but a draw is on its way.
    Dry,
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
        errands: Arc<Errands>,
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
            standing: AtomicU8::new(OPEN),
            drawing: AtomicBool::new(false),
            last_draw: AtomicU64::new(0),
            next_draw: AtomicU64::new(0),
            drew: Notify::new(),
            errands,
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

    /// Units in hand are for one gateway to spend: they are a lower bound of what is left. Credit has no window that
    /// could be told. A quota of a tenant above the one who asks is told as a pool.
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

    /// The state as clients are told it, and what is probably left: with what the store had left after the last draw. None
    /// if nothing is in hand and the store may have more: then nothing is known that could be told.
    pub(crate) fn standing(&self, asking: TenantId, now: Micros) -> Option<(LimitState, u64)> {
        let state = self.state(asking, now)?;
        let is_spent = self.standing.load(Ordering::Acquire) == SPENT;
        let at_store = if is_spent { 0 } else { self.left.load(Ordering::Acquire) };
        if state.remaining == 0 && at_store > 0 {
            return None;
        }
        let likely = state.remaining.saturating_add(at_store);
        // Most of what is left is not in hand yet: there will be more in a moment.
        let reset_seconds = if state.remaining < likely / 2 { 1 } else { state.reset_seconds };
        Some((LimitState { reset_seconds, ..state }, likely))
    }

    /// Takes `units`, at least one: a request whose units are not known yet must not pass an empty quota.
    pub(super) fn take(self: &Arc<Self>, units: u64) -> Result<Held, Short> {
        let wanted = self.wanted(units)?;
        let taken = self
            .in_hand
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |in_hand| (in_hand >= wanted).then(|| in_hand - wanted));
        if taken.is_err() {
            return Err(self.short_of(wanted));
        }
        self.count_taken(wanted);
        Ok(Held::new(Arc::clone(self), wanted))
    }

    pub(super) fn count_taken(&self, units: i64) {
        self.taken.fetch_add(units.unsigned_abs(), Ordering::Relaxed);
        self.needed.fetch_add(units.unsigned_abs(), Ordering::Relaxed);
    }

    /// Whether [`Self::take`] would succeed.
    pub(crate) fn look(&self, units: u64) -> Result<(), Short> {
        let wanted = self.wanted(units)?;
        if self.in_hand.load(Ordering::Acquire) < wanted {
            return Err(self.short_of(wanted));
        }
        Ok(())
    }

    fn wanted(&self, units: u64) -> Result<i64, Short> {
        let units = units.max(1);
        i64::try_from(units).ok().filter(|_| units <= self.limit()).ok_or(Short::ForGood)
    }

    /// The next block is to hold `wanted` units.
    fn short_of(&self, wanted: i64) -> Short {
        self.shortfall.fetch_max(wanted.unsigned_abs(), Ordering::AcqRel);
        Short::ForNow
    }

    /// What a request is told that found too little. Ask [`Self::needs_draw`] first: it says whether a draw that may
    /// change this is on its way.
    pub(crate) fn refusal(&self, short: Short) -> Refused {
        match (short, self.standing.load(Ordering::Acquire)) {
            (Short::ForGood, _) | (_, SPENT) => Refused::Spent,
            (_, FAILING) => Refused::Unavailable,
            _ => Refused::Dry,
        }
    }

    /// Whether a request that found too little is refused whatever else it draws on: the quota is believed to be spent,
    /// and not yet asked for again.
    pub(crate) fn is_spent(&self, short: Short, clock_nanos: u64) -> bool {
        self.refusal(short) == Refused::Spent
            && (short == Short::ForGood || self.next_draw.load(Ordering::Acquire) > clock_nanos)
    }

    /// Whether the caller is the one to queue the next draw. `refused`: a request found too little. It waits for the
    /// draw then, as do all that come while it is under way, whatever became of the last one.
    pub(super) fn needs_draw(&self, refused: bool, clock_nanos: u64) -> bool {
        let low = self.in_hand.load(Ordering::Acquire) <= self.low_water.load(Ordering::Acquire);
        (refused || low) && self.next_draw.load(Ordering::Acquire) <= clock_nanos && self.begins_draw()
    }

    /// Returns true if no draw is under way: then the caller begins one.
    fn begins_draw(&self) -> bool {
        let begins = !self.drawing.swap(true, Ordering::AcqRel);
        if begins {
            self.standing.store(OPEN, Ordering::Release);
        }
        begins
    }

    /// A wait for the next draw took too long: until it ends, requests are refused at once.
    pub(crate) fn give_up_waiting(&self) {
        let _ = self.standing.compare_exchange(OPEN, FAILING, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The limit was raised: what was spent may not be so any more.
    pub(super) fn reopen(&self) {
        if self.standing.compare_exchange(SPENT, OPEN, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.left.store(self.limit(), Ordering::Release);
            self.next_draw.store(0, Ordering::Release);
        }
    }

    /// How many units to draw now: what the last draw's pace needs for a while, less when little may be left, but
    /// never less than what a request is missing. A block that was used up before the next came was too small, whatever
    /// the pace says: requests that found nothing are not in it.
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

    /// The store granted this of `wanted` units.
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

    /// The store did not answer, or refused.
    pub(super) fn failed(&self, clock_nanos: u64) {
        self.ended(FAILING, clock_nanos.saturating_add(whole_nanos(FAILED_FOR)));
    }

    fn ended(&self, standing: u8, next_draw: u64) {
        self.next_draw.store(next_draw, Ordering::Release);
        self.standing.store(standing, Ordering::Release);
        self.drawing.store(false, Ordering::Release);
        self.drew.notify_waiters();
    }

    /// Takes everything in hand, or the debt, out of the cell: it is to be balanced with the store.
    pub(super) fn empty(&self) -> i64 {
        self.in_hand.swap(0, Ordering::AcqRel)
    }

    /// Takes the debt out of the cell: the store is to be told.
    pub(super) fn take_debt(&self) -> u64 {
        let debt = |in_hand: i64| (in_hand < 0).then_some(0);
        self.in_hand.fetch_update(Ordering::AcqRel, Ordering::Acquire, debt).map_or(0, i64::unsigned_abs)
    }

    /// Puts a debt back that the store could not be told of.
    pub(super) fn put_debt_back(&self, debt: u64) {
        self.in_hand.fetch_sub(i64::try_from(debt).unwrap_or(i64::MAX), Ordering::AcqRel);
    }

    /// Puts back what a request did not use, or charges what it used beyond what it took.
    pub(super) fn balance(self: &Arc<Self>, units: i64) {
        self.in_hand.fetch_add(units, Ordering::AcqRel);
        self.tell_of_debt();
    }

    /// Sends the cell to the keeper if it has a debt, unless it is on its way.
    pub(super) fn tell_of_debt(self: &Arc<Self>) {
        if self.in_hand.load(Ordering::Acquire) < 0 && self.begins_draw() {
            self.errands.queue(Arc::clone(self));
        }
    }

    /// Puts units into the cell.
    pub(super) fn add(&self, units: u64) {
        self.in_hand.fetch_add(i64::try_from(units).unwrap_or(i64::MAX), Ordering::AcqRel);
    }

    /// Takes out of the cell what is in hand beyond what was taken since this was last called.
    pub(super) fn take_surplus(&self) -> u64 {
        let needed = i64::try_from(self.needed.swap(0, Ordering::AcqRel)).unwrap_or(i64::MAX);
        let keep = |in_hand: i64| (in_hand > needed).then_some(needed);
        let Ok(in_hand) = self.in_hand.fetch_update(Ordering::AcqRel, Ordering::Acquire, keep) else {
            return 0;
        };
        // What is kept is no reason to draw again at once.
        self.low_water.fetch_min(needed / 2, Ordering::AcqRel);
        (in_hand - needed).unsigned_abs()
    }
}
