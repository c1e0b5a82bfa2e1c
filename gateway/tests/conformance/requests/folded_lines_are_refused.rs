//! A field line is not continued on the next one (RFC 9112, section 5.2).

use crate::suite::{Bad, Case, case};

pub(super) const CASES: &[Case] = &[
    case("RFC9112-5.1-OBS-FOLD", "GET / HTTP/1.1\r\nHOSTX-Test: value\r\n continued\r\n\r\n", Bad),
    case(
        "SMUG-TE-OBS-FOLD",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\nhello",
        Bad,
    ),
    case("SMUG-OPTIONS-TE-OBS-FOLD", "OPTIONS / HTTP/1.1\r\nHOSTTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", Bad),
    case("GARDEN-OBS-FOLD-FIRST-HEADER", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", Bad),
    case("GARDEN-OBS-FOLD-TAB", "GET / HTTP/1.1\r\nHOSTX-Test: a\r\n\tb\r\n\r\n", Bad),
    case(
        "SMUG-CLTE-SMUGGLED-GET-TE-OBS-FOLD",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding:\r\n chunked\r\nContent-Length: LENGTH\r\n\r\n0\r\n\r\nINNER",
        Bad,
    ),
    case(
        "SMUG-OPTIONS-TE-OBS-FOLD-CL",
        "OPTIONS / HTTP/1.1\r\nHOSTTransfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\nhello",
        Bad,
    ),
];
