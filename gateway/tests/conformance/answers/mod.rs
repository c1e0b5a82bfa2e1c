//! Answers of upstreams: their form, their end, and what is added to them.

mod answers_end_in_one_way;
mod answers_without_content_have_none;
mod date_and_server_are_there;
mod fields_of_answers_hold_no_line_breaks;
mod interim_answers_pass;
mod statuses_and_versions_are_the_gateways_own;

use crate::suite::{Rules, Suite};

/// The tables of this folder.
pub(crate) const RULES: Rules = &[
    ("answers_end_in_one_way", answers_end_in_one_way::CASES),
    ("answers_without_content_have_none", answers_without_content_have_none::CASES),
    ("date_and_server_are_there", date_and_server_are_there::CASES),
    ("fields_of_answers_hold_no_line_breaks", fields_of_answers_hold_no_line_breaks::CASES),
    ("interim_answers_pass", interim_answers_pass::CASES),
    ("statuses_and_versions_are_the_gateways_own", statuses_and_versions_are_the_gateways_own::CASES),
];

#[tokio::test(flavor = "multi_thread")]
async fn answer_is_passed_on_in_one_way_or_replaced() {
    Suite::start().await.run(RULES).await;
}
