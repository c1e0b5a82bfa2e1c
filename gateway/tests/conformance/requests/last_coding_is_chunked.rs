//! `Transfer-Encoding` is `chunked` and nothing else: where another coding is last, nobody knows
//! the end (RFC 9112, section 6.1).

use crate::suite::{Bad, Case, Good, case};

pub(super) const CASES: &[Case] = &[
    case("COMP-UNKNOWN-TE-501", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: gzip\r\n\r\n", Bad),
    case("SMUG-TE-DOUBLE-CHUNKED", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", Bad),
    case("SMUG-TE-NOT-FINAL-CHUNKED", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", Bad),
    case("SMUG-TE-VTAB", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", Bad),
    case("SMUG-TE-FORMFEED", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: \x0cchunked\r\n\r\n0\r\n\r\n", Bad),
    case("SMUG-TE-NULL", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n", Bad),
    case("SMUG-CHUNKED-WITH-PARAMS", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked;ext=val\r\n\r\n0\r\n\r\n", Bad),
    case("GARDEN-TE-QUOTED", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", Bad),
    case("gzip before chunked", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", Bad),
    case("case of chunked", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: Chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", Good)
        .sees(&[">hi"]),
];
