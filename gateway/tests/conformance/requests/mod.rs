//! The form of a request: where it ends, and what it may hold.

mod bodies_of_any_method_are_framed;
mod chunk_extensions_are_well_formed_and_dropped;
mod chunks_are_read_strictly;
mod content_length_is_one_number;
mod folded_lines_are_refused;
mod last_coding_is_chunked;
mod lines_end_with_cr_lf;
mod long_requests_are_refused;
mod names_are_tokens;
mod request_line_has_three_parts;
mod requests_come_in_pieces;
mod trailers_carry_no_framing;
mod transfer_encoding_excludes_content_length;
mod version_is_one_that_is_served;

use crate::suite::{Rules, Suite};

/// The tables of this folder.
pub(crate) const RULES: Rules = &[
    ("bodies_of_any_method_are_framed", bodies_of_any_method_are_framed::CASES),
    ("chunk_extensions_are_well_formed_and_dropped", chunk_extensions_are_well_formed_and_dropped::CASES),
    ("chunks_are_read_strictly", chunks_are_read_strictly::CASES),
    ("content_length_is_one_number", content_length_is_one_number::CASES),
    ("folded_lines_are_refused", folded_lines_are_refused::CASES),
    ("last_coding_is_chunked", last_coding_is_chunked::CASES),
    ("lines_end_with_cr_lf", lines_end_with_cr_lf::CASES),
    ("names_are_tokens", names_are_tokens::CASES),
    ("request_line_has_three_parts", request_line_has_three_parts::CASES),
    ("trailers_carry_no_framing", trailers_carry_no_framing::CASES),
    ("transfer_encoding_excludes_content_length", transfer_encoding_excludes_content_length::CASES),
    ("version_is_one_that_is_served", version_is_one_that_is_served::CASES),
];

#[tokio::test(flavor = "multi_thread")]
async fn request_is_read_in_one_way_or_refused() {
    Suite::start().await.run(RULES).await;
}
