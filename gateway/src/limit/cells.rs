//! The cells of one owner's limits. They outlive every change of plan: how long each bucket takes to refill carries
//! over, so that no change refills it.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use common::id::{KeyId, TenantId};

use super::{
    bank::{Account, SlotAccount},
    rate::{Rate, RateCell, Rates, WINDOWS},
    slots::UnderWay,
};

/// How names of accounts end, by window.
const WINDOW_NAMES: [&str; WINDOWS] = ["second", "minute", "hour", "day"];

/// The cells of one owner, by window. Most owners are idle: accounts are made when they are first needed.
#[derive(Default)]
pub(crate) struct RateCells {
    own: [RateCell; WINDOWS],
    accounts: OnceLock<Arc<Accounts>>,
}

/// What only some owners need: accounts at the bank, and the number of requests under way.
#[derive(Default)]
pub(super) struct Accounts {
    pub(super) under_way: UnderWay,
    rates: [OnceLock<Arc<Account>>; WINDOWS],
    slots: OnceLock<Arc<SlotAccount>>,
}

/// Whose limits they are. Its text names them at the bank, where it must be unique.
#[derive(Clone, Copy)]
pub(super) enum Owner<'a> {
    Key(KeyId),
    Tenant(TenantId),
    /// The pool of a tenant and everybody below it.
    Pool(TenantId),
    /// A route, by its name.
    Route(&'a str),
}

/// The place of one window's limit.
#[derive(Clone, Copy)]
pub(super) struct Slot<'a> {
    cells: &'a RateCells,
    window: usize,
}

impl Rates {
    /// Each limit that is set, with its place.
    pub(super) fn with<'a>(&'a self, cells: &'a RateCells) -> impl Iterator<Item = (&'a Rate, Slot<'a>)> + Clone {
        self.iter().map(|(window, rate)| (rate, Slot { cells, window }))
    }
}

impl<'a> Slot<'a> {
    /// The bucket of this gateway's own.
    #[inline]
    pub(super) const fn cell(self) -> &'a RateCell {
        &self.cells.own[self.window]
    }

    /// The account that is shared with other gateways, under the same name in all of them.
    pub(super) fn account(self, owner: Owner<'_>) -> &'a Arc<Account> {
        let accounts = &self.cells.accounts().rates;
        accounts[self.window].get_or_init(|| Arc::new(Account::new(format!("{owner}:{}", WINDOW_NAMES[self.window]))))
    }
}

impl RateCells {
    /// The account of requests under way that is shared with other gateways.
    pub(super) fn slots(&self, owner: Owner<'_>) -> &Arc<SlotAccount> {
        self.accounts().slots.get_or_init(|| Arc::new(SlotAccount::new(format!("{owner}:concurrent"))))
    }

    /// What only some owners need, made when it is first asked for.
    #[inline]
    pub(super) fn accounts(&self) -> &Arc<Accounts> {
        self.accounts.get_or_init(Arc::default)
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
