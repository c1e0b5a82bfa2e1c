//! Failed credentials, counted per client: whoever guesses keys is refused before the next one is
//! looked up.
//!
//! The counts are a sketch of fixed size, so that no flood of addresses takes memory. It never
//! counts too few. It counts too many for an address that shares all its places with others, which
//! takes a flood: as many failures a minute as the limit allows each of the sketch's 65,536
//! columns. Windows are whole minutes and counted here: the library's own `Rate` panics when a
//! thread is held up between reading the clock and using it.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use common::origin;
use pingora_limits::estimator::Estimator;

use crate::limit::Clock;

/// Rows of the sketch.
const HASHES: usize = 4;

/// Columns of the sketch: 2 MiB of counts in all.
const SLOTS: usize = 65_536;

const WINDOW_NANOS: u64 = 60 * NANOS_PER_SECOND;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The client's address, and how often it may fail.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) address: IpAddr,
    /// Failures in a minute; beyond them, nothing is looked up.
    pub(crate) failures_most: u32,
}

/// The address failed too often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyFailures {
    /// Whole seconds until its credentials are looked at again, at least 1.
    pub(crate) retry_after: Duration,
}

/// Failed credentials of this minute.
pub(crate) struct Failures {
    clock: Clock,
    counts: Estimator,
    /// The minute that is counted; 0 before the first failure.
    window: AtomicU64,
    /// The last minute in which some address reached its limit. In any other, nobody is looked up.
    reached: AtomicU64,
}

impl Failures {
    pub(crate) fn new(clock: Clock) -> Self {
        let counts = Estimator::new(HASHES, SLOTS);
        Self { clock, counts, window: AtomicU64::new(0), reached: AtomicU64::new(0) }
    }

    /// Refuses an address that has reached its limit: its credentials are not looked up.
    pub(crate) fn check(&self, origin: &Origin) -> Result<(), TooManyFailures> {
        let now = self.clock.nanos();
        if self.reached.load(Ordering::Acquire) != window(now) {
            return Ok(());
        }
        if !is_beyond(self.counts.get(origin::subscriber(origin.address)), origin) {
            return Ok(());
        }
        let seconds = (WINDOW_NANOS - now % WINDOW_NANOS).div_ceil(NANOS_PER_SECOND);
        Err(TooManyFailures { retry_after: Duration::from_secs(seconds) })
    }

    /// A credential from there was looked up and refused.
    pub(crate) fn count(&self, origin: &Origin) {
        let now = window(self.clock.nanos());
        let counted = self.window.fetch_max(now, Ordering::AcqRel);
        if counted < now {
            // Failures that others count just now may go uncounted.
            self.counts.reset();
        }
        if is_beyond(self.counts.incr(origin::subscriber(origin.address), 1), origin) {
            self.reached.fetch_max(now, Ordering::AcqRel);
        }
    }
}

/// The number of a minute, from 1.
const fn window(nanos: u64) -> u64 {
    nanos / WINDOW_NANOS + 1
}

/// Returns true if the limit is reached. A count that has overflowed is negative.
fn is_beyond(count: isize, origin: &Origin) -> bool {
    u64::try_from(count).map_or(true, |count| count >= u64::from(origin.failures_most))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(address: &str) -> Origin {
        Origin { address: address.parse().unwrap(), failures_most: 3 }
    }

    #[test]
    fn limit_is_for_each_address_and_a_minute() {
        let clock = Clock::manual();
        let failures = Failures::new(clock.clone());
        let (one, other) = (origin("198.51.100.1"), origin("198.51.100.2"));
        clock.advance(Duration::from_millis(40_500));
        for _ in 0..3 {
            assert_eq!(failures.check(&one), Ok(()));
            failures.count(&one);
        }
        let refused = TooManyFailures { retry_after: Duration::from_secs(20) };
        assert_eq!(failures.check(&one), Err(refused));
        assert_eq!(failures.check(&other), Ok(()));
        clock.advance(refused.retry_after);
        assert_eq!(failures.check(&one), Ok(()));
        failures.count(&one);
        assert_eq!(failures.check(&one), Ok(()), "the new minute starts from nothing");
    }

    #[test]
    fn addresses_of_one_network_count_together_under_ipv6() {
        let failures = Failures::new(Clock::manual());
        for host in 1..=3 {
            failures.count(&origin(&format!("2001:db8::{host}")));
        }
        assert!(failures.check(&origin("2001:db8::ffff")).is_err());
        assert!(failures.check(&origin("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn flood_of_addresses_shuts_nobody_else_out() {
        let failures = Failures::new(Clock::manual());
        for host in 0..20_000_u32 {
            failures.count(&Origin { address: IpAddr::V4(host.into()), failures_most: 3 });
        }
        failures.count(&origin("198.51.100.1"));
        let shut_out = (0..1_000_u32)
            .filter(|host| failures.check(&origin(&format!("203.0.{}.{}", host / 256, host % 256))).is_err());
        assert!(shut_out.count() < 10);
    }
}
