//! One request before the limits that apply to it: looked at first, and only then debited.
//!
//! What applies is gathered once, in place and without an allocation, as all that follows goes through it again.

mod quotas;

use std::sync::Arc;

use smallvec::SmallVec;
use tokio::sync::futures::Notified;

use super::{
    Admission, Denial, DenialReason, LimitState, LimitStates,
    bank::{Account, Bank, Errand, Short, SlotAccount},
    cells::{Owner, RateCells},
    clock::Clock,
    purse::{self, Purse, RATES_IN_PLACE},
    quota::QuotaCell,
    rate::{self, Rate, Rates},
    request::Request,
    slots::{self, Concurrency, SLOTS_IN_PLACE, Seats, Slots},
};

/// Seconds after which a request may try again that came while too many were under way: nobody knows when one ends.
const UNDER_WAY_RETRY_SECONDS: u64 = 1;

/// A quota of which nothing is known.
const NO_MONTH: LimitState =
    LimitState { policy: "quota-month", quota: 0, window_seconds: 1, remaining: 0, reset_seconds: 1 };

/// One request, and every limit that applies to it.
pub(super) struct Attempt<'r> {
    request: &'r Request<'r>,
    /// The bank, where rates are shared with other gateways.
    bank: Option<&'r Bank>,
    /// Nanoseconds of the monotonic clock, read once.
    nanos: u64,
    /// True if the request was not counted yet, or has waited for more since it was.
    counts: bool,
    /// Its rates, and where their tokens are.
    purses: SmallVec<[(&'r Rate, Purse<'r>); RATES_IN_PLACE]>,
    /// Its limits on what is under way, and where their slots are.
    seats: SmallVec<[(&'r Concurrency, Seats<'r>); SLOTS_IN_PLACE]>,
}

/// Whose requests a limit applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Circle {
    Key,
    Tenant,
    /// A pool of the tenant, by its number.
    Pool(usize),
    Route,
}

impl Circle {
    /// Returns true if a limit of this circle applies to every request that a limit of `other` applies to.
    fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::Tenant | Self::Pool(_), Self::Key) | (Self::Pool(_), Self::Tenant) => true,
            (one, other) => one == other,
        }
    }
}

/// A denial, and what may turn it into an admission when it is filled.
pub(super) struct Obstacle {
    pub(super) denial: Denial,
    pub(super) dry: Option<Dry>,
}

/// What has nothing in hand, with more on its way.
pub(super) enum Dry {
    Rate(Arc<Account>),
    Slots(Arc<SlotAccount>),
    Quota(Arc<QuotaCell>),
}

impl Dry {
    /// Ends when more has come, or has failed to.
    pub(super) fn filled(&self) -> Notified<'_> {
        match self {
            Self::Rate(account) => account.answered(),
            Self::Slots(account) => account.answered(),
            Self::Quota(cell) => cell.drew.notified(),
        }
    }

    /// Waiting for it took too long.
    pub(super) fn give_up(&self) {
        if let Self::Quota(cell) = self {
            cell.give_up_waiting();
        }
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rate(one), Self::Rate(other)) => Arc::ptr_eq(one, other),
            (Self::Slots(one), Self::Slots(other)) => Arc::ptr_eq(one, other),
            (Self::Quota(one), Self::Quota(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl<'r> Attempt<'r> {
    /// No limits yet, of this request.
    #[inline]
    pub(super) fn new(request: &'r Request<'r>, bank: Option<&'r Bank>, nanos: u64, counts: bool) -> Self {
        Self { request, bank, nanos, counts, purses: SmallVec::new(), seats: SmallVec::new() }
    }

    /// Gathers every limit that applies.
    #[inline]
    pub(super) fn gather(&mut self) -> &Self {
        let Request { key, key_cells, tenant, to, .. } = *self.request;
        self.add(Owner::Key(key), &tenant.rates.key, key_cells);
        self.add(Owner::Tenant(tenant.tenant), &tenant.rates.tenant, &tenant.cells);
        for pool in &tenant.pools {
            self.add(Owner::Pool(pool.owner), &pool.rates.pool, &pool.cells);
        }
        if let Some(route) = to.route {
            self.add(Owner::Route(&route.name), &route.rates, &route.cells);
        }
        self
    }

    /// Debits every limit that applies, or none.
    #[inline]
    pub(super) fn debit(&self, clock: &Clock) -> Result<Admission, Obstacle> {
        self.check_slots()?;
        self.check_rates()?;
        let slots = self.take_slots()?;
        let held = self.take_quotas()?;
        if !self.debit_rates(|| clock.nanos()) {
            // Another request took the last token since the check; what is held goes back.
            drop((held, slots));
            return Err(self.check_rates().err().unwrap_or_else(|| self.denied_by_rate()));
        }
        let at = held.counts_at(self.request.now);
        Ok(Admission { at, held, slots })
    }

    /// The limits of one owner.
    #[inline]
    fn add(&mut self, owner: Owner<'_>, rates: &'r Rates, cells: &'r RateCells) {
        let bank = self.bank;
        for (rate, slot) in rates.with(cells) {
            let purse = bank.map_or_else(|| Purse::Own(slot.cell()), |bank| bank.purse(slot.account(owner)));
            self.purses.push((rate, purse));
        }
        if let Some(limit) = rates.concurrency() {
            self.seats.push((limit, Seats::of(cells, owner, bank)));
        }
    }

    /// How the limits on what is under way stand.
    fn concurrency_states(&self) -> impl Iterator<Item = LimitState> {
        self.seats.iter().map(|(limit, seats)| seats.state(limit, self.nanos))
    }

    /// Looks at every limit on what is under way. What is dry is sent for, unless another one is shut in any case.
    #[inline]
    pub(super) fn check_slots(&self) -> Result<(), Obstacle> {
        let (mut violated, mut is_shut, mut dry) = (None, false, None);
        for (limit, seats) in &self.seats {
            let Err(short) = seats.check(limit, self.nanos) else {
                continue;
            };
            if !is_shut {
                violated = Some(seats.state(limit, self.nanos));
            }
            is_shut |= short != Short::Dry;
            if let Seats::Shared { account, .. } = seats {
                if self.counts {
                    account.missed();
                }
                dry = dry.or(Some(*account));
            }
        }
        let Some(violated) = violated else {
            return Ok(());
        };
        let dry = dry.filter(|_| !is_shut).map(|account| {
            self.send_for_more(true);
            Dry::Slots(Arc::clone(account))
        });
        Err(Obstacle { dry, ..self.denied_under_way(violated) })
    }

    /// Takes a slot of every limit on what is under way, or none.
    #[inline]
    pub(super) fn take_slots(&self) -> Result<Slots, Obstacle> {
        if self.seats.is_empty() {
            return Ok(Slots::none());
        }
        slots::take_all(&self.seats, self.nanos).ok_or_else(|| {
            // Another request took the last one since the check. It may have ended already.
            if let Err(obstacle) = self.check_slots() {
                return obstacle;
            }
            let violated = self.concurrency_states().min_by_key(|state| state.remaining).unwrap_or(NO_MONTH);
            self.denied_under_way(LimitState { remaining: 0, ..violated })
        })
    }

    /// Looks at every rate. What is dry is sent for, unless another limit is shut in any case.
    #[inline]
    pub(super) fn check_rates(&self) -> Result<(), Obstacle> {
        let (mut is_shut, mut dry) = (false, None);
        for (rate, purse) in &self.purses {
            match purse.check(rate, self.nanos) {
                Ok(()) => continue,
                Err(Short::Wait(_)) => is_shut = true,
                Err(Short::Dry) => {}
            }
            if let Purse::Shared { account, .. } = purse {
                if self.counts {
                    account.missed();
                }
                dry = dry.or(Some(*account));
            }
        }
        if !is_shut && dry.is_none() {
            return Ok(());
        }
        let dry = dry.filter(|_| !is_shut).map(|account| {
            self.send_for_more(true);
            Dry::Rate(Arc::clone(account))
        });
        Err(Obstacle { dry, ..self.denied_by_rate() })
    }

    /// Debits every rate, or none.
    #[inline]
    pub(super) fn debit_rates(&self, clock: impl FnOnce() -> u64) -> bool {
        let taken = purse::take_all(&self.purses, self.nanos, clock);
        if taken {
            self.send_for_more(false);
        }
        taken
    }

    /// Leaves an errand for every account that runs low. `waits`: the request cannot go on without.
    fn send_for_more(&self, waits: bool) {
        let (Some(bank), nanos) = (self.bank, self.nanos) else {
            return;
        };
        for (rate, purse) in &self.purses {
            if let Purse::Shared { account, .. } = purse
                && account.needs_draw(rate, nanos)
            {
                let errand = Errand::new(Arc::clone(account), **rate);
                bank.leave(if waits { errand.urgent() } else { errand });
            }
        }
        for (limit, seats) in &self.seats {
            if let Seats::Shared { account, .. } = seats
                && account.needs_draw(limit.limit(), nanos)
            {
                let errand = Errand::of_slots(Arc::clone(account), limit.limit());
                bank.leave(if waits { errand.urgent() } else { errand });
            }
        }
    }

    /// How each limit stands, if every one of them would let the request on. What is dry is sent for all the same.
    pub(super) fn look(&self) -> Result<LimitStates, Obstacle> {
        self.check_slots()?;
        self.check_rates()?;
        self.look_at_quotas(&self.quota_cells()?)?;
        Ok(self.states())
    }

    /// How each limit stands, whether or not it would let the request on.
    pub(super) fn states(&self) -> LimitStates {
        let (Request { tenant, now, units, .. }, nanos) = (*self.request, self.nanos);
        let owners = self.owners();
        let mut limits = LimitStates::new();
        for (index, (rate, purse)) in self.purses.iter().enumerate() {
            let others = self.purses.iter().enumerate().filter(|(other, _)| *other != index);
            let covers = others.filter(|(other, _)| owners[*other].covers(owners[index])).map(|(_, (rate, _))| *rate);
            if let Some((state, likely)) = purse.standing(rate, covers, nanos) {
                limits.push_likely(state, likely);
            }
        }
        for (limit, seats) in &self.seats {
            // With none in hand and more to be had, nothing is known that could be told.
            let state = seats.state(limit, nanos);
            if state.remaining > 0 || seats.check(limit, nanos) != Err(Short::Dry) {
                limits.push(state);
            }
        }
        let quotas = self.quota_leases().filter_map(|lease| lease.cell(now));
        for (state, likely) in quotas.filter_map(|cell| cell.standing(tenant.tenant, now)) {
            // As many requests like this one.
            limits.push_likely(state, likely / units.max(1));
        }
        limits
    }

    /// Whose limit each rate is, in their order.
    fn owners(&self) -> SmallVec<[Circle; RATES_IN_PLACE]> {
        let Request { key_cells, tenant, .. } = *self.request;
        let of = |circle, rates: &Rates, cells: &RateCells| std::iter::repeat_n(circle, rates.with(cells).count());
        let key = of(Circle::Key, &tenant.rates.key, key_cells);
        let own = of(Circle::Tenant, &tenant.rates.tenant, &tenant.cells);
        let pools = tenant.pools.iter().zip(0..);
        let pools = pools.flat_map(|(pool, number)| of(Circle::Pool(number), &pool.rates.pool, &pool.cells));
        let mut owners: SmallVec<_> = key.chain(own).chain(pools).collect();
        owners.resize(self.purses.len(), Circle::Route);
        owners
    }

    /// The denial by the rate that makes the caller wait longest.
    pub(super) fn denied_by_rate(&self) -> Obstacle {
        let nanos = self.nanos;
        let wait = |(rate, purse): &(&Rate, Purse<'_>)| {
            let wait = match purse.check(rate, nanos) {
                Ok(()) => 0,
                Err(Short::Dry) => 1,
                Err(Short::Wait(wait)) => wait,
            };
            (wait, purse.refusal(rate, nanos))
        };
        let longest = self.purses.iter().map(wait).max_by_key(|(wait, _)| *wait);
        let (wait, violated) = longest.unwrap_or((0, NO_MONTH));
        self.denied(DenialReason::RateLimited, violated, wait.div_ceil(rate::NANOS_PER_SECOND).max(1))
    }

    fn denied_under_way(&self, violated: LimitState) -> Obstacle {
        self.denied(DenialReason::TooManyUnderWay, violated, UNDER_WAY_RETRY_SECONDS)
    }

    fn denied(&self, reason: DenialReason, violated: LimitState, retry_after_seconds: u64) -> Obstacle {
        let mut limits = self.states();
        limits.push_refusing(violated);
        Obstacle { denial: Denial { reason, violated, limits: limits.to_vec(), retry_after_seconds }, dry: None }
    }
}
