//! Random schedules.

use common::plan::RateWindow;
use gateway::limit::bank::SCRIPT;
use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed},
};
use simulate::{
    Outcome,
    schedule::{Fault, Network, Schedule, Terms},
    shape::Shape,
    simulation::Simulation,
};

pub(crate) const MILLISECOND: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1_000_000_000;

/// The schedules that a test tries: the same ones each time, so that a failure is due to a change.
/// With `PROPTEST_CASES` set, as many new ones.
pub(crate) fn cases() -> Config {
    let chosen = std::env::var_os("PROPTEST_CASES").is_some();
    let config = Config { failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    if chosen { config } else { Config { cases: 64, rng_seed: RngSeed::Fixed(2026), ..config } }
}

pub(crate) fn run(schedule: &Schedule) -> Outcome {
    Simulation::run(schedule.clone(), SCRIPT).unwrap()
}

/// One limit: mostly per second, sometimes slow.
pub(crate) fn terms() -> impl Strategy<Value = Terms> {
    let window = prop_oneof![4 => Just(RateWindow::Second), 1 => Just(RateWindow::Minute), 1 => Just(RateWindow::Day)];
    (window, 1_u64..300, prop_oneof![1_u64..10, 10_u64..600]).prop_map(|(window, limit, burst)| Terms {
        window,
        limit,
        burst,
    })
}

pub(crate) fn shape() -> impl Strategy<Value = Shape> {
    prop::sample::select(Shape::ALL.to_vec())
}

/// A schedule of up to 50 gateways without faults.
pub(crate) fn schedule() -> impl Strategy<Value = Schedule> {
    let gateways = prop_oneof![6 => 1_usize..6, 2 => 6_usize..15, 1 => 15_usize..=50];
    (any::<u64>(), gateways, prop::collection::vec(terms(), 1..3), shape(), 20.0..800.0, 300..2_500_u64).prop_map(
        |(seed, gateways, limits, shape, load, lasts)| {
            let stops = 200 * MILLISECOND + lasts * MILLISECOND;
            Schedule {
                seed,
                gateways,
                configured: gateways as u64,
                limits,
                concurrency: None,
                shape,
                load,
                network: Network::HEALTHY,
                faults: Vec::new(),
                undone: 0.0,
                starts: 200 * MILLISECOND,
                stops,
                ends: stops + 2 * SECOND,
            }
        },
    )
}

/// The same, with up to `most` faults while there is load.
pub(crate) fn schedule_with(fault: impl Strategy<Value = Fault>, most: usize) -> impl Strategy<Value = Schedule> {
    let faults = prop::collection::vec((0..1_000_u64, fault), 1..=most);
    (schedule(), faults).prop_map(|(schedule, faults)| {
        let at = |part| schedule.starts + (schedule.stops - schedule.starts) / 1_000 * part;
        let faults = faults.into_iter().map(|(part, fault)| (at(part), fault)).collect();
        Schedule { faults, ..schedule }
    })
}

pub(crate) fn crash() -> impl Strategy<Value = Fault> {
    (0_usize..50).prop_map(|gateway| Fault::Crash { gateway })
}

/// A gateway cannot reach the bank, which is up.
pub(crate) fn partition() -> impl Strategy<Value = Fault> {
    (0_usize..50, 50..1_500_u64).prop_map(|(gateway, lasts)| Fault::Partition { gateway, lasts: lasts * MILLISECOND })
}

/// The bank is down for all gateways.
pub(crate) fn outage() -> impl Strategy<Value = Fault> {
    (50..1_500_u64, any::<bool>()).prop_map(|(lasts, is_down)| {
        let lasts = lasts * MILLISECOND;
        if is_down { Fault::Down { lasts } } else { Fault::Paused { lasts } }
    })
}

/// The bank loses data.
pub(crate) fn loss() -> impl Strategy<Value = Fault> {
    prop_oneof![Just(Fault::Flush), (0..3_000_u64).prop_map(|lag| Fault::FailOver { lag: lag * MILLISECOND }),]
}

/// A step of the bank's clock, by up to a day.
pub(crate) fn clock_step() -> impl Strategy<Value = Fault> {
    let by = prop_oneof![1_i64..200_000, 200_000_i64..10_000_000, 10_000_000_i64..86_400_000_000];
    (by, any::<bool>()).prop_map(|(by, is_back)| Fault::ClockStep { by: if is_back { -by } else { by } })
}

pub(crate) fn change() -> impl Strategy<Value = Fault> {
    (0_usize..3, terms()).prop_map(|(limit, terms)| Fault::Change { limit, terms })
}

/// Any fault.
pub(crate) fn anything() -> impl Strategy<Value = Fault> {
    prop_oneof![crash(), Just(Fault::Join), partition(), outage(), loss(), clock_step()]
}
