//! The source of a rate's tokens: a bucket of this gateway, or an account at the bank. Both are
//! used in the same way.
//!
//! Invariant: of several limits, each gives one token or none does.

use std::sync::Arc;

use common::limit::{LimitState, Rate, RateCell};
use smallvec::SmallVec;

use super::{
    bank::{Account, Bank, Debit, Estimate, Shortage},
    cells::{Owner, WindowCell},
};

/// Rates of one request that are kept without an allocation: more than key, tenant, pools and route
/// usually have together.
pub(super) const RATES_IN_PLACE: usize = 16;

/// `reset_seconds` shown to clients while most of what is left is at the bank.
const SOON_SECONDS: u64 = 1;

/// The source of one rate's tokens.
#[derive(Clone, Copy)]
pub enum TokenSource<'a> {
    /// A bucket of this gateway alone.
    Own(&'a RateCell),
    /// An account at the bank.
    Shared {
        /// The account.
        account: &'a Arc<Account>,
        /// Number of gateways that share the limit while the bank is away, none while it answers.
        gateways: Option<u64>,
    },
}

/// Receipt for one token, needed to put it back.
#[derive(Clone, Copy)]
enum Receipt {
    Own,
    Shared(Debit),
}

impl<'a> TokenSource<'a> {
    /// The source of an owner's tokens: its account at the bank if there is one, else its bucket.
    #[inline]
    pub(super) fn of(cell: WindowCell<'a>, owner: Owner<'_>, bank: Option<&Bank>) -> Self {
        match bank {
            None => Self::Own(cell.bucket()),
            Some(bank) => {
                let account = cell.account(owner);
                Self::Shared { account, gateways: bank.gateways_while_away(account.shard()) }
            }
        }
    }
}

impl TokenSource<'_> {
    /// Checks that one token can be taken.
    #[inline]
    pub fn check(&self, rate: &Rate, now: u64) -> Result<(), Shortage> {
        match self {
            Self::Own(cell) => match cell.wait(rate, now) {
                0 => Ok(()),
                wait => Err(Shortage::Wait(wait)),
            },
            Self::Shared { account, gateways } => account.check(rate, *gateways, now),
        }
    }

    /// State of the limit as clients see it, and the tokens that are probably left. `remaining` is
    /// never above the truth. `covers` are the limits that apply to every request that this limit
    /// applies to. None if nothing is certainly left but something probably is: then there is
    /// nothing true to show.
    pub fn state<'r>(
        &self,
        rate: &Rate,
        covers: impl Iterator<Item = &'r Rate>,
        now: u64,
    ) -> Option<(LimitState, u64)> {
        match self {
            Self::Own(cell) => {
                let state = rate.state(cell.full_at(), now);
                Some((state, state.remaining))
            }
            Self::Shared { account, gateways } => {
                let Estimate { remaining, likely } = account.estimate(rate, *gateways, covers, now);
                if remaining == 0 && likely > 0 {
                    return None;
                }
                let reset_seconds = match rate.state_with(likely).reset_seconds {
                    // Most of what is left is still at the bank and can be drawn in a moment.
                    _ if remaining < likely / 2 => SOON_SECONDS,
                    whole => whole,
                };
                Some((LimitState { reset_seconds, ..rate.state_with(remaining) }, likely))
            }
        }
    }

    /// State of the limit when it refuses a request.
    pub fn refusal(&self, rate: &Rate, now: u64) -> LimitState {
        match self {
            Self::Own(cell) => LimitState { remaining: 0, ..rate.state(cell.full_at(), now) },
            Self::Shared { .. } => rate.state_with(0),
        }
    }

    #[inline]
    fn take(&self, rate: &Rate, now: u64) -> Option<Receipt> {
        match self {
            Self::Own(cell) => cell.debit(rate, now).map(|_| Receipt::Own),
            Self::Shared { account, gateways } => account.take(rate, *gateways, now).ok().map(Receipt::Shared),
        }
    }

    fn put_back(&self, rate: &Rate, receipt: Receipt, elapsed: u64) {
        match (self, receipt) {
            (Self::Own(cell), Receipt::Own) => cell.undo(rate, elapsed),
            (Self::Shared { account, .. }, Receipt::Shared(debit)) => account.put_back(debit, elapsed),
            (Self::Own(_), Receipt::Shared(_)) | (Self::Shared { .. }, Receipt::Own) => {}
        }
    }
}

/// Takes one token of each source at `now`, or none. `clock` returns the current nanoseconds if
/// tokens must be put back.
#[inline]
pub fn take_all(sources: &[(&Rate, TokenSource<'_>)], now: u64, clock: impl FnOnce() -> u64) -> bool {
    let mut receipts = SmallVec::<[Receipt; RATES_IN_PLACE]>::new();
    for (rate, source) in sources {
        let Some(receipt) = source.take(rate, now) else {
            let elapsed = clock().saturating_sub(now);
            for ((rate, source), receipt) in sources.iter().zip(receipts).rev() {
                source.put_back(rate, receipt, elapsed);
            }
            return false;
        };
        receipts.push(receipt);
    }
    true
}
