//! Requests under way: how many are being served at once. A slot is taken with the admission and given back when the
//! request ends, however it ends: whoever serves it holds [`Slots`].
//!
//! What holds: never more than the limit are served at once. Gateways that share limits draw slots from the bank; while
//! it is away each of them serves its part, the limit divided by their number, and at least one.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use smallvec::SmallVec;

use super::{
    LimitState, RateCells,
    bank::{Bank, Short, SlotAccount},
    cells::{Accounts, Owner},
    rate::NANOS_PER_SECOND,
};

/// Slots of one request that take no allocation.
pub(super) const SLOTS_IN_PLACE: usize = 4;

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
    Own(&'a Arc<Accounts>),
    Shared {
        account: &'a Arc<SlotAccount>,
        /// How many gateways share the limit while the bank is away; none if it is there.
        gateways: Option<u64>,
    },
}

/// Keeps one request counted as under way, for as long as it lives.
pub struct Slots {
    _held: SmallVec<[Held; SLOTS_IN_PLACE]>,
}

/// A slot that is held, and goes back when it is dropped.
enum Held {
    Own(Arc<Accounts>),
    Shared(Arc<SlotAccount>),
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
        bank.map_or_else(|| Self::Own(cells.accounts()), |bank| bank.seats(cells.slots(owner)))
    }

    /// Whether a slot can be taken.
    pub(super) fn check(&self, limit: &Concurrency, now: u64) -> Result<(), Short> {
        match self {
            Self::Own(own) if own.under_way.count() < limit.limit => Ok(()),
            Self::Own(_) => Err(Short::Wait(NANOS_PER_SECOND)),
            Self::Shared { account, gateways } => account.check(limit.limit, *gateways, now),
        }
    }

    /// How the limit stands: what is left is never above the truth.
    pub(super) fn state(&self, limit: &Concurrency, now: u64) -> LimitState {
        let remaining = match self {
            Self::Own(own) => limit.limit.saturating_sub(own.under_way.count()),
            Self::Shared { account, gateways } => account.remaining(limit.limit, *gateways, now),
        };
        LimitState { policy: limit.policy, quota: limit.limit, window_seconds: 0, remaining, reset_seconds: 0 }
    }

    fn take(&self, limit: &Concurrency, now: u64) -> Option<Held> {
        match self {
            Self::Own(own) => own.under_way.enter(limit.limit).then(|| Held::Own(Arc::clone(own))),
            Self::Shared { account, gateways } => {
                account.take(limit.limit, *gateways, now).is_ok().then(|| Held::Shared(Arc::clone(account)))
            }
        }
    }
}

impl Slots {
    /// Of a request whose number nothing limits.
    pub(super) fn none() -> Self {
        Self { _held: SmallVec::new() }
    }
}

/// Takes one slot of each, or none.
pub(super) fn take_all(seats: &[(&Concurrency, Seats<'_>)], now: u64) -> Option<Slots> {
    // Slots that were taken before one is missing go back as they are dropped.
    let held: Option<_> = seats.iter().map(|(limit, one)| one.take(limit, now)).collect();
    held.map(|held| Slots { _held: held })
}

impl Drop for Held {
    fn drop(&mut self) {
        match self {
            Self::Own(own) => own.under_way.leave(),
            Self::Shared(account) => account.leave(),
        }
    }
}
