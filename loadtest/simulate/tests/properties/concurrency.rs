//! Concurrency limits: never more permits in use than the limit, and all of them for the gateways
//! that need them.

use gateway::limit::bank::SCRIPT;
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestError, TestRunner},
};
use simulate::{
    PermitOutcome,
    schedule::{Concurrency, Fault, Network, Schedule},
    shape::Shape,
    simulation::Simulation,
};

use crate::schedules::{
    MILLISECOND, SECOND, anything, cases, change, clock_step, crash, loss, outage, partition, run, schedule_with,
};

/// A schedule with a concurrency limit only.
fn permits(fault: impl Strategy<Value = Fault>, most: usize) -> impl Strategy<Value = Schedule> {
    let concurrency = (prop_oneof![1_u64..10, 10_u64..200], 1..1_500_u64)
        .prop_map(|(limit, longest)| Concurrency { limit, longest: longest * MILLISECOND });
    (schedule_with(fault, most), concurrency).prop_map(|(schedule, concurrency)| Schedule {
        limits: Vec::new(),
        concurrency: Some(concurrency),
        ..schedule
    })
}

/// Requests that need a permit all the time. Each takes 100 ms on average.
fn crowd(gateways: usize, shape: Shape, limit: u64) -> Schedule {
    Schedule {
        seed: 7,
        gateways,
        configured: gateways as u64,
        limits: Vec::new(),
        concurrency: Some(Concurrency { limit, longest: 200 * MILLISECOND }),
        shape,
        load: 30.0 * limit as f64,
        network: Network::HEALTHY,
        faults: Vec::new(),
        undone: 0.0,
        starts: 200 * MILLISECOND,
        stops: 10 * SECOND,
        ends: 10 * SECOND,
    }
}

/// Part of the limit that was used since the beginning of load.
fn used(permits: PermitOutcome, schedule: &Schedule) -> f64 {
    let limit = schedule.concurrency.unwrap().limit;
    permits.nanos as f64 / ((schedule.stops - schedule.starts) * limit) as f64
}

fn never_above(schedule: &Schedule) -> Result<(), TestCaseError> {
    let permits = run(schedule).permits;
    prop_assert_eq!(permits.excess, 0, "{:?}", permits);
    Ok(())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn never_more_permits_are_in_use_than_the_limit(schedule in permits(prop_oneof![crash(), Just(Fault::Join)], 6)) {
        let permits = run(&schedule).permits;
        prop_assert!(permits.most <= schedule.concurrency.unwrap().limit, "{permits:?}");
        prop_assert_eq!(permits.excess, 0);
    }

    /// A gateway alone has its share of the limit on top, and until its requests have ended no
    /// other takes more permits.
    #[test]
    fn lost_repeated_and_late_packets_allow_no_more(schedule in permits(crash(), 2)) {
        never_above(&Schedule { network: Network::POOR, ..schedule })?;
    }

    #[test]
    fn gateway_cut_off_lets_others_take_no_more(schedule in permits(partition(), 4)) {
        never_above(&schedule)?;
    }

    #[test]
    fn outage_allows_no_more_permits_than_there_is_room_for(schedule in permits(outage(), 3)) {
        never_above(&schedule)?;
    }

    #[test]
    fn loss_of_data_allows_no_more(schedule in permits(prop_oneof![loss(), crash()], 4)) {
        never_above(&schedule)?;
    }

    #[test]
    fn step_of_the_clock_allows_no_more(schedule in permits(clock_step(), 4)) {
        never_above(&schedule)?;
    }

    #[test]
    fn lowered_limit_holds_as_soon_as_all_gateways_know_it(schedule in permits(change(), 4)) {
        never_above(&schedule)?;
    }

    #[test]
    fn every_permit_comes_back(schedule in permits(anything(), 4)) {
        // Nobody asks any more, and all requests have ended.
        prop_assert_eq!(run(&Schedule { ends: schedule.ends + 2 * SECOND, ..schedule }).permits.left, 0);
    }
}

/// A tenth of the load is at the other gateways, which hold a few permits.
#[test]
fn one_busy_gateway_may_use_what_others_do_not() {
    for (limit, gateways) in [(1, 10), (7, 10), (100, 10), (100, 50)] {
        let permits = run(&crowd(gateways, Shape::Skewed, limit)).permits;
        assert_eq!(permits.excess, 0);
        assert!(permits.most <= limit && permits.most >= limit * 9 / 10, "{permits:?} of {limit} at {gateways}");
    }
}

#[test]
fn permits_that_are_short_everywhere_are_all_used() {
    for (limit, gateways, least) in [(100, 4, 0.95), (100, 10, 0.9), (20, 10, 0.7), (3, 10, 0.4)] {
        let schedule = crowd(gateways, Shape::Uniform, limit);
        let permits = run(&schedule).permits;
        assert_eq!(permits.excess, 0);
        assert!(used(permits, &schedule) > least, "{limit} at {gateways}: {}", used(permits, &schedule));
    }
}

#[test]
fn crash_gives_permits_back_after_the_lease() {
    // The busy gateway is killed and comes back as another process: what it held is free after a
    // second.
    let calm = crowd(4, Shape::Skewed, 50);
    let faults = vec![(4 * SECOND, Fault::Crash { gateway: 0 }), (6 * SECOND, Fault::Crash { gateway: 0 })];
    let killed = Schedule { faults, ..calm.clone() };
    let lost = |schedule: &Schedule| 1.0 - used(run(schedule).permits, schedule);
    let two_leases = 2.0 / 9.8;
    assert!(lost(&killed) < lost(&calm) + two_leases + 0.05, "{} and {}", lost(&killed), lost(&calm));
}

/// Simulations notice a script that forgets permits in other hands.
#[test]
fn permits_granted_twice_are_caught() {
    let free = "local free = limit - others - held";
    assert!(SCRIPT.contains(free));
    let script = SCRIPT.replace(free, "local free = limit - held");
    let config = Config { cases: 4 * cases().cases, max_shrink_iters: 0, ..cases() };
    let caught = TestRunner::new(config).run(&permits(crash(), 2), |schedule| {
        let permits = Simulation::run(schedule, &script).unwrap().permits;
        if permits.excess > 0 { Err(TestCaseError::fail("caught")) } else { Ok(()) }
    });
    assert!(matches!(caught, Err(TestError::Fail(..))));
}
