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

/// The limits on what is under way that apply to one request.
#[derive(Clone, Copy)]
pub(super) struct Seating<'a> {
    pub(super) caller: &'a Caller,
    /// The route's, with its name.
    pub(super) route: Option<(&'a Concurrency, &'a str, &'a Arc<RateCells>)>,
    pub(super) bank: Option<&'a Bank>,
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

impl Seats<'_> {
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

/// The limits on what is under way of a caller, with whose they are and what each counts.
fn of_caller(caller: &Caller) -> impl Iterator<Item = (&Concurrency, Owner<'_>, &RateCells)> {
    let Caller { key, tenant } = caller;
    let own = [
        (&tenant.terms.key_rates, Owner::Key(key.id), &*key.cells),
        (&tenant.terms.tenant_rates, Owner::Tenant(tenant.id), &*tenant.cells),
    ];
    let pools = tenant.pools.iter().map(|pool| (&pool.terms.pool_rates, Owner::Pool(pool.owner), &*pool.cells));
    own.into_iter()
        .chain(pools)
        .filter_map(|(rates, owner, cells)| rates.concurrency().map(|limit| (limit, owner, cells)))
}

impl<'a> Seating<'a> {
    /// Every limit that applies, and where its slots are.
    pub(super) fn seats(self) -> impl Iterator<Item = (&'a Concurrency, Seats<'a>)> {
        let route = self.route.map(|(limit, name, cells)| (limit, Owner::Route(name), &**cells));
        of_caller(self.caller).chain(route).map(move |(limit, owner, cells)| {
            let seats = match self.bank {
                Some(bank) => bank.seats(cells.slots(owner)),
                None => Seats::Own(&cells.under_way),
            };
            (limit, seats)
        })
    }

    /// Takes a slot of every limit that applies, or none.
    pub(super) fn take(self, now: u64) -> Option<Slots> {
        for (index, (limit, seats)) in self.seats().enumerate() {
            if !seats.take(limit, now) {
                self.seats().take(index).for_each(|(_, seats)| seats.leave());
                return None;
            }
        }
        let is_limited = self.seats().next().is_some();
        let held = is_limited.then(|| Held {
            caller: self.caller.clone(),
            route: self.route.map(|(_, _, cells)| Arc::clone(cells)),
            is_shared: self.bank.is_some(),
        });
        Some(Slots { _held: held })
    }
}

impl Held {
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
        of_caller(&self.caller).for_each(|(_, _, cells)| self.leave(cells));
        if let Some(route) = &self.route {
            self.leave(route);
        }
    }
}
