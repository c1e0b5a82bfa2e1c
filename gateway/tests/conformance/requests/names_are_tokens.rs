//! A field line is a token, a colon without space before it, and a value without control characters
//! (RFC 9112, section 5; RFC 9110, section 5.5).

use crate::suite::{Bad, Case, Good, case};

pub(super) const CASES: &[Case] = &[
    case("RFC9110-5.6.2-SP-BEFORE-COLON", "GET / HTTP/1.1\r\nHOSTX-Test : value\r\n\r\n", Bad),
    case("RFC9112-5-EMPTY-HEADER-NAME", "GET / HTTP/1.1\r\nHOST: empty-name\r\n\r\n", Bad),
    case("RFC9112-5-INVALID-HEADER-NAME", "GET / HTTP/1.1\r\nHOSTBad[Name: value\r\n\r\n", Bad),
    case("RFC9112-5-HEADER-NO-COLON", "GET / HTTP/1.1\r\nHOSTNoColonHere\r\n\r\n", Bad),
    case("COMP-HOST-EMPTY-VALUE", "GET / HTTP/1.1\r\nHost: \r\n\r\n", Bad),
    case(
        "SMUG-TE-SP-BEFORE-COLON",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\nhello",
        Bad,
    ),
    case("SMUG-TE-EMPTY-VALUE", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: \r\nContent-Length: 5\r\n\r\nhello", Bad),
    case("MAL-CONTROL-CHARS-HEADER", "GET / HTTP/1.1\r\nHOSTX-Test: abc\x07\x08\x0bdef\r\n\r\n", Bad),
    case("MAL-NUL-IN-HEADER-VALUE", "GET / HTTP/1.1\r\nHOSTX-Test: val\0ue\r\n\r\n", Bad),
    case("MAL-NON-ASCII-HEADER-NAME", "GET / HTTP/1.1\r\nHOSTX-T\u{eb}st: value\r\n\r\n", Bad),
    case("NORM-SP-BEFORE-COLON-CL", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nContent-Length : 9\r\n\r\nhello", Bad),
    case("NORM-TAB-IN-NAME", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nContent\tLength: 99\r\n\r\nhello", Bad),
    case(
        "NORM-UNDERSCORE-TE",
        "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nTransfer_Encoding: chunked\r\n\r\nhello",
        Good,
    ),
    case("COOK-NUL", "GET / HTTP/1.1\r\nHOSTCookie: foo=\0bar\r\n\r\n", Bad),
    case("COOK-CONTROL-CHARS", "GET / HTTP/1.1\r\nHOSTCookie: foo=\x01\x02\x03\r\n\r\n", Bad),
    case("H1SPEC-EDGE-CASES", "GET / HTTP/1.1\r\nhoSt:\ta\r\nempty:\r\n\r\n", Good),
    case("H1SPEC-EMPTY-VALUE", "GET / HTTP/1.1\r\nHOSTX-Empty-Header: \r\n\r\n", Good),
    case("GARDEN-TAB-BEFORE-COLON", "POST / HTTP/1.1\r\nHOSTContent-Length\t: 5\r\n\r\nhello", Bad),
    case("GARDEN-NUL-IN-NAME", "POST / HTTP/1.1\r\nHOSTContent-Length\0: 5\r\n\r\nhello", Bad),
];
