//! Headers that an intermediary adds to messages, takes away, and leaves alone.

mod connection_options_end_connections;
mod expectations_are_met_or_refused;
mod gateway_is_named_in_via;
mod hop_by_hop_fields_stay_on_their_connection;
mod max_forwards_counts_down;
mod old_clients_are_served_as_such;
mod pipelined_requests_are_answered_in_order;
mod range_and_conditions_pass_untouched;
mod stale_connections;
mod upgrade_needs_leave;
mod waiting;

use crate::suite::{Rules, Suite};

/// The tables of this folder.
pub(crate) const RULES: Rules = &[
    ("connection_options_end_connections", connection_options_end_connections::CASES),
    ("expectations_are_met_or_refused", expectations_are_met_or_refused::CASES),
    ("gateway_is_named_in_via", gateway_is_named_in_via::CASES),
    ("hop_by_hop_fields_stay_on_their_connection", hop_by_hop_fields_stay_on_their_connection::CASES),
    ("max_forwards_counts_down", max_forwards_counts_down::CASES),
    ("old_clients_are_served_as_such", old_clients_are_served_as_such::CASES),
    ("pipelined_requests_are_answered_in_order", pipelined_requests_are_answered_in_order::CASES),
    ("range_and_conditions_pass_untouched", range_and_conditions_pass_untouched::CASES),
    ("upgrade_needs_leave", upgrade_needs_leave::CASES),
];

#[tokio::test(flavor = "multi_thread")]
async fn forwarded_messages_keep_the_rules_for_intermediaries() {
    Suite::start().await.run(RULES).await;
}
