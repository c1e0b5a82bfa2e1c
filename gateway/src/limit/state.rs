//! How limits stand, as clients are told in headers.

use std::{cmp::Reverse, fmt, ops::Deref};

/// Most limits that apply to one request: three rates of the key, three of the tenant, and a quota.
const MOST: usize = 7;

/// How one limit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitState {
    /// Name of the policy in `RateLimit-Policy`: `tenant-second`, `key-minute`, `quota-month`, ...
    pub policy: &'static str,
    /// Requests (units, for a quota) allowed per window.
    pub quota: u64,
    /// The window in seconds.
    pub window_seconds: u64,
    /// What is left; never above the truth. Of a rate, it may exceed `quota` while a burst is saved up; of a quota, it
    /// is what this gateway has in hand.
    pub remaining: u64,
    /// Whole seconds until the limit is whole again (rates) or starts anew (quotas).
    pub reset_seconds: u64,
}

impl LimitState {
    /// Whether this is a quota, of which `remaining` shows only what this gateway has in hand.
    pub fn is_quota(&self) -> bool {
        self.policy.starts_with("quota")
    }
}

/// How each limit that applies stands, in place: no allocation per request.
#[derive(Clone, Copy)]
pub struct LimitStates {
    states: [LimitState; MOST],
    count: usize,
}

impl LimitStates {
    pub(super) const fn new() -> Self {
        let none = LimitState { policy: "", quota: 0, window_seconds: 0, remaining: 0, reset_seconds: 0 };
        Self { states: [none; MOST], count: 0 }
    }

    pub(super) fn push(&mut self, state: LimitState) {
        if let Some(free) = self.states.get_mut(self.count) {
            *free = state;
            self.count += 1;
        }
    }

    /// Puts first what a client that went on at once would run into first.
    pub(super) fn sort(&mut self) {
        self.states[..self.count].sort_by_key(|state| (state.remaining, Reverse(state.reset_seconds)));
    }
}

impl Deref for LimitStates {
    type Target = [LimitState];

    fn deref(&self) -> &[LimitState] {
        &self.states[..self.count]
    }
}

impl fmt::Debug for LimitStates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}
