//! The bank grants what it has.

use proptest::prelude::*;
use simulate::schedule::Schedule;

use crate::schedules::{cases, run, schedule, terms};

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn no_request_is_denied_while_the_bank_has_had_tokens_for_longer_than_a_call(
        schedule in schedule(),
        terms in terms(),
    ) {
        let schedule = Schedule { limits: vec![terms], ..schedule };
        let outcome = run(&schedule);
        prop_assert_eq!(outcome.denied_in_plenty, 0, "{:?}", outcome);
    }
}
