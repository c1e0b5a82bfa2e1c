//! Shapes of the load: its distribution over gateways and time.

use std::fmt;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;

use super::schedule::Schedule;

/// Distribution of the load over gateways and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// The same at every gateway.
    Uniform,
    /// Nine tenths at one gateway.
    Skewed,
    /// Nine tenths at one gateway, another one every half second.
    Shifting,
    /// All for a second, and nothing for the next.
    Bursts,
}

/// Time for which a gateway is the hot one, in nanoseconds.
const SHIFT: u64 = 500_000_000;

/// Distance of the next hot gateway from the last, so large that a gateway has given its tokens
/// back before its next turn.
const STRIDE: u64 = 7;

/// Length of a burst and of the pause after it, in nanoseconds.
const BURST: u64 = 1_000_000_000;

/// Share of all load that goes to the hot gateway.
const HOT: f64 = 0.9;

impl Shape {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Uniform, Self::Skewed, Self::Shifting, Self::Bursts];

    /// The gateway, out of `gateways`, at which a request at `now` arrives.
    fn gateway(self, now: u64, gateways: usize, random: &mut StdRng) -> usize {
        let any = random.random_range(0..gateways.max(1));
        let hot = match self {
            Self::Uniform | Self::Bursts => return any,
            Self::Skewed => 0,
            Self::Shifting => usize::try_from(now / SHIFT * STRIDE).unwrap_or(0) % gateways.max(1),
        };
        if random.random_bool(HOT) { hot } else { any }
    }

    /// End of the pause, if there is no load at `now`.
    fn pauses_until(self, now: u64) -> Option<u64> {
        let is_off = self == Self::Bursts && now / BURST % 2 == 1;
        is_off.then(|| (now / BURST + 1) * BURST)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Uniform => "uniform",
            Self::Skewed => "skewed",
            Self::Shifting => "shifting",
            Self::Bursts => "on/off",
        })
    }
}

/// The requests of a schedule in the order of their times, the same for the bank and all rivals.
pub(super) struct Arrivals {
    random: StdRng,
    shape: Shape,
    per_second: f64,
    next: u64,
    stops: u64,
}

impl Arrivals {
    pub(super) fn new(schedule: &Schedule) -> Self {
        let Schedule { seed, shape, load, starts, stops, .. } = *schedule;
        Self { random: StdRng::seed_from_u64(!seed), shape, per_second: load, next: starts, stops }
    }

    /// Time of the next request, and the gateway out of `gateways` at which it arrives.
    pub(super) fn next(&mut self, gateways: usize) -> Option<(u64, usize)> {
        self.next += pause(self.per_second, &mut self.random);
        self.next = self.shape.pauses_until(self.next).unwrap_or(self.next);
        let place = self.shape.gateway(self.next, gateways, &mut self.random);
        (self.next < self.stops).then_some((self.next, place))
    }
}

/// Nanoseconds until the next request, if `per_second` of them arrive at random times.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and never more than an hour")]
fn pause(per_second: f64, random: &mut StdRng) -> u64 {
    let unit: f64 = random.random_range(f64::MIN_POSITIVE..1.0);
    (-unit.ln() / per_second * 1e9).clamp(1.0, 3.6e12) as u64
}
