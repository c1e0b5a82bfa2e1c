//! The form of requests and answers of HTTP/2, and the states of its streams and connections.

mod answers_hold_nothing_of_connections;
mod authority_and_host_name_one_place;
mod connect_is_not_served;
mod connection_fields_are_malformed;
mod content_length_matches_data;
mod cookies_are_joined;
mod field_names_are_lower_case;
mod pseudo_headers_are_complete_and_first;
mod run;
mod states;
mod trailers_have_no_pseudo_headers;

use crate::suite::Suite;

#[tokio::test(flavor = "multi_thread")]
async fn request_of_http2_is_read_in_one_way_or_refused() {
    let rules: &[(&str, &[_])] = &[
        ("authority_and_host_name_one_place", authority_and_host_name_one_place::CASES),
        ("connect_is_not_served", connect_is_not_served::CASES),
        ("connection_fields_are_malformed", connection_fields_are_malformed::CASES),
        ("content_length_matches_data", content_length_matches_data::CASES),
        ("cookies_are_joined", cookies_are_joined::CASES),
        ("field_names_are_lower_case", field_names_are_lower_case::CASES),
        ("pseudo_headers_are_complete_and_first", pseudo_headers_are_complete_and_first::CASES),
        ("trailers_have_no_pseudo_headers", trailers_have_no_pseudo_headers::CASES),
    ];
    run::run(&Suite::start_with("http2: { without_tls: true }").await, rules).await;
}
