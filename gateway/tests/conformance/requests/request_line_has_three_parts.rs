//! A request line is a method, a target and a version, with one space between (RFC 9112, section
//! 3).

use crate::suite::{Bad, Case, Good, case};

pub(super) const CASES: &[Case] = &[
    case("COMP-BASELINE", "GET / HTTP/1.1\r\nHOST\r\n", Good),
    case("RFC9112-3-MULTI-SP-REQUEST-LINE", "GET  / HTTP/1.1\r\nHOST\r\n", Bad),
    case("RFC9112-3-MISSING-TARGET", "GET HTTP/1.1\r\nHOST\r\n", Bad),
    case("RFC9112-2.3-HTTP09-REQUEST", "GET /\r\n", Bad),
    case("COMP-REQUEST-LINE-TAB", "GET\t/ HTTP/1.1\r\nHOST\r\n", Bad),
    case("COMP-SPACE-IN-TARGET", "GET /pa th HTTP/1.1\r\nHOST\r\n", Bad),
    case("MAL-INCOMPLETE-REQUEST", "GET / HTTP/1.1\r\nHOSTX-Test: value", Bad),
    case("MAL-WHITESPACE-ONLY-LINE", "   \r\n\r\n", Bad),
    case("H1SPEC-WITHOUT-VERSION", "GET / \r\n\r\n", Bad),
    case("H1SPEC-INVALID-PREFIX", "Extra lineGET / HTTP/1.1\r\nHOST\r\n", Bad),
    case("GARDEN-VERSION-MISSING", "GET /\r\nHOST\r\n", Bad),
    case("GARDEN-TRAILING-SPACE-IN-REQUEST-LINE", "GET / HTTP/1.1 \r\nHOST\r\n", Bad),
    case("double space behind another method", "DELETE  /v1/items/5 HTTP/1.1\r\nHOST\r\n", Bad),
    case("TLS where there is none", "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03", Bad),
];
