//! Permits of concurrency limits. A request takes one permit of each limit when it is admitted, and
//! gives them back when its [`Permit`] is dropped, however it ends.
//!
//! Invariant: never more requests than the limit are served at once. Gateways that share limits
//! draw permits from the bank; while it is away each of them uses its share, the limit divided by
//! the number of gateways, and at least 1.

use std::sync::Arc;

use common::limit::{LimitState, NANOS_PER_SECOND};
use smallvec::SmallVec;

use super::{
    bank::{Bank, ConcurrencyAccount, Shortage},
    cells::{Accounts, Owner, RateCells},
    rate::Concurrency,
};

/// Permits of one request that are kept without an allocation.
pub(super) const PERMITS_IN_PLACE: usize = 4;

/// The source of one limit's permits: a count of this gateway, or an account at the bank.
#[derive(Clone, Copy)]
pub(super) enum PermitSource<'a> {
    Own(&'a Arc<Accounts>),
    Shared {
        account: &'a Arc<ConcurrencyAccount>,
        /// Number of gateways that share the limit while the bank is away, none while it answers.
        gateways: Option<u64>,
    },
}

/// The permits of one request, one of each limit that applies. Dropping it gives them back.
pub struct Permit {
    _permits: SmallVec<[LimitPermit; PERMITS_IN_PLACE]>,
}

/// The permit of one limit. Dropping it gives it back.
enum LimitPermit {
    Own(Arc<Accounts>),
    Shared(Arc<ConcurrencyAccount>),
}

impl<'a> PermitSource<'a> {
    /// The source of an owner's permits: its account at the bank if there is one, else its count.
    pub(super) fn of(cells: &'a RateCells, owner: Owner<'_>, bank: Option<&Bank>) -> Self {
        match bank {
            None => Self::Own(cells.accounts()),
            Some(bank) => {
                let account = cells.concurrency_account(owner);
                Self::Shared { account, gateways: bank.gateways_while_away(account.shard()) }
            }
        }
    }

    /// Checks that a permit can be taken.
    pub(super) fn check(&self, limit: &Concurrency, now: u64) -> Result<(), Shortage> {
        match self {
            Self::Own(own) if own.permits.in_use() < limit.limit => Ok(()),
            Self::Own(_) => Err(Shortage::Wait(NANOS_PER_SECOND)),
            Self::Shared { account, gateways } => account.check(limit.limit, *gateways, now),
        }
    }

    /// State of the limit. `remaining` is never above the truth.
    pub(super) fn state(&self, limit: &Concurrency, now: u64) -> LimitState {
        let remaining = match self {
            Self::Own(own) => limit.limit.saturating_sub(own.permits.in_use()),
            Self::Shared { account, gateways } => account.remaining(limit.limit, *gateways, now),
        };
        LimitState { policy: limit.policy, quota: limit.limit, window_seconds: 0, remaining, reset_seconds: 0 }
    }

    fn take(&self, limit: &Concurrency, now: u64) -> Option<LimitPermit> {
        match self {
            Self::Own(own) => own.permits.take(limit.limit).then(|| LimitPermit::Own(Arc::clone(own))),
            Self::Shared { account, gateways } => {
                let is_taken = account.take(limit.limit, *gateways, now).is_ok();
                is_taken.then(|| LimitPermit::Shared(Arc::clone(account)))
            }
        }
    }
}

impl Permit {
    /// The permit of a request without a concurrency limit.
    pub(super) fn unlimited() -> Self {
        Self { _permits: SmallVec::new() }
    }
}

/// Takes one permit of each source, or none.
pub(super) fn take_all(sources: &[(&Concurrency, PermitSource<'_>)], now: u64) -> Option<Permit> {
    // If one is missing, those taken before it go back as they are dropped.
    let permits: Option<_> = sources.iter().map(|(limit, source)| source.take(limit, now)).collect();
    permits.map(|permits| Permit { _permits: permits })
}

impl Drop for LimitPermit {
    fn drop(&mut self) {
        match self {
            Self::Own(own) => own.permits.release(),
            Self::Shared(account) => account.release(),
        }
    }
}
