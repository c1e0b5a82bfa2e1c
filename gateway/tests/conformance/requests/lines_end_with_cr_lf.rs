//! A bare CR or LF ends no line, and nothing stands between request line and header (RFC 9112,
//! section 2.2).

use crate::suite::{Bad, Case, Good, case};

pub(super) const CASES: &[Case] = &[
    case("RFC9112-2.2-BARE-LF-REQUEST-LINE", "GET / HTTP/1.1\nHOST\r\n", Bad),
    case("RFC9112-2.2-BARE-LF-HEADER", "GET / HTTP/1.1\r\nHost: a\nX-Test: value\r\n\r\n", Bad),
    case("RFC9112-3-CR-ONLY-LINE-ENDING", "GET / HTTP/1.1\rHOST\r\n", Bad),
    case("COMP-WHITESPACE-BEFORE-HEADERS", "GET / HTTP/1.1\r\n \r\nHOST\r\n", Bad),
    case("COMP-LEADING-CRLF", "\r\n\r\nGET / HTTP/1.1\r\nHOST\r\n", Good),
    case("SMUG-BARE-CR-HEADER-VALUE", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nX-Test: val\rue\r\n\r\nhello", Bad),
    case("H1SPEC-INVALID-LINE-ENDING", "GET / HTTP/1.1\r\nHOST\rSome-Header: Test\r\n\r\n", Bad),
    case("GARDEN-BARE-LF-END", "GET / HTTP/1.1\r\nHOST\n", Bad),
    case("third empty line before the request", "\r\n\r\n\r\nGET / HTTP/1.1\r\nHOST\r\n", Bad),
    case("all lines end with LF", "GET / HTTP/1.1\nHost: a\n\n", Bad),
];
