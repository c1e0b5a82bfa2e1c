//! The state of a limit, as response headers show it.

/// The state of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitState {
    /// Name of the policy in `RateLimit-Policy`: `tenant-second`, `key-concurrent`, `quota-month`,
    /// ...
    pub policy: &'static str,
    /// Requests (units, for a quota) allowed per window.
    pub quota: u64,
    /// The window in seconds; 0 if there is none.
    pub window_seconds: u64,
    /// Requests or units that remain; never above the truth. For a rate, it may exceed `quota`
    /// while a burst is saved up; for a quota, it is the part that this gateway holds.
    pub remaining: u64,
    /// Whole seconds until the limit is whole again (rates) or starts anew (quotas).
    pub reset_seconds: u64,
}

impl LimitState {
    /// Returns true if this is a quota, of which `remaining` shows only what this gateway has in
    /// hand.
    pub fn is_quota(&self) -> bool {
        self.policy.starts_with("quota")
    }

    /// Returns true if this limits requests under way at once. It has no window, and nobody knows
    /// when it is reset.
    pub fn is_concurrency(&self) -> bool {
        self.policy.ends_with("-concurrent")
    }
}
