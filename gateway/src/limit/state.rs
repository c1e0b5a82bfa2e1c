//! The states of limits, as clients are told them in headers.

use std::{cmp::Reverse, fmt, ops::Deref};

pub use common::limit::LimitState;

/// Most limits that are told of; every one of them is enforced, however many there are. It keeps
/// headers short.
const TOLD_MOST: usize = 12;

/// The states of the limits that apply, in place: no allocation per request. The first one is
/// closest to refusing, by the number that is probably left of it: the number that is certain may
/// be less, as a gateway has only a part of it in hand. Of several limits of one name, such as the
/// pools of a reseller and of one above it, the strictest stands for all.
#[derive(Clone, Copy)]
pub struct LimitStates {
    states: [LimitState; TOLD_MOST],
    /// The number that is probably left of each.
    likely: [u64; TOLD_MOST],
    count: usize,
}

impl LimitStates {
    pub(super) const fn new() -> Self {
        let none = LimitState { policy: "", quota: 0, window_seconds: 0, remaining: 0, reset_seconds: 0 };
        Self { states: [none; TOLD_MOST], likely: [0; TOLD_MOST], count: 0 }
    }

    /// The only limit that applies, or none.
    pub(crate) fn of(state: Option<LimitState>) -> Self {
        let mut states = Self::new();
        if let Some(state) = state {
            states.push(state);
        }
        states
    }

    /// Adds one of which it is known exactly what is left.
    pub(super) fn push(&mut self, state: LimitState) {
        self.push_likely(state, state.remaining);
    }

    /// Adds one that refuses now, before all others.
    pub(super) fn push_refusing(&mut self, state: LimitState) {
        if let Some(known) = self.iter().position(|known| known.policy == state.policy) {
            self.remove(known);
        }
        self.insert(0, state, 0);
    }

    /// Adds one of which `likely` is probably left, in its place. Where there is no room for all,
    /// the least strict goes.
    pub(super) fn push_likely(&mut self, state: LimitState, likely: u64) {
        let strictness = |likely: u64, state: &LimitState| (likely, Reverse(state.reset_seconds));
        let new = strictness(likely, &state);
        let is_stricter = |known: usize| new < strictness(self.likely[known], &self.states[known]);
        // Only pools come more than once.
        if state.policy.starts_with("pool")
            && let Some(known) = self.iter().position(|known| known.policy == state.policy)
        {
            if !is_stricter(known) {
                return;
            }
            self.remove(known);
        }
        let is_stricter = |known: &usize| new < strictness(self.likely[*known], &self.states[*known]);
        let place = (0..self.count).find(is_stricter).unwrap_or(self.count);
        self.insert(place, state, likely);
    }

    fn insert(&mut self, place: usize, state: LimitState, likely: u64) {
        if place < TOLD_MOST {
            self.count = (self.count + 1).min(TOLD_MOST);
            self.states[place..self.count].rotate_right(1);
            self.likely[place..self.count].rotate_right(1);
            (self.states[place], self.likely[place]) = (state, likely);
        }
    }

    fn remove(&mut self, place: usize) {
        self.states[place..self.count].rotate_left(1);
        self.likely[place..self.count].rotate_left(1);
        self.count -= 1;
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

    #[test]
    fn the_first_is_closest_to_refusing_whatever_part_of_each_is_in_hand() {
        let state =
            |policy, remaining| LimitState { policy, quota: 200_000, window_seconds: 60, remaining, reset_seconds: 1 };
        let mut limits = LimitStates::new();
        limits.push_likely(state("key-day", 3), 199_980);
        limits.push_likely(state("key-second", 12), 30);
        limits.push_likely(state("pool-hour", 5), 100);
        limits.push_likely(state("pool-hour", 9), 90);
        limits.push_likely(state("pool-hour", 1), 95);
        let told: Vec<_> = limits.iter().map(|limit| (limit.policy, limit.remaining)).collect();
        assert_eq!(told, [("key-second", 12), ("pool-hour", 9), ("key-day", 3)]);
        limits.push_refusing(state("key-day", 0));
        assert_eq!((limits[0].policy, limits[0].remaining, limits.len()), ("key-day", 0, 3));
    }
}
