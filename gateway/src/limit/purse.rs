//! Where the tokens of a limit are: in a bucket of this gateway's own, or in an account at the bank. Both are taken
//! from in the same way, and of several limits all are taken from or none.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{
    LimitState,
    bank::{Account, Debit, Short, Standing},
    rate::{Rate, RateCell},
};

/// Rates of one request that take no allocation: more than plans usually have of key, tenant, pools and route together.
pub(super) const RATES_IN_PLACE: usize = 16;

/// After how many seconds a client may count on more, if most of what is left is at the bank.
const SOON_SECONDS: u64 = 1;

/// The tokens of one limit.
#[derive(Clone, Copy)]
pub enum Purse<'a> {
    /// A bucket that this gateway shares with nobody.
    Own(&'a RateCell),
    /// An account at the bank.
    Shared {
        /// The account.
        account: &'a Arc<Account>,
        /// How many gateways share the limit while the bank is away; none if it is there.
        gateways: Option<u64>,
    },
}

/// What was taken.
#[derive(Clone, Copy)]
enum Receipt {
    Own,
    Shared(Debit),
}

impl Purse<'_> {
    /// Whether one token can be taken.
    #[inline]
    pub fn check(&self, rate: &Rate, now: u64) -> Result<(), Short> {
        match self {
            Self::Own(cell) => match cell.wait(rate, now) {
                0 => Ok(()),
                wait => Err(Short::Wait(wait)),
            },
            Self::Shared { account, gateways } => account.check(rate, *gateways, now),
        }
    }

    /// How the limit stands, as far as is known without asking: what is left for certain, never above the truth, and what
    /// is probably left. `covers`: limits that apply to whatever this one applies to. None if nothing is certain and
    /// something is probably left: then nothing is known that could be told.
    pub fn standing<'r>(
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
                let Standing { remaining, likely } = account.standing(rate, *gateways, covers, now);
                if remaining == 0 && likely > 0 {
                    return None;
                }
                let reset_seconds = match rate.state_with(likely).reset_seconds {
                    // Most of what is left is not in hand yet: there will be more in a moment.
                    _ if remaining < likely / 2 => SOON_SECONDS,
                    whole => whole,
                };
                Some((LimitState { reset_seconds, ..rate.state_with(remaining) }, likely))
            }
        }
    }

    /// How the limit stands of which nothing is left now.
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

/// Takes one token of each purse at `now`, or takes none. `clock` gives the nanoseconds when a debit has to be undone.
#[inline]
pub fn take_all(purses: &[(&Rate, Purse<'_>)], now: u64, clock: impl FnOnce() -> u64) -> bool {
    let mut receipts = SmallVec::<[Receipt; RATES_IN_PLACE]>::new();
    for (rate, purse) in purses {
        let Some(receipt) = purse.take(rate, now) else {
            let elapsed = clock().saturating_sub(now);
            for ((rate, purse), receipt) in purses.iter().zip(receipts).rev() {
                purse.put_back(rate, receipt, elapsed);
            }
            return false;
        };
        receipts.push(receipt);
    }
    true
}
