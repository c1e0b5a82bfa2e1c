//! How a limit stands, as clients are told in headers.

/// How one limit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitState {
    /// Name of the policy in `RateLimit-Policy`: `tenant-second`, `key-concurrent`, `quota-month`, ...
    pub policy: &'static str,
    /// Requests (units, for a quota) allowed per window.
    pub quota: u64,
    /// The window in seconds; 0 if there is none.
    pub window_seconds: u64,
    /// What is left; never above the truth. Of a rate, it may exceed `quota` while a burst is saved up; of a quota, it
    /// is what this gateway has in hand.
    pub remaining: u64,
    /// Whole seconds until the limit is whole again (rates) or starts anew (quotas).
    pub reset_seconds: u64,
}

impl LimitState {
    /// Returns true if this is a quota, of which `remaining` shows only what this gateway has in hand.
    pub fn is_quota(&self) -> bool {
        self.policy.starts_with("quota")
    }

    /// Returns true if this limits requests under way at once. It has no window, and nobody knows when it is reset.
    pub fn is_concurrency(&self) -> bool {
        self.policy.ends_with("-concurrent")
    }
}
