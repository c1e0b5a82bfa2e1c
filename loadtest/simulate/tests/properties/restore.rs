//! After a loss of data, limits get back what was left of them, and never more.

use common::plan::RateWindow;
use proptest::prelude::*;
use simulate::{
    Outcome,
    schedule::{Fault, Network, Schedule, Terms},
    shape::Shape,
};

use crate::schedules::{SECOND, anything, cases, change, crash, loss, run, schedule_with, terms};

/// Sums of fractions are rounded.
const ROUNDING: f64 = 1e-3;

/// Limits that refill so slowly that only restored tokens count.
fn slow() -> impl Strategy<Value = Terms> {
    let window = prop_oneof![Just(RateWindow::Hour), Just(RateWindow::Day)];
    (window, 1_u64..300, 10_u64..2_000).prop_map(|(window, limit, burst)| Terms { window, limit, burst })
}

/// A schedule with slow limits beside others, long enough for a loss to be restored.
fn slow_schedule(fault: impl Strategy<Value = Fault>, most: usize) -> impl Strategy<Value = Schedule> {
    let limits = (slow(), prop::option::of(terms()));
    (schedule_with(fault, most), limits, 2..5_u64).prop_map(|(schedule, (slow, other), lasts)| {
        let stops = schedule.starts + lasts * SECOND;
        let stretch =
            |at: u64| schedule.starts + (at - schedule.starts) * lasts * SECOND / (schedule.stops - schedule.starts);
        let faults = schedule.faults.iter().map(|(at, fault)| (stretch(*at), *fault)).collect();
        let limits = [slow].into_iter().chain(other).collect();
        // As many as matter here: these schedules are long.
        let gateways = schedule.gateways.min(6);
        let configured = gateways as u64;
        Schedule { limits, faults, stops, gateways, configured, ends: stops + 2 * SECOND, ..schedule }
    })
}

/// Three gateways and one limit of 1,000 a day, asked for 200 times a second.
fn daily(faults: Vec<(u64, Fault)>) -> Schedule {
    Schedule {
        seed: 7,
        gateways: 3,
        configured: 3,
        limits: vec![Terms { window: RateWindow::Day, limit: 1_000, burst: 1_000 }],
        concurrency: None,
        shape: Shape::Uniform,
        load: 80.0,
        network: Network::HEALTHY,
        faults,
        undone: 0.0,
        starts: SECOND / 5,
        stops: 14 * SECOND,
        ends: 16 * SECOND,
    }
}

/// No gateway is alone after a flush: each admitted token was left, in hand, or refilled.
fn mints_nothing(outcome: &Outcome) -> Result<(), TestCaseError> {
    prop_assert!(outcome.minted < ROUNDING, "{outcome:?}");
    holds(outcome)
}

fn holds(outcome: &Outcome) -> Result<(), TestCaseError> {
    prop_assert!(outcome.overshoot < ROUNDING, "{outcome:?}");
    prop_assert!(outcome.bank_excess < ROUNDING, "{outcome:?}");
    prop_assert!(outcome.remaining_excess < ROUNDING, "{outcome:?}");
    Ok(())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn restored_levels_are_never_above_the_truth(schedule in slow_schedule(loss(), 3)) {
        holds(&run(&schedule))?;
    }

    #[test]
    fn flush_restores_no_more_than_was_left(
        schedule in slow_schedule(prop_oneof![2 => Just(Fault::Flush), 2 => crash(), 1 => Just(Fault::Join)], 6),
    ) {
        mints_nothing(&run(&schedule))?;
    }

    #[test]
    fn killed_and_new_gateways_restore_no_more(
        schedule in slow_schedule(prop_oneof![2 => loss(), 2 => crash(), 1 => Just(Fault::Join)], 6),
    ) {
        holds(&run(&schedule))?;
    }

    #[test]
    fn lost_late_and_repeated_packets_restore_no_more(schedule in slow_schedule(prop_oneof![loss(), crash()], 3)) {
        let outcome = run(&Schedule { network: Network::POOR, ..schedule });
        prop_assert!(outcome.overshoot < ROUNDING, "{outcome:?}");
    }

    #[test]
    fn any_mix_of_faults_restores_no_more(schedule in slow_schedule(prop_oneof![2 => loss(), 3 => anything()], 6)) {
        let outcome = run(&schedule);
        prop_assert!(outcome.overshoot < ROUNDING, "{outcome:?}");
    }

    #[test]
    fn changed_limits_restore_no_more(schedule in slow_schedule(prop_oneof![loss(), change()], 4)) {
        let outcome = run(&schedule);
        prop_assert!(outcome.overshoot < ROUNDING, "{outcome:?}");
    }
}

#[test]
fn daily_limit_goes_on_after_a_flush() {
    let calm = run(&daily(Vec::new()));
    for at in [2, 4] {
        let flushed = run(&daily(vec![(at * SECOND, Fault::Flush)]));
        assert!(flushed.overshoot <= 0.0, "{}", flushed.overshoot);
        // What was in hands is gone, and for some two seconds only what refills is there.
        assert!(flushed.admitted + 350 > calm.admitted, "{} of {}", flushed.admitted, calm.admitted);
    }
}

#[test]
fn daily_limit_goes_on_after_a_flush_with_replaced_gateways() {
    let replaced = |gateway| Fault::Crash { gateway };
    let faults = vec![(SECOND, replaced(0)), (2 * SECOND, replaced(1)), (7 * SECOND, Fault::Flush)];
    let flushed = run(&daily(faults));
    assert!(flushed.overshoot <= 0.0, "{}", flushed.overshoot);
    assert!(flushed.admitted > 700, "{}", flushed.admitted);
}

#[test]
fn gateway_lost_with_the_data_counts_as_having_used_everything() {
    let crash = (2 * SECOND, Fault::Crash { gateway: 0 });
    let flushed = run(&daily(vec![crash, (2 * SECOND + 1, Fault::Flush)]));
    assert!(flushed.overshoot <= 0.0, "{}", flushed.overshoot);
    assert!(flushed.admitted < 400, "{}: nobody knows what the one that is gone has drawn", flushed.admitted);
}
