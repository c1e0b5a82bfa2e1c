//! Every load under every failure, held by the bank and by those it is compared with.

use std::{
    num::NonZero,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use gateway::limit::bank::SCRIPT;
use serde::Serialize;

use super::{
    redis::ScriptError,
    rival::Rival,
    schedule::{Fault, Network, Schedule, Terms},
    shape::Shape,
    simulation::Simulation,
};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// Time at which load begins: every gateway has called once by then.
const STARTS: u64 = SECOND / 4;

/// Time of the first fault: in the middle of a burst.
const FIRST_FAULT: u64 = 2 * SECOND + 337 * MILLISECOND;

/// The ways to share a limit that the bank is compared with.
pub const RIVALS: [(&str, Rival); 4] = [
    ("local only", Rival::Local),
    ("deltas 100 ms", Rival::Deltas { every: 100 * MILLISECOND }),
    ("deltas 1 s", Rival::Deltas { every: SECOND }),
    ("static 1/N", Rival::Parts),
];

/// The bank's name among them.
pub const BANK: &str = "token bank";

/// The faults of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// Nothing.
    None,
    /// One gateway after the other is killed, two a second.
    Crashes,
    /// As many gateways again join, one after the other.
    ScaleOut,
    /// 2 % of all packets each are lost, late or come twice.
    PoorNetwork,
    /// A gateway is cut off for two seconds.
    Partition,
    /// Redis refuses connections for two seconds.
    Down,
    /// Redis stands still for two seconds.
    Paused,
    /// FLUSHALL, each two seconds.
    Flush,
    /// A replica takes over that lags by half a second.
    FailOver,
    /// The clock of Redis is set forward by ten seconds, and back again.
    ClockSteps,
}

/// One schedule, with the result of each way to share the limit.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Gateways.
    pub gateways: usize,
    /// Distribution of the load.
    pub shape: Shape,
    /// The faults.
    pub trouble: Trouble,
    /// Requests per second that the limit allows.
    pub rate: u64,
    /// Requests that it allows at once.
    pub burst: u64,
    /// Requests per second that arrive.
    pub load: u64,
    /// Results of the bank first, then of the rivals.
    pub figures: Vec<Figure>,
    /// Most requests that the bank admitted above its bound under these faults. It promises 0.
    pub above_promise: f64,
    /// Calls to the bank per second and gateway.
    pub calls: f64,
}

/// Result of one way to share the limit.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// The most requests above `burst + rate x W` in any stretch of time W.
    pub overshoot: f64,
    /// Requests admitted, as a part of those that one bucket for all would have admitted.
    pub used: f64,
}

/// Input of a row.
#[derive(Debug, Clone, Copy)]
struct Case {
    gateways: usize,
    shape: Shape,
    trouble: Trouble,
    terms: Terms,
    load: u64,
    seconds: u64,
}

/// Sizes of the fleet in [`compare`].
pub const FLEETS: [usize; 4] = [1, 3, 10, 50];

/// The whole matrix, at five times the load that the limit allows: 1,000 a second, and as many at
/// once.
pub fn compare(seconds: u64) -> Result<Vec<Row>, ScriptError> {
    let terms = Terms::per_second(1_000, 1_000);
    let fleets = FLEETS.iter().flat_map(|&gateways| Shape::ALL.map(|shape| (gateways, shape)));
    let cases = fleets.flat_map(|(gateways, shape)| {
        Trouble::ALL.map(|trouble| Case { gateways, shape, trouble, terms, load: 5_000, seconds })
    });
    run(&cases.collect::<Vec<_>>())
}

/// Cases in which the bank does worst: limits of few requests, of which each gateway holds some.
pub fn weak_spots(seconds: u64) -> Result<Vec<Row>, ScriptError> {
    let case = |gateways, shape, rate, load| {
        let terms = Terms::per_second(rate, rate);
        Case { gateways, shape, trouble: Trouble::None, terms, load, seconds }
    };
    run(&[
        case(10, Shape::Shifting, 10, 50),
        case(10, Shape::Uniform, 10, 50),
        case(10, Shape::Uniform, 10, 12),
        case(50, Shape::Shifting, 10, 50),
        case(50, Shape::Uniform, 10, 50),
        case(50, Shape::Uniform, 100, 500),
        case(10, Shape::Uniform, 1_000, 700),
        case(50, Shape::Uniform, 1_000, 700),
    ])
}

/// Runs the cases on all cores.
fn run(cases: &[Case]) -> Result<Vec<Row>, ScriptError> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut rows = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(index) else {
                return Ok::<_, ScriptError>(rows);
            };
            rows.push((index, case.row()?));
        }
    };
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let rows = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().ok()).collect::<Result<Vec<_>, _>>()
    })?;
    let mut rows: Vec<_> = rows.into_iter().flatten().collect();
    rows.sort_by_key(|(index, _)| *index);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

impl Case {
    fn row(self) -> Result<Row, ScriptError> {
        let schedule = self.schedule();
        let outcome = Simulation::run(schedule.clone(), SCRIPT)?;
        let used = |admitted: u64, ideal: u64| admitted as f64 / (ideal as f64).max(1.0);
        let bank =
            Figure { name: BANK, overshoot: outcome.plain_overshoot, used: used(outcome.admitted, outcome.ideal) };
        let rivals = RIVALS.map(|(name, rival)| {
            let outcome = rival.run(&schedule, self.terms);
            Figure { name, overshoot: outcome.overshoot, used: used(outcome.admitted, outcome.ideal) }
        });
        Ok(Row {
            gateways: self.gateways,
            shape: self.shape,
            trouble: self.trouble,
            rate: self.terms.limit,
            burst: self.terms.burst,
            load: self.load,
            figures: std::iter::once(bank).chain(rivals).collect(),
            above_promise: outcome.overshoot,
            calls: outcome.calls as f64 / (self.seconds * self.gateways as u64) as f64,
        })
    }

    fn schedule(self) -> Schedule {
        let stops = STARTS + self.seconds * SECOND;
        let network = if self.trouble == Trouble::PoorNetwork { Network::POOR } else { Network::HEALTHY };
        Schedule {
            seed: 1,
            gateways: self.gateways,
            configured: self.gateways as u64,
            concurrency: None,
            limits: vec![self.terms],
            shape: self.shape,
            load: self.load as f64,
            network,
            faults: self.trouble.faults(self.gateways, stops),
            undone: 0.0,
            starts: STARTS,
            stops,
            ends: stops,
        }
    }
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::None,
        Self::Crashes,
        Self::ScaleOut,
        Self::PoorNetwork,
        Self::Partition,
        Self::Down,
        Self::Paused,
        Self::Flush,
        Self::FailOver,
        Self::ClockSteps,
    ];

    /// In words, for a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Crashes => "crashes",
            Self::ScaleOut => "scale-out to 2N",
            Self::PoorNetwork => "packets lost or late",
            Self::Partition => "one gateway cut off",
            Self::Down => "Redis down 2 s",
            Self::Paused => "Redis paused 2 s",
            Self::Flush => "FLUSHALL",
            Self::FailOver => "failover, lag 0.5 s",
            Self::ClockSteps => "clock +10 s, -10 s",
        }
    }

    /// The faults until `stops`, in a fleet of `gateways`.
    fn faults(self, gateways: usize, stops: u64) -> Vec<(u64, Fault)> {
        let lasts = 2 * SECOND;
        let each = |every: u64, fault: &dyn Fn(usize) -> Fault| {
            let times = (0_u64..).map(|time| FIRST_FAULT + time * every);
            times.take_while(|at| *at < stops).enumerate().map(|(index, at)| (at, fault(index))).collect()
        };
        match self {
            Self::None | Self::PoorNetwork => Vec::new(),
            Self::Crashes => each(SECOND / 2, &|gateway| Fault::Crash { gateway }),
            Self::ScaleOut => {
                let mut joins: Vec<_> = each(100 * MILLISECOND, &|_| Fault::Join);
                joins.truncate(gateways);
                joins
            }
            Self::Partition => each(4 * SECOND, &|_| Fault::Partition { gateway: 0, lasts }),
            Self::Down => each(4 * SECOND, &|_| Fault::Down { lasts }),
            Self::Paused => each(4 * SECOND, &|_| Fault::Paused { lasts }),
            Self::Flush => each(2 * SECOND, &|_| Fault::Flush),
            Self::FailOver => each(4 * SECOND, &|_| Fault::FailOver { lag: SECOND / 2 }),
            Self::ClockSteps => each(2 * SECOND, &|index| Fault::ClockStep {
                by: if index % 2 == 0 { 10_000_000 } else { -10_000_000 },
            }),
        }
    }
}
