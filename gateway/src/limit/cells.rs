//! The cells of one owner's limits.
//!
//! Invariant: cells outlive every change of plan. The time that a bucket takes to refill carries
//! over, so that no change refills it.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use common::{
    id::{KeyId, TenantId},
    limit::{Rate, RateCell},
};

use super::{
    bank::{Account, ConcurrencyAccount},
    rate::{Rates, WINDOWS},
};

/// Last part of an account's name, by window.
const WINDOW_NAMES: [&str; WINDOWS] = ["second", "minute", "hour", "day"];

/// The cells of one owner, by window. Most owners are idle, so accounts are made when they are
/// first needed.
#[derive(Default)]
pub(crate) struct RateCells {
    buckets: [RateCell; WINDOWS],
    accounts: OnceLock<Arc<Accounts>>,
}

/// Cells that only some owners need: the count of permits in use, and the accounts at the bank.
#[derive(Default)]
pub(super) struct Accounts {
    pub(super) permits: PermitCount,
    rates: [OnceLock<Arc<Account>>; WINDOWS],
    concurrency: OnceLock<Arc<ConcurrencyAccount>>,
}

/// Number of one owner's permits in use, at a gateway that shares no limits.
#[derive(Debug, Default)]
pub(super) struct PermitCount(AtomicU64);

/// Owner of limits. Its text is part of the names of its accounts, and unique at the bank.
#[derive(Clone, Copy)]
pub(super) enum Owner<'a> {
    Key(KeyId),
    Tenant(TenantId),
    /// The pool of a tenant and everybody below it.
    Pool(TenantId),
    /// A route, by its name.
    Route(&'a str),
}

/// The cell of one window.
#[derive(Clone, Copy)]
pub(super) struct WindowCell<'a> {
    cells: &'a RateCells,
    window: usize,
}

impl Rates {
    /// Iterates over the rates that are set, each with its cell.
    pub(super) fn with<'a>(&'a self, cells: &'a RateCells) -> impl Iterator<Item = (&'a Rate, WindowCell<'a>)> + Clone {
        self.iter().map(|(window, rate)| (rate, WindowCell { cells, window }))
    }
}

impl<'a> WindowCell<'a> {
    /// The bucket of this gateway alone.
    #[inline]
    pub(super) const fn bucket(self) -> &'a RateCell {
        &self.cells.buckets[self.window]
    }

    /// The account shared with other gateways. All use the same name for it.
    pub(super) fn account(self, owner: Owner<'_>) -> &'a Arc<Account> {
        let accounts = &self.cells.accounts().rates;
        accounts[self.window].get_or_init(|| Arc::new(Account::new(format!("{owner}:{}", WINDOW_NAMES[self.window]))))
    }
}

impl RateCells {
    /// The concurrency account shared with other gateways.
    pub(super) fn concurrency_account(&self, owner: Owner<'_>) -> &Arc<ConcurrencyAccount> {
        let account = || Arc::new(ConcurrencyAccount::new(format!("{owner}:concurrent")));
        self.accounts().concurrency.get_or_init(account)
    }

    /// Cells that only some owners need, made when they are first used.
    #[inline]
    pub(super) fn accounts(&self) -> &Arc<Accounts> {
        self.accounts.get_or_init(Arc::default)
    }
}

impl PermitCount {
    /// Takes one permit, unless `most` are in use.
    pub(super) fn take(&self, most: u64) -> bool {
        let take = |count: u64| (count < most).then_some(count + 1);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok()
    }

    pub(super) fn in_use(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn release(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Display for Owner<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => key.fmt(formatter),
            Self::Tenant(tenant) => tenant.fmt(formatter),
            Self::Pool(tenant) => write!(formatter, "p:{tenant}"),
            Self::Route(name) => write!(formatter, "r:{name}"),
        }
    }
}
