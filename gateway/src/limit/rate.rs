//! The rates of an owner, by window. Each is held by a [`RateCell`].

pub(super) use common::limit::NANOS_PER_SECOND;
pub use common::limit::{Rate, RateCell};
use common::plan::{RateLimits, RateWindow};

use super::slots::Concurrency;

/// Windows that a limit can have: second, minute, hour and day.
pub(super) const WINDOWS: usize = 4;

/// Whose rates: it only decides their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RateOwner {
    /// One key.
    Key,
    /// All keys of a tenant.
    Tenant,
    /// A tenant and everybody below it.
    Pool,
    /// All callers of a route.
    Route,
}

/// The terms of an owner's limits: by window, and how many requests may be under way. They change with the plan; the
/// cells they apply to do not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    windows: [Option<Rate>; WINDOWS],
    concurrent: Option<Concurrency>,
}

impl RateOwner {
    /// The names of its limits in headers and documents, by window.
    const fn policies(self) -> [&'static str; WINDOWS] {
        match self {
            Self::Key => ["key-second", "key-minute", "key-hour", "key-day"],
            Self::Tenant => ["tenant-second", "tenant-minute", "tenant-hour", "tenant-day"],
            Self::Pool => ["pool-second", "pool-minute", "pool-hour", "pool-day"],
            Self::Route => ["route-second", "route-minute", "route-hour", "route-day"],
        }
    }

    const fn concurrency_policy(self) -> &'static str {
        match self {
            Self::Key => "key-concurrent",
            Self::Tenant => "tenant-concurrent",
            Self::Pool => "pool-concurrent",
            Self::Route => "route-concurrent",
        }
    }
}

impl Rates {
    pub(crate) fn new(owner: RateOwner, limits: &RateLimits) -> Self {
        let mut rates = Self::default();
        for (window, limit) in limits.iter() {
            let index = match window {
                RateWindow::Second => 0,
                RateWindow::Minute => 1,
                RateWindow::Hour => 2,
                RateWindow::Day => 3,
            };
            rates.windows[index] = Some(Rate::new(owner.policies()[index], window, limit));
        }
        rates.concurrent = limits.concurrent.map(|limit| Concurrency::new(owner.concurrency_policy(), limit));
        rates
    }

    /// Returns true if nothing is limited.
    pub(crate) fn is_empty(&self) -> bool {
        self.concurrent.is_none() && self.windows.iter().all(Option::is_none)
    }

    /// How many requests may be under way, if that is limited.
    #[inline]
    pub(super) const fn concurrency(&self) -> Option<&Concurrency> {
        self.concurrent.as_ref()
    }

    /// Each limit that is set, with the number of its window.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Rate)> + Clone {
        self.windows.iter().enumerate().filter_map(|(window, rate)| rate.as_ref().map(|rate| (window, rate)))
    }
}
