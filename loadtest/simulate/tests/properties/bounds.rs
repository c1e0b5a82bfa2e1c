//! Over every stretch of time, no more is admitted than the limit allows, and a fault on top.

use common::plan::RateWindow;
use proptest::prelude::*;
use simulate::{
    Outcome,
    schedule::{Fault, Network, Schedule, Terms},
    shape::Shape,
};

use crate::schedules::{
    SECOND, anything, cases, change, clock_step, crash, loss, outage, partition, run, schedule, schedule_with,
};

/// Sums of fractions are rounded.
const ROUNDING: f64 = 1e-3;

/// A few gateways that are asked for many times what one limit allows, and one fault early on.
fn busy_schedule(fault: impl Strategy<Value = Fault>) -> impl Strategy<Value = Schedule> {
    let limit =
        (30_u64..200, 20_u64..200).prop_map(|(limit, burst)| Terms { window: RateWindow::Second, limit, burst });
    (schedule_with(fault, 1), limit, 2_usize..5, 4.0..12.0).prop_map(|(schedule, limit, gateways, times)| {
        let load = limit.limit as f64 * times;
        let faults = schedule.faults.iter().map(|(_, fault)| (schedule.starts + SECOND / 5, *fault)).collect();
        let stops = schedule.starts + 2 * SECOND;
        Schedule {
            gateways,
            configured: gateways as u64,
            limits: vec![limit],
            load,
            faults,
            stops,
            ends: stops,
            ..schedule
        }
    })
}

/// Checks that the bound held at the gateways and at the bank.
fn holds(outcome: &Outcome) -> Result<(), TestCaseError> {
    prop_assert!(outcome.overshoot < ROUNDING, "{outcome:?}");
    prop_assert!(outcome.bank_excess < ROUNDING, "{outcome:?}");
    prop_assert!(outcome.deepest_debt <= 1.0 + ROUNDING, "{outcome:?}");
    Ok(())
}

proptest! {
    #![proptest_config(cases())]

    /// No failure but of gateways: not one request more.
    #[test]
    fn no_stretch_of_time_admits_more_than_burst_and_rate(
        schedule in schedule_with(prop_oneof![crash(), Just(Fault::Join)], 6),
    ) {
        holds(&run(&schedule))?;
    }

    /// A gateway without an answer goes on alone with its share of the limit, which is on top.
    #[test]
    fn lost_repeated_and_late_packets_admit_no_more(schedule in schedule_with(crash(), 2)) {
        holds(&run(&Schedule { network: Network::POOR, ..schedule }))?;
    }

    #[test]
    fn gateway_cut_off_admits_no_more_than_its_share(schedule in schedule_with(partition(), 4)) {
        holds(&run(&schedule))?;
    }

    #[test]
    fn outage_admits_no_more_than_the_shares_that_were_left(schedule in schedule_with(outage(), 3)) {
        holds(&run(&schedule))?;
    }

    /// The first gateway that is back must not get what the others have admitted meanwhile.
    #[test]
    fn short_outage_of_busy_gateways_admits_no_more_than_the_shares_that_were_left(schedule in busy_schedule(outage())) {
        holds(&run(&schedule))?;
    }

    #[test]
    fn loss_of_data_admits_no_more_than_was_in_hand(schedule in schedule_with(loss(), 4)) {
        holds(&run(&schedule))?;
    }

    #[test]
    fn loss_of_data_in_an_outage_admits_no_more_than_each_by_itself(
        schedule in schedule_with(prop_oneof![outage(), loss()], 5),
    ) {
        holds(&run(&schedule))?;
    }

    #[test]
    fn new_epoch_creates_no_tokens(schedule in schedule_with(prop_oneof![Just(Fault::Flush), crash()], 4)) {
        let outcome = run(&schedule);
        prop_assert!(outcome.minted < ROUNDING, "{outcome:?}");
    }

    #[test]
    fn step_of_the_clock_admits_no_more_than_the_least_noticed_step(schedule in schedule_with(clock_step(), 4)) {
        holds(&run(&schedule))?;
    }

    #[test]
    fn lowered_limits_hold_and_never_underflow(schedule in schedule_with(change(), 4)) {
        holds(&run(&schedule))?;
    }

    #[test]
    fn remaining_is_never_above_the_truth(schedule in schedule_with(anything(), 5)) {
        let outcome = run(&schedule);
        prop_assert!(outcome.remaining_excess < ROUNDING, "{outcome:?}");
    }

    #[test]
    fn token_put_back_does_not_exist_twice(schedule in schedule_with(crash(), 2), undone in 0.1..0.9) {
        holds(&run(&Schedule { undone, ..schedule }))?;
    }

    /// Nothing is lost either: what was not admitted is there in the end.
    #[test]
    fn request_that_one_limit_refuses_takes_nothing_of_another(schedule in schedule()) {
        let outcome = run(&schedule);
        for (terms, left) in schedule.limits.iter().zip(&outcome.left) {
            let refilled = terms.rate() * schedule.ends as f64;
            let spent = terms.burst as f64 - left;
            prop_assert!(spent <= outcome.admitted as f64 + ROUNDING, "{outcome:?}");
            prop_assert!(spent + refilled + ROUNDING >= outcome.admitted as f64, "{outcome:?}");
        }
    }
}

/// One gateway has no request for a while after the limit was lowered, and tells the bank the old
/// one again and again.
#[test]
fn gateway_unaware_of_a_lower_limit_does_not_refill_the_old_one() {
    let lowered = Terms { window: RateWindow::Minute, limit: 1, burst: 1 };
    let schedule = Schedule {
        seed: 16_533_413_305_365_753,
        gateways: 3,
        configured: 3,
        limits: vec![Terms::per_second(30, 1)],
        concurrency: None,
        shape: Shape::Bursts,
        load: 415.843_891_144_558,
        network: Network::HEALTHY,
        faults: vec![(349_682_000, Fault::Change { limit: 0, terms: lowered })],
        undone: 0.0,
        starts: 200_000_000,
        stops: 806_000_000,
        ends: 2_806_000_000,
    };
    holds(&run(&schedule)).unwrap();
}
