//! How limits stand, as clients are told in headers.

use std::{cmp::Reverse, fmt, ops::Deref};

pub use common::limit::LimitState;

/// Most limits that are told of; every one of them is enforced, however many there are. It keeps headers short.
const TOLD_MOST: usize = 12;

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
            if strictness(&self.states[known]) <= strictness(&state) {
                return;
            }
            self.states[known..self.count].rotate_left(1);
            self.count -= 1;
        }
        let place = self.iter().position(|known| strictness(&state) < strictness(known)).unwrap_or(self.count);
        if place < TOLD_MOST {
            self.count = (self.count + 1).min(TOLD_MOST);
            self.states[place..self.count].rotate_right(1);
            self.states[place] = state;
        }
    }
}

/// Orders limits by what a client that went on at once would run into first.
const fn strictness(state: &LimitState) -> (u64, Reverse<u64>) {
    (state.remaining, Reverse(state.reset_seconds))
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
