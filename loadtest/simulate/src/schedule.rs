//! The input of a simulation: gateways, limits, load, network, and faults with their times.

use common::plan::{RateLimit, RateWindow};
use gateway::limit::Rate;

use super::shape::Shape;

/// A rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The window.
    pub window: RateWindow,
    /// Requests per window.
    pub limit: u64,
    /// Requests at once.
    pub burst: u64,
}

/// A concurrency limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// Most requests at once.
    pub limit: u64,
    /// Longest duration of a request, in nanoseconds. The average is half of it.
    pub longest: u64,
}

/// The network between gateways and Redis.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    /// Shortest time of one way, in nanoseconds.
    pub least: u64,
    /// Longest time of one way, in nanoseconds.
    pub most: u64,
    /// Share of all packets that are lost, on each way.
    pub lost: f64,
    /// Share of all calls that arrive once more, up to [`Network::LATEST`] later.
    pub repeated: f64,
    /// Share of all packets that are late, by up to [`Network::LATEST`].
    pub late: f64,
}

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The process of a gateway ends and forgets everything. Another one starts in its place.
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
    /// Redis refuses all connections.
    Down {
        /// For how long, in nanoseconds.
        lasts: u64,
    },
    /// Redis stands still, and answers the calls afterwards.
    Paused {
        /// For how long, in nanoseconds.
        lasts: u64,
    },
    /// FLUSHALL.
    Flush,
    /// Another server takes over, with data from some time ago.
    FailOver {
        /// Age of the data, in nanoseconds.
        lag: u64,
    },
    /// The clock of Redis is set.
    ClockStep {
        /// The step in microseconds, back if negative.
        by: i64,
    },
    /// A limit changes at every gateway.
    Change {
        /// Index of the limit. In a schedule without rates it is the concurrency limit, which
        /// becomes as large as the rate.
        limit: usize,
        /// The new terms.
        terms: Terms,
    },
}

/// The input of one simulation.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Seed of all random decisions.
    pub seed: u64,
    /// Number of gateways at the start.
    pub gateways: usize,
    /// Number of gateways in the configuration of each.
    pub configured: u64,
    /// The rates. Each request needs one token of each.
    pub limits: Vec<Terms>,
    /// The concurrency limit, if there is one.
    pub concurrency: Option<Concurrency>,
    /// Distribution of the load over gateways and time.
    pub shape: Shape,
    /// Requests per second while there is load.
    pub load: f64,
    /// The network.
    pub network: Network,
    /// Faults with their times, in nanoseconds.
    pub faults: Vec<(u64, Fault)>,
    /// Share of all requests that put their tokens back a little later, as if another limit had
    /// refused them.
    pub undone: f64,
    /// Time at which load begins, in nanoseconds.
    pub starts: u64,
    /// Time at which load ends.
    pub stops: u64,
    /// Time at which the simulation ends.
    pub ends: u64,
}

impl Terms {
    /// A rate per second, with a burst.
    pub const fn per_second(limit: u64, burst: u64) -> Self {
        Self { window: RateWindow::Second, limit, burst }
    }

    /// Tokens per nanosecond.
    pub fn rate(self) -> f64 {
        self.limit as f64 / (self.window.seconds() as f64 * 1e9)
    }

    /// The rate as gateways know it.
    pub fn as_rate(self) -> Rate {
        Rate::new("simulated", self.window, RateLimit { limit: self.limit, burst: self.burst })
    }
}

impl Network {
    /// Longest delay of a late packet, in nanoseconds.
    pub const LATEST: u64 = 3_000_000_000;

    /// One data centre, in which nothing is lost.
    pub const HEALTHY: Self = Self { least: 100_000, most: 500_000, lost: 0.0, repeated: 0.0, late: 0.0 };

    /// Packets are lost, repeated and late.
    pub const POOR: Self = Self { lost: 0.02, repeated: 0.02, late: 0.02, ..Self::HEALTHY };
}
