//! A target is a path, a URL, or `*` for OPTIONS; the host of a URL goes before `Host` (RFC 9112,
//! section 3.2).

use crate::suite::{Answered, AnsweredAndOver, Bad, Case, Good, case};

pub(super) const CASES: &[Case] = &[
    case("RFC9112-3.2-FRAGMENT-IN-TARGET", "GET /path#frag HTTP/1.1\r\nHOST\r\n", Bad),
    case("COMP-ASTERISK-WITH-GET", "GET * HTTP/1.1\r\nHOST\r\n", Bad),
    case("COMP-OPTIONS-STAR", "OPTIONS * HTTP/1.1\r\nHOST\r\n", Answered(204)),
    case("COMP-ABSOLUTE-FORM", "GET http://a.test/ HTTP/1.1\r\nHOST\r\n", Good),
    case("MAL-NUL-IN-URL", "GET /\0test HTTP/1.1\r\nHOST\r\n", Bad),
    case("MAL-NON-ASCII-URL", "GET /caf\u{e9} HTTP/1.1\r\nHOST\r\n", Bad),
    case("MAL-URL-BACKSLASH", "GET /path\\file HTTP/1.1\r\nHOST\r\n", Bad),
    case("MAL-URL-PERCENT-NULL", "GET /path%00.html HTTP/1.1\r\nHOST\r\n", Bad),
    case("MAL-URL-PERCENT-CRLF", "GET /path%0d%0aX-Injected:%20true HTTP/1.1\r\nHOST\r\n", Bad),
    case("SMUG-ABSOLUTE-URI-HOST-MISMATCH", "GET http://other.example.com/ HTTP/1.1\r\nHOST\r\n", Good),
    case("GARDEN-TARGET-NO-SLASH", "GET index.html HTTP/1.1\r\nHOST\r\n", Bad),
    case("URL goes before Host", "GET http://other.test/x?y=z HTTP/1.1\r\nHOST\r\n", Good)
        .sees(&["=GET /x?y=z HTTP/1.1", "host: other.test"]),
    case("URL without a path", "GET http://other.test HTTP/1.1\r\nHOST\r\n", Good)
        .sees(&["=GET / HTTP/1.1", "host: other.test"]),
    case("URL with a query and no path", "GET http://other.test?y HTTP/1.1\r\nHOST\r\n", Good)
        .sees(&["=GET /?y HTTP/1.1"]),
    case("URL without Host", "GET http://other.test/ HTTP/1.1\r\n\r\n", Bad),
    case("URL with a user", "GET http://a@other.test/ HTTP/1.1\r\nHOST\r\n", Bad),
    case("URL without a host", "GET http:///x HTTP/1.1\r\nHOST\r\n", Bad),
    case("URL of another scheme", "GET ftp://other.test/ HTTP/1.1\r\nHOST\r\n", Bad),
    case("host and port of CONNECT with GET", "GET a.test:80 HTTP/1.1\r\nHOST\r\n", Bad),
    case("query without a path", "GET ?a=b HTTP/1.1\r\nHOST\r\n", Bad),
    case("path without a slash", "DELETE v1/items/5 HTTP/1.1\r\nHOST\r\n", Bad),
    case("control character in a path", "GET /a\x01b HTTP/1.1\r\nHOST\r\n", Bad),
    case("OPTIONS * with a body", "OPTIONS * HTTP/1.1\r\nHOSTContent-Length: 3\r\n\r\nabc", AnsweredAndOver(204))
        .gets(&["allow:"]),
    case("OPTIONS with more than *", "OPTIONS *x HTTP/1.1\r\nHOST\r\n", Bad),
    case("escapes are passed on as they came", "GET /%7Ea%20b?c=%2F&d HTTP/1.1\r\nHOST\r\n", Good)
        .sees(&["=GET /%7Ea%20b?c=%2F&d HTTP/1.1"]),
];
