//! Limits, in the numbers that the script works with.

use common::plan::{PlanLimits, RateLimit, RateLimits, RateWindow};

use super::Caller;

const MICROS_PER_SECOND: u64 = 1_000_000;

/// One limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms {
    owner: Owner,
    /// Name of the limit in headers and documents.
    pub(super) policy: String,
    /// Requests per window.
    pub(super) quota: u64,
    pub(super) window_seconds: u64,
    /// Microseconds in which one request refills, rounded up: never more than the limit pass.
    pub(super) interval_us: u64,
    /// Microseconds in which the empty bucket refills.
    pub(super) depth_us: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Key,
    Tenant,
}

impl Terms {
    /// The rates of a plan, those of the key first.
    pub(super) fn of(limits: &PlanLimits) -> Vec<Self> {
        let rates = |owner, rates: &RateLimits| {
            rates.iter().map(move |(window, limit)| Self::new(owner, window, limit)).collect::<Vec<_>>()
        };
        [rates(Owner::Key, &limits.key), rates(Owner::Tenant, &limits.tenant)].concat()
    }

    fn new(owner: Owner, window: RateWindow, limit: RateLimit) -> Self {
        let window_seconds = window.seconds();
        let interval_us = (window_seconds * MICROS_PER_SECOND).div_ceil(limit.limit.max(1));
        let owner_name = match owner {
            Owner::Key => "key",
            Owner::Tenant => "tenant",
        };
        let window_name = match window {
            RateWindow::Second => "second",
            RateWindow::Minute => "minute",
            RateWindow::Hour => "hour",
            RateWindow::Day => "day",
        };
        Self {
            owner,
            policy: format!("{owner_name}-{window_name}"),
            quota: limit.limit,
            window_seconds,
            interval_us,
            depth_us: interval_us.saturating_mul(limit.burst),
        }
    }

    /// The limit's key in Redis. In a cluster, all limits of a tenant are in one slot.
    pub(super) fn redis_key(&self, caller: &Caller) -> String {
        let Caller { tenant, key, .. } = caller;
        match self.owner {
            Owner::Key => format!("{{{tenant}}}:{key}:{}", self.policy),
            Owner::Tenant => format!("{{{tenant}}}:{}", self.policy),
        }
    }

    /// Requests that are left, if the bucket is full after `missing_us`.
    pub(super) const fn remaining(&self, missing_us: u64) -> u64 {
        self.depth_us.saturating_sub(missing_us) / self.interval_us
    }
}
