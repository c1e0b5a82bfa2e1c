//! Requests under way: never more than the limit at once, and all of it for whoever needs it.

use gateway::limit::bank::SCRIPT;
use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestError, TestRunner},
};
use simulate::{
    Seated,
    schedule::{Concurrent, Fault, Network, Schedule},
    shape::Shape,
    world::World,
};

use crate::worlds::{
    MILLISECOND, SECOND, anything, cases, change, clock_step, crash, loss, outage, partition, run, world_with,
};

/// A world in which only the requests under way are limited.
fn seated(fault: impl Strategy<Value = Fault>, most: usize) -> impl Strategy<Value = Schedule> {
    let concurrent = (prop_oneof![1_u64..10, 10_u64..200], 1..1_500_u64)
        .prop_map(|(limit, longest)| Concurrent { limit, longest: longest * MILLISECOND });
    (world_with(fault, most), concurrent).prop_map(|(world, concurrent)| Schedule {
        limits: Vec::new(),
        concurrent: Some(concurrent),
        ..world
    })
}

/// Requests that want a slot all the time: each takes 100 ms on average.
fn crowd(gateways: usize, shape: Shape, limit: u64) -> Schedule {
    Schedule {
        seed: 7,
        gateways,
        configured: gateways as u64,
        limits: Vec::new(),
        concurrent: Some(Concurrent { limit, longest: 200 * MILLISECOND }),
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

/// How much of the limit was used, from the beginning of load.
fn used(seated: Seated, schedule: &Schedule) -> f64 {
    let limit = schedule.concurrent.unwrap().limit;
    seated.nanos as f64 / ((schedule.stops - schedule.starts) * limit) as f64
}

fn never_above(schedule: &Schedule) -> Result<(), TestCaseError> {
    let seated = run(schedule).seated;
    prop_assert_eq!(seated.excess, 0, "{:?}", seated);
    Ok(())
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn never_more_are_under_way_than_the_limit(schedule in seated(prop_oneof![crash(), Just(Fault::Join)], 6)) {
        let seated = run(&schedule).seated;
        prop_assert!(seated.most <= schedule.concurrent.unwrap().limit, "{seated:?}");
        prop_assert_eq!(seated.excess, 0);
    }

    /// Who goes its own way has its part of the limit on top, and until its requests have ended nobody else begins more.
    #[test]
    fn lost_repeated_and_late_packets_let_no_more_begin(schedule in seated(crash(), 2)) {
        never_above(&Schedule { network: Network::POOR, ..schedule })?;
    }

    #[test]
    fn who_is_cut_off_lets_others_begin_no_more(schedule in seated(partition(), 4)) {
        never_above(&schedule)?;
    }

    #[test]
    fn after_an_outage_no_more_begin_than_there_is_room_for(schedule in seated(outage(), 3)) {
        never_above(&schedule)?;
    }

    #[test]
    fn a_loss_of_data_lets_no_more_begin(schedule in seated(prop_oneof![loss(), crash()], 4)) {
        never_above(&schedule)?;
    }

    #[test]
    fn a_clock_that_is_set_lets_no_more_begin(schedule in seated(clock_step(), 4)) {
        never_above(&schedule)?;
    }

    #[test]
    fn a_limit_that_is_lowered_holds_as_soon_as_all_have_heard(schedule in seated(change(), 4)) {
        never_above(&schedule)?;
    }

    #[test]
    fn every_slot_comes_back(schedule in seated(anything(), 4)) {
        // Nobody asks any more, and all requests have ended.
        prop_assert_eq!(run(&Schedule { ends: schedule.ends + 2 * SECOND, ..schedule }).seated.left, 0);
    }
}

/// A tenth of the load is at the others, who hold a few.
#[test]
fn one_busy_gateway_may_use_what_others_do_not() {
    for (limit, gateways) in [(1, 10), (7, 10), (100, 10), (100, 50)] {
        let seated = run(&crowd(gateways, Shape::Skewed, limit)).seated;
        assert_eq!(seated.excess, 0);
        assert!(seated.most <= limit && seated.most >= limit * 9 / 10, "{seated:?} of {limit} at {gateways}");
    }
}

#[test]
fn what_is_short_everywhere_is_used_all_the_same() {
    for (limit, gateways, least) in [(100, 4, 0.95), (100, 10, 0.9), (20, 10, 0.7), (3, 10, 0.4)] {
        let schedule = crowd(gateways, Shape::Uniform, limit);
        let seated = run(&schedule).seated;
        assert_eq!(seated.excess, 0);
        assert!(used(seated, &schedule) > least, "{limit} at {gateways}: {}", used(seated, &schedule));
    }
}

#[test]
fn a_crash_gives_slots_back_after_the_lease() {
    // The busy gateway is killed and comes back as another process: what it held is free after a second.
    let calm = crowd(4, Shape::Skewed, 50);
    let faults = vec![(4 * SECOND, Fault::Crash { gateway: 0 }), (6 * SECOND, Fault::Crash { gateway: 0 })];
    let killed = Schedule { faults, ..calm.clone() };
    let lost = |schedule: &Schedule| 1.0 - used(run(schedule).seated, schedule);
    let two_leases = 2.0 / 9.8;
    assert!(lost(&killed) < lost(&calm) + two_leases + 0.05, "{} and {}", lost(&killed), lost(&calm));
}

/// The worlds notice a script that forgets what is in other hands.
#[test]
fn slots_given_twice_are_caught() {
    let free = "local free = limit - others - held";
    assert!(SCRIPT.contains(free));
    let script = SCRIPT.replace(free, "local free = limit - held");
    let config = Config { cases: 4 * cases().cases, max_shrink_iters: 0, ..cases() };
    let caught = TestRunner::new(config).run(&seated(crash(), 2), |schedule| {
        let seated = World::run(schedule, &script).unwrap().seated;
        if seated.excess > 0 { Err(TestCaseError::fail("caught")) } else { Ok(()) }
    });
    assert!(matches!(caught, Err(TestError::Fail(..))));
}
