//! Whether a caller may go on: rates of key and tenant, and the hard quota of the meter. All or nothing, from local cells.

use common::time::Micros;

use crate::auth::Caller;

/// Decides from local cells.
pub struct Limiter {
    _private: (),
}

/// The right to forward one request. What of its quota units is not settled goes back when it is dropped.
pub struct Admission {
    /// How each limit stands after this request, strictest (fewest remaining relative to time) first.
    pub limits: Vec<LimitState>,
}

/// Why a request must wait. Nothing was consumed.
pub struct Denial {
    /// `rate_limited` or `quota_exceeded`.
    pub reason: DenialReason,
    /// The limit that refused.
    pub violated: LimitState,
    /// How each limit stands.
    pub limits: Vec<LimitState>,
    /// Whole seconds until a retry can succeed, at least 1.
    pub retry_after_seconds: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DenialReason {
    RateLimited,
    QuotaExceeded,
}

/// How one limit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitState {
    /// Name of the policy in `RateLimit-Policy`: `tenant-second`, `key-minute`, `quota-month`, ...
    pub policy: &'static str,
    /// Requests (units, for a quota) allowed per window.
    pub quota: u64,
    /// The window in seconds.
    pub window_seconds: u64,
    /// What is left; never above the truth.
    pub remaining: u64,
    /// Whole seconds until the limit is whole again (rates) or starts anew (quotas).
    pub reset_seconds: u64,
}

impl Limiter {
    /// Debits every limit that applies, or none.
    pub fn admit(&self, caller: &Caller, meter: &str, units: u64, now: Micros) -> Result<Admission, Denial> {
        let _ = (caller, meter, units, now);
        todo!()
    }
}

impl Admission {
    /// The request was answered and used `units` of its meter: the quota is charged for them instead of the estimate.
    pub fn settle(self, units: u64) {
        let _ = units;
        todo!()
    }
}
