//! What happens in a world: its gateways, limits, load, network, and what goes wrong when.

use common::plan::{RateLimit, RateWindow};
use gateway::limit::Rate;

use super::shape::Shape;

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Over which window.
    pub window: RateWindow,
    /// Requests per window.
    pub limit: u64,
    /// Requests at once.
    pub burst: u64,
}

/// A limit on requests under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// How many at once.
    pub limit: u64,
    /// How long a request takes at most, in nanoseconds; half of that on average.
    pub longest: u64,
}

/// How packets travel between gateways and Redis.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    /// Least time of one way, in nanoseconds.
    pub least: u64,
    /// Most time of one way, in nanoseconds.
    pub most: u64,
    /// How many of all packets are lost, on each way.
    pub lost: f64,
    /// How many of all calls arrive once more, up to [`Network::LATEST`] later.
    pub repeated: f64,
    /// How many of all packets are late, by up to [`Network::LATEST`].
    pub late: f64,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process of a gateway ends, with all that it knew; another one starts in its place.
    Crash {
        /// Which one.
        gateway: usize,
    },
    /// One more gateway starts.
    Join,
    /// A gateway and Redis cannot reach each other.
    Partition {
        /// Which one.
        gateway: usize,
        /// For how long, in nanoseconds.
        lasts: u64,
    },
    /// Nobody can reach Redis: connections are refused.
    Down {
        /// For how long, in nanoseconds.
        lasts: u64,
    },
    /// Redis stands still: what arrives is answered afterwards.
    Paused {
        /// For how long, in nanoseconds.
        lasts: u64,
    },
    /// FLUSHALL.
    Flush,
    /// Another server takes over, with what this one knew some time ago.
    FailOver {
        /// How long ago, in nanoseconds.
        lag: u64,
    },
    /// The clock of Redis is set.
    ClockStep {
        /// By how much, in microseconds; back if negative.
        by: i64,
    },
    /// A limit is another one from now on, at every gateway.
    Change {
        /// Which one; of a world with none, the limit on requests under way, which becomes as large as the rate.
        limit: usize,
        /// What it is now.
        terms: Terms,
    },
}

/// One world.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// How many gateways there are at first.
    pub gateways: usize,
    /// How many each of them is told that there are.
    pub configured: u64,
    /// The limits; each request needs one token of each.
    pub limits: Vec<Terms>,
    /// How many requests may be under way, if that is limited.
    pub concurrency: Option<Concurrency>,
    /// Where load arrives.
    pub shape: Shape,
    /// Requests per second, while there are any.
    pub load: f64,
    /// The network.
    pub network: Network,
    /// What goes wrong, and when, in nanoseconds.
    pub faults: Vec<(u64, Fault)>,
    /// How many of all requests give back what they took, a little later: another limit of theirs refused.
    pub undone: f64,
    /// When load begins, in nanoseconds.
    pub starts: u64,
    /// When load ends.
    pub stops: u64,
    /// When the world ends.
    pub ends: u64,
}

impl Terms {
    /// So many per second, with a burst.
    pub const fn per_second(limit: u64, burst: u64) -> Self {
        Self { window: RateWindow::Second, limit, burst }
    }

    /// Tokens per nanosecond.
    pub fn rate(self) -> f64 {
        self.limit as f64 / (self.window.seconds() as f64 * 1e9)
    }

    /// The same as gateways know it.
    pub fn terms(self) -> Rate {
        Rate::new("simulated", self.window, RateLimit { limit: self.limit, burst: self.burst })
    }
}

impl Network {
    /// By how much packets are late at most, in nanoseconds.
    pub const LATEST: u64 = 3_000_000_000;

    /// One data centre, in which nothing is lost.
    pub const HEALTHY: Self = Self { least: 100_000, most: 500_000, lost: 0.0, repeated: 0.0, late: 0.0 };

    /// Packets are lost, repeated and late.
    pub const POOR: Self = Self { lost: 0.02, repeated: 0.02, late: 0.02, ..Self::HEALTHY };
}
