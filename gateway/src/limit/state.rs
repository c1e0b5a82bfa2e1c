//! How limits stand, as clients are told in headers.

use std::{cmp::Reverse, fmt, ops::Deref};

/// Most limits that are told of; every one of them is enforced, however many there are. It keeps headers short.
const TOLD_MOST: usize = 12;

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
    /// Orders limits by what a client that went on at once would run into first.
    const fn strictness(&self) -> (u64, Reverse<u64>) {
        (self.remaining, Reverse(self.reset_seconds))
    }

    /// Whether this is a quota, of which `remaining` shows only what this gateway has in hand.
    pub fn is_quota(&self) -> bool {
        self.policy.starts_with("quota")
    }

    /// Whether this limits requests under way at once. It has no window, and nobody knows when it is reset.
    pub fn is_concurrency(&self) -> bool {
        self.policy.ends_with("-concurrent")
    }
}

/// How the limits that apply stand, strictest first, in place: no allocation per request. Of several of one name, such
/// as the pools of a reseller and of one above it, the strictest stands for all.
#[derive(Clone, Copy)]
pub struct LimitStates {
    states: [LimitState; TOLD_MOST],
    count: usize,
}

impl LimitStates {
    pub(super) const fn new() -> Self {
        let none = LimitState { policy: "", quota: 0, window_seconds: 0, remaining: 0, reset_seconds: 0 };
        Self { states: [none; TOLD_MOST], count: 0 }
    }

    /// Adds one, in its place. Where there is no room for all, the least strict goes.
    pub(super) fn push(&mut self, state: LimitState) {
        // Only pools come more than once.
        if state.policy.starts_with("pool")
            && let Some(known) = self.iter().position(|known| known.policy == state.policy)
        {
            if self.states[known].strictness() <= state.strictness() {
                return;
            }
            self.states[known..self.count].rotate_left(1);
            self.count -= 1;
        }
        let place = self.iter().position(|known| state.strictness() < known.strictness()).unwrap_or(self.count);
        if place < TOLD_MOST {
            self.count = (self.count + 1).min(TOLD_MOST);
            self.states[place..self.count].rotate_right(1);
            self.states[place] = state;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 15] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o"];

    #[test]
    fn the_strictest_are_told_and_those_first_that_refuse_first() {
        let state = |policy, remaining, reset_seconds| LimitState {
            policy,
            quota: 100,
            window_seconds: 60,
            remaining,
            reset_seconds,
        };
        let mut limits = LimitStates::new();
        for (index, policy) in NAMES.into_iter().enumerate() {
            limits.push(state(policy, (index as u64 * 7) % 15, 1));
        }
        let remaining: Vec<u64> = limits.iter().map(|limit| limit.remaining).collect();
        assert_eq!(remaining, (0..TOLD_MOST as u64).collect::<Vec<_>>());
        limits.push(state("late", 0, 9));
        assert_eq!(
            (limits[0].policy, limits.len()),
            ("late", TOLD_MOST),
            "of two that are empty, the one that stays so"
        );
        limits.push(state("lenient", 99, 1));
        assert!(limits.iter().all(|limit| limit.policy != "lenient"));
    }
}
