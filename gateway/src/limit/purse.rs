//! Where the tokens of a limit are: in a bucket of this gateway's own, or in an account at the bank. Both are taken
//! from in the same way, and of several limits all are taken from or none.

use std::sync::Arc;

use super::{
    LimitState,
    bank::{Account, Debit, Short},
    rate::{Rate, RateCell},
};

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
    pub fn check(&self, rate: &Rate, now: u64) -> Result<(), Short> {
        match self {
            Self::Own(cell) => match cell.wait(rate, now) {
                0 => Ok(()),
                wait => Err(Short::Wait(wait)),
            },
            Self::Shared { account, gateways } => account.check(rate, *gateways, now),
        }
    }

    /// How the limit stands, as far as is known without asking: what is left is never above the truth.
    pub fn state(&self, rate: &Rate, now: u64) -> LimitState {
        match self {
            Self::Own(cell) => rate.state(cell.full_at(), now),
            Self::Shared { account, gateways } => rate.state_with(account.remaining(rate, *gateways, now)),
        }
    }

    fn take(&self, rate: &Rate, now: u64) -> Option<(Receipt, LimitState)> {
        match self {
            Self::Own(cell) => cell.debit(rate, now).map(|full_at| (Receipt::Own, rate.state(full_at, now))),
            Self::Shared { account, gateways } => {
                let debit = account.take(rate, *gateways, now).ok()?;
                Some((Receipt::Shared(debit), self.state(rate, now)))
            }
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

/// Takes one token of each purse at `now` and tells how each stands, or takes none. `clock` gives the nanoseconds when
/// a debit has to be undone.
pub fn take_all<'a>(
    mut purses: impl Iterator<Item = (&'a Rate, Purse<'a>)>,
    now: u64,
    clock: impl FnOnce() -> u64,
    mut taken: impl FnMut(LimitState),
) -> bool {
    take_rest(&mut purses, now, clock, &mut taken).is_ok()
}

/// Takes from one purse, and puts it back if not all that follow can be taken from as well. What was taken waits on the
/// stack, so that there is no most of limits; an error says how many nanoseconds after `now` that became clear.
fn take_rest<'a, Purses, Told>(
    purses: &mut Purses,
    now: u64,
    clock: impl FnOnce() -> u64,
    taken: &mut Told,
) -> Result<(), u64>
where
    Purses: Iterator<Item = (&'a Rate, Purse<'a>)>,
    Told: FnMut(LimitState),
{
    let Some((rate, purse)) = purses.next() else {
        return Ok(());
    };
    let Some((receipt, state)) = purse.take(rate, now) else {
        return Err(clock().saturating_sub(now));
    };
    taken(state);
    let rest = take_rest(purses, now, clock, taken);
    if let Err(elapsed) = rest {
        purse.put_back(rate, receipt, elapsed);
    }
    rest
}
