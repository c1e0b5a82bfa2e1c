//! Requests under way: how many are being served at once. A slot is taken with the admission and given back when the
//! request ends, however it ends: whoever serves it holds [`Slots`].
//!
//! What holds: a gateway never serves more than the limit at once. Gateways that share limits through a bank each serve
//! their part of it, the limit divided by their number, and at least one; so a limit that is smaller than the fleet is
//! as large as the fleet.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{LimitState, RateCells};
use crate::auth::Caller;

/// How many requests may be under way at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Concurrency {
    policy: &'static str,
    limit: u64,
}

/// How many requests of one owner are under way.
#[derive(Debug, Default)]
pub(super) struct UnderWay(AtomicU64);

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
}

impl Concurrency {
    pub(super) const fn new(policy: &'static str, limit: u64) -> Self {
        Self { policy, limit }
    }

    /// How many this gateway may serve at once, as one of `gateways`.
    fn share(&self, gateways: u64) -> u64 {
        (self.limit / gateways.max(1)).max(1)
    }

    /// How the limit stands while `under_way` are served here.
    pub(super) fn state(&self, under_way: &UnderWay, gateways: u64) -> LimitState {
        let under_way = under_way.0.load(Ordering::Acquire);
        let remaining = self.share(gateways).saturating_sub(under_way);
        LimitState { policy: self.policy, quota: self.limit, window_seconds: 0, remaining, reset_seconds: 0 }
    }
}

impl UnderWay {
    /// Counts one more, unless there are as many as may be.
    fn enter(&self, most: u64) -> bool {
        let enter = |count: u64| (count < most).then_some(count + 1);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, enter).is_ok()
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    fn leave(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The limits on what is under way of a caller, and what each counts.
pub(super) fn of_caller(caller: &Caller) -> impl Iterator<Item = (&Concurrency, &RateCells)> {
    let Caller { key, tenant } = caller;
    let own = [(&tenant.terms.key_rates, &*key.cells), (&tenant.terms.tenant_rates, &*tenant.cells)];
    let pools = tenant.pools.iter().map(|pool| (&pool.terms.pool_rates, &*pool.cells));
    own.into_iter().chain(pools).filter_map(|(rates, cells)| rates.concurrency().map(|limit| (limit, cells)))
}

impl Slots {
    /// Takes a slot of every limit that applies, or none.
    pub(super) fn take(caller: &Caller, route: Option<(&Concurrency, &Arc<RateCells>)>, gateways: u64) -> Option<Self> {
        let limits = || of_caller(caller).chain(route.map(|(limit, cells)| (limit, &**cells)));
        for (index, (limit, cells)) in limits().enumerate() {
            if !cells.under_way.enter(limit.share(gateways)) {
                limits().take(index).for_each(|(_, cells)| cells.under_way.leave());
                return None;
            }
        }
        let is_limited = limits().next().is_some();
        let held =
            is_limited.then(|| Held { caller: caller.clone(), route: route.map(|(_, cells)| Arc::clone(cells)) });
        Some(Self { _held: held })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        of_caller(&self.caller).for_each(|(_, cells)| cells.under_way.leave());
        if let Some(route) = &self.route {
            route.under_way.leave();
        }
    }
}
