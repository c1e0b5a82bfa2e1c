//! The order of the script's steps matters, and the property that says so notices when they are in
//! another one.

use gateway::limit::bank::SCRIPT;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use simulate::simulation::Simulation;

use crate::{
    schedules::{cases, schedule},
    script::{steps, try_steps},
};

const REFILL: &str = "  -- 1. Refill";
const REPORT: &str = "  -- 2. Drop leases";
const GRANT: &str = "  -- 3. Grant";

/// Schedules that a wrong script is tried on, at most; the first that breaks it ends the search.
const SEARCHED: u32 = 40_000;

/// Returns true if some schedule breaks the property of the script: the same ones each time.
fn is_caught(script: &str) -> bool {
    let config = Config { cases: SEARCHED, max_shrink_iters: 0, ..cases() };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let searched =
        TestRunner::new_with_rng(config, random).run(&steps(), |(terms, steps)| Ok(try_steps(script, terms, &steps)?));
    matches!(searched, Err(TestError::Fail(..)))
}

#[test]
fn script_admits_no_more_whatever_its_callers_do() {
    let config = Config { cases: 20 * cases().cases, ..cases() };
    let checked = TestRunner::new(config).run(&steps(), |(terms, steps)| Ok(try_steps(SCRIPT, terms, &steps)?));
    if let Err(error) = checked {
        panic!("{error}");
    }
}

#[test]
fn dropping_leases_before_the_refill_is_caught() {
    let (before, rest) = SCRIPT.split_once(REFILL).unwrap();
    let (refill, rest) = rest.split_once(REPORT).unwrap();
    let (report, after) = rest.split_once(GRANT).unwrap();
    assert!(is_caught(&format!("{before}{REPORT}{report}{REFILL}{refill}{GRANT}{after}")));
}

#[test]
fn taking_the_report_before_the_refill_is_caught() {
    let (before, after) = SCRIPT.split_once(REFILL).unwrap();
    let report = "  if holders[gateway] then holders[gateway][1] = held end\n";
    assert!(is_caught(&format!("{before}{report}{REFILL}{after}")));
}

/// Simulations of gateways notice, too.
#[test]
fn simulation_catches_a_refill_of_tokens_in_other_hands() {
    let config = Config { cases: 4 * cases().cases, max_shrink_iters: 0, ..cases() };
    let caught = TestRunner::new(config).run(&schedule(), |schedule| {
        let outcome = Simulation::run(schedule, &without_cap()).unwrap();
        if outcome.overshoot > 1e-3 { Err(TestCaseError::fail("caught")) } else { Ok(()) }
    });
    assert!(matches!(caught, Err(TestError::Fail(..))));
}

#[test]
fn refill_of_tokens_in_other_hands_is_caught() {
    assert!(is_caught(&without_cap()));
}

fn without_cap() -> String {
    let cap = "math.min(math.max(0, burst - outstanding), ";
    assert!(SCRIPT.contains(cap));
    SCRIPT.replace(cap, "math.min(burst, ")
}
