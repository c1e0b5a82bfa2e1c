//! A trailer says nothing of framing, routing, credentials or content (RFC 9110, section 6.5.1; RFC
//! 9112, section 7.1.2).

use crate::suite::{Bad, Case, Good, case};

pub(super) const CASES: &[Case] = &[
    case(
        "COMP-CHUNKED-TRAILER-VALID",
        "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n0\r\nX-Checksum: abc\r\n\r\n",
        Good,
    ),
    case("SMUG-CHUNK-LF-TRAILER", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n0\r\n\n", Bad),
    case("SMUG-TRAILER-CL", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n", Bad),
    case("SMUG-TRAILER-TE", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n0\r\nCHUNKED", Bad),
    case("SMUG-TRAILER-HOST", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n0\r\nHost: evil.example.com\r\n\r\n", Bad),
    case(
        "SMUG-TRAILER-AUTH",
        "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n0\r\nAuthorization: Bearer evil\r\n\r\n",
        Bad,
    ),
    case(
        "SMUG-TRAILER-CONTENT-TYPE",
        "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n0\r\nContent-Type: text/evil\r\n\r\n",
        Bad,
    ),
    case("GARDEN-TRAILER-OBS-FOLD", "POST / HTTP/1.1\r\nHOSTCHUNKED0\r\nX-A: b\r\n c\r\n\r\n", Bad),
    case("GARDEN-TRAILER-NO-COLON", "POST / HTTP/1.1\r\nHOSTCHUNKED0\r\nnothing\r\n\r\n", Bad),
    case(
        "trailer does not pass",
        "POST / HTTP/1.1\r\nHOSTTrailer: X-Sum\r\nCHUNKED5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
        Good,
    )
    .sees(&["-trailer", "-x-sum", ">hello"]),
];
