//! `Host` stands once, and is a host with an optional port (RFC 9112, section 3.2; RFC 9110,
//! section 7.2).

use crate::suite::{Bad, Case, Good, case};

pub(super) const CASES: &[Case] = &[
    case("RFC9112-7.1-MISSING-HOST", "GET / HTTP/1.1\r\n\r\n", Bad),
    case("RFC9110-5.4-DUPLICATE-HOST", "GET / HTTP/1.1\r\nHOSTHost: other.example.com\r\n\r\n", Bad),
    case("COMP-DUPLICATE-HOST-SAME", "GET / HTTP/1.1\r\nHOSTHOST\r\n", Bad),
    case("COMP-HOST-WITH-USERINFO", "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", Bad),
    case("COMP-HOST-WITH-PATH", "GET / HTTP/1.1\r\nHost: a/path\r\n\r\n", Bad),
    case("SMUG-MULTIPLE-HOST-COMMA", "GET / HTTP/1.1\r\nHost: a, other.example.com\r\n\r\n", Bad),
    case("host with a port", "GET / HTTP/1.1\r\nHost: a.test:8080\r\n\r\n", Good).sees(&["host: a.test:8080"]),
    case("host that is an IPv6 address", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", Good).sees(&["host: [::1]:80"]),
    case("port that is none", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", Bad),
    case("host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Bad),
    case("host without a value", "GET / HTTP/1.1\r\nHost:\r\n\r\n", Bad),
];
