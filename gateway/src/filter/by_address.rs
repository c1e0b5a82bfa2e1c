//! The rate of one address on a public route.
//!
//! Invariant: over every stretch of time W, an address is admitted to a route at most `burst + rate
//! x W` times. The rates are kept in a sketch of fixed size, so that no flood of addresses takes
//! memory. Where addresses share all their places in it, they are counted together: an address is
//! then refused too early, and never too late.

use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use common::{
    limit::{LimitState, Rate, RateCell},
    origin,
    plan::{RateLimit, RateWindow},
};

use crate::{
    limit::{Clock, Denial, DenialReason},
    lock::locked,
};

/// The name of the limit in headers and documents.
const POLICY: &str = "address-minute";

/// Rows of the sketch.
const ROWS: usize = 4;

/// Places in a row: 2 MiB in all.
const COLUMNS: usize = 65_536;

/// Locks, by address: two requests of one address are counted one after the other.
const LOCKS: usize = 64;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The rates of all addresses on all public routes of a gateway.
pub(crate) struct ByAddress {
    clock: Clock,
    hashers: [RandomState; ROWS],
    /// Times at which each place is full again, row after row.
    places: Box<[AtomicU64]>,
    locks: [Mutex<()>; LOCKS],
}

/// The limit of so many requests a minute, all of which may come at once.
pub(crate) fn per_minute(requests: u32) -> Rate {
    let limit = u64::from(requests);
    Rate::new(POLICY, RateWindow::Minute, RateLimit { limit, burst: limit })
}

impl ByAddress {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            hashers: std::array::from_fn(|_| RandomState::new()),
            places: (0..ROWS * COLUMNS).map(|_| AtomicU64::new(0)).collect(),
            locks: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Counts a request from there to a route, if it may pass. Returns how the limit stands after
    /// it.
    pub(crate) fn admit(&self, route: &str, address: IpAddr, rate: &Rate) -> Result<LimitState, Denial> {
        let caller = (route, origin::subscriber(address));
        let places: [&AtomicU64; ROWS] = std::array::from_fn(|row| {
            let hash = self.hashers[row].hash_one(caller);
            #[expect(clippy::cast_possible_truncation, reason = "the remainder is smaller than a row")]
            let column = (hash % COLUMNS as u64) as usize;
            &self.places[row * COLUMNS + column]
        });
        #[expect(clippy::cast_possible_truncation, reason = "the remainder is smaller than the number of locks")]
        let lock = (self.hashers[0].hash_one(caller.1) % LOCKS as u64) as usize;
        let _counted = locked(&self.locks[lock]);
        let now = self.clock.nanos();
        // Every place was debited for whatever this address has sent: the least of them is closest
        // to the truth.
        let full_at = places.iter().map(|place| place.load(Ordering::Acquire)).min().unwrap_or(0);
        let cell = RateCell::default();
        cell.replace(full_at);
        let Some(after) = cell.debit(rate, now) else {
            let violated = rate.state(full_at, now);
            let retry_after_seconds = cell.wait(rate, now).div_ceil(NANOS_PER_SECOND).max(1);
            let reason = DenialReason::RateLimited;
            return Err(Denial { reason, violated, limits: vec![violated], retry_after_seconds });
        };
        for place in places {
            place.fetch_max(after, Ordering::AcqRel);
        }
        Ok(rate.state(after, now))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn limit_is_for_each_address_and_route() {
        let (clock, rate) = (Clock::manual(), per_minute(3));
        let limits = ByAddress::new(clock.clone());
        let (one, other) = (address("198.51.100.1"), address("198.51.100.2"));
        for left in [2, 1, 0] {
            assert_eq!(limits.admit("a", one, &rate).unwrap().remaining, left);
        }
        let denial = limits.admit("a", one, &rate).unwrap_err();
        assert_eq!((denial.violated.policy, denial.violated.remaining), ("address-minute", 0));
        assert_eq!(denial.retry_after_seconds, 20);
        assert!(limits.admit("a", other, &rate).is_ok() && limits.admit("b", one, &rate).is_ok());
        clock.advance(Duration::from_secs(20));
        assert!(limits.admit("a", one, &rate).is_ok());
        assert!(limits.admit("a", one, &rate).is_err(), "one refills in 20 s");
    }

    #[test]
    fn addresses_of_one_network_count_together_under_ipv6() {
        let (limits, rate) = (ByAddress::new(Clock::manual()), per_minute(2));
        assert!(limits.admit("a", address("2001:db8::1"), &rate).is_ok());
        assert!(limits.admit("a", address("2001:db8::2"), &rate).is_ok());
        assert!(limits.admit("a", address("2001:db8::3"), &rate).is_err());
        assert!(limits.admit("a", address("2001:db8:0:1::1"), &rate).is_ok());
    }

    #[test]
    fn flood_of_addresses_shuts_few_others_out() {
        let (limits, rate) = (ByAddress::new(Clock::manual()), per_minute(1));
        for host in 0..20_000_u32 {
            let _ = limits.admit("a", IpAddr::V4(host.into()), &rate);
        }
        let shut_out = (0..1_000_u32)
            .filter(|host| limits.admit("a", address(&format!("203.0.{}.{}", host / 256, host % 256)), &rate).is_err());
        assert!(shut_out.count() < 20);
    }

    #[test]
    fn threads_together_get_no_more_than_one() {
        let (limits, rate) = (ByAddress::new(Clock::manual()), per_minute(100));
        let admitted = |()| (0..50).filter(|_| limits.admit("a", address("198.51.100.1"), &rate).is_ok()).count();
        let all: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| admitted(()))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(all, 100);
    }

    proptest! {
        #[test]
        fn over_every_window_at_most_burst_plus_rate_is_admitted(
            limit in 1_u32..50,
            pauses in prop::collection::vec(0_u64..5_000, 1..300),
        ) {
            let (clock, rate) = (Clock::manual(), per_minute(limit));
            let limits = ByAddress::new(clock.clone());
            let mut admitted = Vec::new();
            for pause in pauses {
                clock.advance(Duration::from_millis(pause));
                if limits.admit("a", address("198.51.100.1"), &rate).is_ok() {
                    admitted.push(clock.nanos());
                }
            }
            for (first, start) in admitted.iter().enumerate() {
                for (last, end) in admitted.iter().enumerate().skip(first) {
                    let minute = 60 * u128::from(NANOS_PER_SECOND);
                    let most = u128::from(limit) * (minute + u128::from(end - start));
                    prop_assert!((last - first + 1) as u128 * minute <= most);
                }
            }
        }
    }
}
