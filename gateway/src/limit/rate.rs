//! The terms of an owner's limits: rates by window, and concurrency.

pub(super) use common::limit::NANOS_PER_SECOND;
pub use common::limit::{Rate, RateCell};
use common::plan::{RateLimits, RateWindow};

/// Number of windows that a rate can have: second, minute, hour and day.
pub(super) const WINDOWS: usize = 4;

/// Kind of an owner, which decides the names of its limits.
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

/// The terms of an owner's limits. They change with its plan; its cells do not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rates {
    windows: [Option<Rate>; WINDOWS],
    concurrency: Option<Concurrency>,
}

/// A concurrency limit: the most requests that may be served at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Concurrency {
    pub(super) policy: &'static str,
    pub(super) limit: u64,
}

impl RateOwner {
    /// Names of its rates in headers and documents, by window.
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
        rates.concurrency = limits.concurrent.map(|limit| Concurrency { policy: owner.concurrency_policy(), limit });
        rates
    }

    /// Returns true if nothing is limited.
    pub(crate) fn is_empty(&self) -> bool {
        self.concurrency.is_none() && self.windows.iter().all(Option::is_none)
    }

    /// The concurrency limit, if there is one.
    #[inline]
    pub(super) const fn concurrency(&self) -> Option<&Concurrency> {
        self.concurrency.as_ref()
    }

    /// Iterates over the rates that are set, each with the number of its window.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Rate)> + Clone {
        self.windows.iter().enumerate().filter_map(|(window, rate)| rate.as_ref().map(|rate| (window, rate)))
    }
}
