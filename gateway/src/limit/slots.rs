//! Requests under way: how many are being served at once. A slot is taken with the admission and given back when the
//! request ends, however it ends: whoever serves it holds [`Slots`].
//!
//! What holds: never more than the limit are served at once. Gateways that share limits draw slots from the bank; while
//! it is away each of them serves its part, the limit divided by their number, and at least one.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{
    LimitState, RateCells,
    bank::{Bank, Short, SlotAccount},
    cells::Owner,
    rate::NANOS_PER_SECOND,
};
use crate::auth::Caller;

/// How many requests may be under way at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Concurrency {
    policy: &'static str,
    limit: u64,
}

/// How many requests of one owner are under way, where nobody else serves any.
#[derive(Debug, Default)]
pub(super) struct UnderWay(AtomicU64);

/// Where the slots of a limit are: all in this gateway, or in an account at the bank.
#[derive(Clone, Copy)]
pub(super) enum Seats<'a> {
    Own(&'a UnderWay),
    Shared {
        account: &'a Arc<SlotAccount>,
        /// How many gateways share the limit while the bank is away; none if it is there.
        gateways: Option<u64>,
    },
}

/// Keeps one request counted as under way, for as long as it lives.
pub struct Slots {
    _held: Option<Held>,
}

/// Whose slots are held.
struct Held {
    /// Its key, its tenant and the pools, as far as the plans that were in force limit them.
    caller: Caller,
    /// The route, if it limits how many are under way.
    route: Option<Arc<RateCells>>,
    is_shared: bool,
}

impl Concurrency {
    pub(super) const fn new(policy: &'static str, limit: u64) -> Self {
        Self { policy, limit }
    }

    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }
}

impl UnderWay {
    /// Counts one more, unless there are as many as may be.
    fn enter(&self, most: u64) -> bool {
        let enter = |count: u64| (count < most).then_some(count + 1);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, enter).is_ok()
    }

    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn leave(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<'a> Seats<'a> {
    /// Those of one owner.
    pub(super) fn of(cells: &'a RateCells, owner: Owner<'_>, bank: Option<&Bank>) -> Self {
        bank.map_or(Self::Own(&cells.under_way), |bank| bank.seats(cells.slots(owner)))
    }

    /// Whether a slot can be taken.
    pub(super) fn check(&self, limit: &Concurrency, now: u64) -> Result<(), Short> {
        match self {
            Self::Own(under_way) if under_way.count() < limit.limit => Ok(()),
            Self::Own(_) => Err(Short::Wait(NANOS_PER_SECOND)),
            Self::Shared { account, gateways } => account.check(limit.limit, *gateways, now),
        }
    }

    /// How the limit stands: what is left is never above the truth.
    pub(super) fn state(&self, limit: &Concurrency, now: u64) -> LimitState {
        let remaining = match self {
            Self::Own(under_way) => limit.limit.saturating_sub(under_way.count()),
            Self::Shared { account, gateways } => account.remaining(limit.limit, *gateways, now),
        };
        LimitState { policy: limit.policy, quota: limit.limit, window_seconds: 0, remaining, reset_seconds: 0 }
    }

    fn take(&self, limit: &Concurrency, now: u64) -> bool {
        match self {
            Self::Own(under_way) => under_way.enter(limit.limit),
            Self::Shared { account, gateways } => account.take(limit.limit, *gateways, now).is_ok(),
        }
    }

    fn leave(&self) {
        match self {
            Self::Own(under_way) => under_way.leave(),
            Self::Shared { account, .. } => account.leave(),
        }
    }
}

impl Slots {
    /// Of a request whose number nothing limits.
    pub(super) const fn none() -> Self {
        Self { _held: None }
    }
}

/// Takes one slot of each, or none. They are those of `caller`, and of `route` if it limits what is under way.
pub(super) fn take_all(
    seats: &[(&Concurrency, Seats<'_>)],
    caller: &Caller,
    route: Option<&Arc<RateCells>>,
    is_shared: bool,
    now: u64,
) -> Option<Slots> {
    for (index, (limit, one)) in seats.iter().enumerate() {
        if !one.take(limit, now) {
            seats[..index].iter().for_each(|(_, taken)| taken.leave());
            return None;
        }
    }
    let held = Held { caller: caller.clone(), route: route.map(Arc::clone), is_shared };
    Some(Slots { _held: Some(held) })
}

impl Held {
    /// The cells of everybody whose slots are held, but the route.
    fn cells_of_caller(&self) -> impl Iterator<Item = &RateCells> {
        let Caller { key, tenant } = &self.caller;
        let own = [(&tenant.terms.key_rates, &key.cells), (&tenant.terms.tenant_rates, &*tenant.cells)];
        let pools = tenant.pools.iter().map(|pool| (&pool.terms.pool_rates, &*pool.cells));
        own.into_iter().chain(pools).filter(|(rates, _)| rates.concurrency().is_some()).map(|(_, cells)| cells)
    }

    fn leave(&self, cells: &RateCells) {
        if !self.is_shared {
            cells.under_way.leave();
        } else if let Some(account) = cells.known_slots() {
            account.leave();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.cells_of_caller().for_each(|cells| self.leave(cells));
        if let Some(route) = &self.route {
            self.leave(route);
        }
    }
}
