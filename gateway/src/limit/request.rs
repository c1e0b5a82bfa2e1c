//! One request before the limits that apply to it: looked at first, and only then debited.

use std::sync::Arc;

use common::time::Micros;
use tokio::sync::futures::Notified;

use super::{
    Denial, DenialReason, LimitState, LimitStates,
    bank::{Account, Bank, Errand, Short, SlotAccount},
    cells::{Owner, RateCells},
    purse::{Purse, take_all},
    quota::{Held, QuotaCell, QuotaLease, Refused},
    rate::{self, Rate, Rates},
    slots::{Concurrency, Seating, Seats, Slots},
};
use crate::{auth::Caller, config::Route};

/// Seconds after which a request may try again that was refused because the store did not answer.
const UNAVAILABLE_RETRY_SECONDS: u64 = 1;

/// Seconds after which a request may try again that came while too many were under way: nobody knows when one ends.
const UNDER_WAY_RETRY_SECONDS: u64 = 1;

/// A quota of which nothing is known.
const NO_MONTH: LimitState =
    LimitState { policy: "quota-month", quota: 0, window_seconds: 1, remaining: 0, reset_seconds: 1 };

/// Prepaid credit, of which no window can be told.
const CREDIT: LimitState = LimitState { policy: "credit", ..NO_MONTH };

/// One request before the limits that apply to it.
pub(super) struct Request<'a> {
    pub(super) caller: &'a Caller,
    /// The route, if it limits anything.
    pub(super) route: Option<(&'a Route, Arc<RateCells>)>,
    /// Where rates are shared with other gateways.
    pub(super) bank: Option<&'a Bank>,
    pub(super) quota: Option<&'a Arc<QuotaLease>>,
    pub(super) units: u64,
    pub(super) now: Micros,
    /// Nanoseconds of the monotonic clock, read once.
    pub(super) nanos: u64,
    /// Whether it was not counted yet, or has waited for more since it was.
    pub(super) counts: bool,
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

impl<'a> Request<'a> {
    /// Every rate that applies, and where its tokens are.
    fn purses(&self) -> impl Iterator<Item = (&Rate, Purse<'_>)> {
        let Caller { key, tenant } = self.caller;
        let (bank, terms) = (self.bank, &tenant.terms);
        let (of_route, of_pools) = (self.route.iter(), tenant.pools.iter());
        purses_of(Owner::Key(key.id), &terms.key_rates, &key.cells, bank)
            .chain(purses_of(Owner::Tenant(tenant.id), &terms.tenant_rates, &tenant.cells, bank))
            .chain(
                of_pools.flat_map(move |pool| {
                    purses_of(Owner::Pool(pool.owner), &pool.terms.pool_rates, &pool.cells, bank)
                }),
            )
            .chain(
                of_route
                    .flat_map(move |(route, cells)| purses_of(Owner::Route(&route.name), &route.limits, cells, bank)),
            )
    }

    /// Every limit on what is under way.
    fn seating(&self) -> Seating<'_> {
        let route = self.route.as_ref().and_then(|(route, cells)| {
            let limit: &Concurrency = route.limits.concurrency()?;
            Some((limit, &*route.name, cells))
        });
        Seating { caller: self.caller, route, bank: self.bank }
    }

    /// How the limits on what is under way stand.
    pub(super) fn concurrency_states(&self) -> impl Iterator<Item = LimitState> {
        self.seating().seats().map(|(limit, seats)| seats.state(limit, self.nanos))
    }

    /// Looks at every limit on what is under way. What is dry is sent for, unless another one is shut in any case.
    pub(super) fn check_slots(&self) -> Result<(), Obstacle> {
        let (mut violated, mut is_shut, mut dry) = (None, false, None);
        for (limit, seats) in self.seating().seats() {
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
                dry = dry.or(Some(account));
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
    pub(super) fn take_slots(&self) -> Result<Slots, Obstacle> {
        self.seating().take(self.nanos).ok_or_else(|| {
            // Another request took the last one since the check. It may have ended already.
            if let Err(obstacle) = self.check_slots() {
                return obstacle;
            }
            let violated = self.concurrency_states().min_by_key(|state| state.remaining).unwrap_or(NO_MONTH);
            self.denied_under_way(LimitState { remaining: 0, ..violated })
        })
    }

    /// Looks at every rate. What is dry is sent for, unless another limit is shut in any case.
    pub(super) fn check_rates(&self) -> Result<(), Obstacle> {
        let (mut is_shut, mut dry) = (false, None);
        for (rate, purse) in self.purses() {
            match purse.check(rate, self.nanos) {
                Ok(()) => continue,
                Err(Short::Wait(_)) => is_shut = true,
                Err(Short::Dry) => {}
            }
            if let Purse::Shared { account, .. } = purse {
                if self.counts {
                    account.missed();
                }
                dry = dry.or(Some(account));
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
    pub(super) fn debit_rates(&self, limits: &mut LimitStates, clock: impl FnOnce() -> u64) -> bool {
        let taken = take_all(self.purses(), self.nanos, clock, |state| limits.push(state));
        if taken {
            self.send_for_more(false);
        }
        taken
    }

    /// Leaves an errand for every account that runs low. `waits`: the request cannot go on without.
    fn send_for_more(&self, waits: bool) {
        let Some(bank) = self.bank else {
            return;
        };
        for (rate, purse) in self.purses() {
            if let Purse::Shared { account, .. } = purse
                && account.needs_draw(rate, self.nanos)
            {
                let errand = Errand::new(Arc::clone(account), *rate);
                bank.leave(if waits { errand.urgent() } else { errand });
            }
        }
        for (limit, seats) in self.seating().seats() {
            if let Seats::Shared { account, .. } = seats
                && account.needs_draw(limit.limit(), self.nanos)
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
        let Some((lease, cell)) = self.quota_cell()? else {
            return Ok(self.states(None));
        };
        lease.look(&cell, self.units, self.nanos).map_err(|refused| self.denied_by_quota(&cell, refused))?;
        Ok(self.states(Some(&cell)))
    }

    pub(super) fn take_quota(&self) -> Result<Option<Held>, Obstacle> {
        let Some((lease, cell)) = self.quota_cell()? else {
            return Ok(None);
        };
        lease.take(&cell, self.units, self.nanos).map(Some).map_err(|refused| self.denied_by_quota(&cell, refused))
    }

    /// The quota that applies, if any, in this month.
    fn quota_cell(&self) -> Result<Option<(&'a QuotaLease, Arc<QuotaCell>)>, Obstacle> {
        let Some(lease) = self.quota else {
            return Ok(None);
        };
        let cell = lease.cell(self.now).ok_or_else(|| self.denied_without_month())?;
        Ok(Some((lease, cell)))
    }

    fn states(&self, quota: Option<&QuotaCell>) -> LimitStates {
        let mut limits = LimitStates::new();
        self.purses().for_each(|(rate, purse)| limits.push(purse.state(rate, self.nanos)));
        self.concurrency_states().for_each(|state| limits.push(state));
        if let Some(state) = quota.and_then(|cell| cell.state(self.now)) {
            limits.push(state);
        }
        limits
    }

    /// The denial by the rate that makes the caller wait longest.
    pub(super) fn denied_by_rate(&self) -> Obstacle {
        let wait = |(rate, purse): (&Rate, Purse<'_>)| {
            let wait = match purse.check(rate, self.nanos) {
                Ok(()) => 0,
                Err(Short::Dry) => 1,
                Err(Short::Wait(wait)) => wait,
            };
            (wait, purse.state(rate, self.nanos))
        };
        let longest = self.purses().map(wait).max_by_key(|(wait, _)| *wait);
        let (wait, violated) = longest.unwrap_or((0, NO_MONTH));
        let violated = LimitState { remaining: 0, ..violated };
        self.denied(DenialReason::RateLimited, violated, wait.div_ceil(rate::NANOS_PER_SECOND).max(1))
    }

    fn denied_under_way(&self, violated: LimitState) -> Obstacle {
        self.denied(DenialReason::TooManyUnderWay, violated, UNDER_WAY_RETRY_SECONDS)
    }

    fn denied(&self, reason: DenialReason, violated: LimitState, retry_after_seconds: u64) -> Obstacle {
        let cell = self.quota.and_then(|lease| lease.cell(self.now));
        let limits = self.states(cell.as_deref()).to_vec();
        Obstacle { denial: Denial { reason, violated, limits, retry_after_seconds }, dry: None }
    }

    fn denied_by_quota(&self, cell: &Arc<QuotaCell>, refused: Refused) -> Obstacle {
        let month = cell.state(self.now);
        let violated = month.unwrap_or(CREDIT);
        let (reason, retry_after_seconds) = match refused {
            Refused::Spent if month.is_none() => (DenialReason::CreditSpent, 0),
            Refused::Spent => (DenialReason::QuotaExceeded, violated.reset_seconds.max(1)),
            Refused::Dry | Refused::Unavailable => (DenialReason::QuotaUnavailable, UNAVAILABLE_RETRY_SECONDS),
        };
        let limits = self.states(Some(cell)).to_vec();
        let dry = (refused == Refused::Dry).then(|| Dry::Quota(Arc::clone(cell)));
        Obstacle { denial: Denial { reason, violated, limits, retry_after_seconds }, dry }
    }

    /// The clock shows a time that belongs to no month: no quota can be charged.
    fn denied_without_month(&self) -> Obstacle {
        let denial = Denial {
            reason: DenialReason::QuotaUnavailable,
            violated: NO_MONTH,
            limits: self.states(None).to_vec(),
            retry_after_seconds: UNAVAILABLE_RETRY_SECONDS,
        };
        Obstacle { denial, dry: None }
    }
}

/// The rates of one owner, and where their tokens are.
fn purses_of<'a>(
    owner: Owner<'a>,
    rates: &'a Rates,
    cells: &'a RateCells,
    bank: Option<&'a Bank>,
) -> impl Iterator<Item = (&'a Rate, Purse<'a>)> {
    rates.with(cells).map(move |(rate, slot)| {
        (rate, bank.map_or_else(|| Purse::Own(slot.cell()), |bank| bank.purse(slot.account(owner))))
    })
}
