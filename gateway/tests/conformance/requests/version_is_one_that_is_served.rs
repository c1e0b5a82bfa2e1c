//! A version is written `HTTP/1.1` or `HTTP/1.0`; others are refused (RFC 9112, section 2.3; RFC
//! 9110, section 15.6.6).

use crate::suite::{Bad, Case, Refused, case};

pub(super) const CASES: &[Case] = &[
    case("RFC9112-2.3-INVALID-VERSION", "GET / HTTP/9.9\r\nHOST\r\n", Refused(505)),
    case("COMP-VERSION-MISSING-MINOR", "GET / HTTP/1\r\nHOST\r\n", Bad),
    case("COMP-VERSION-LEADING-ZEROS", "GET / HTTP/01.01\r\nHOST\r\n", Bad),
    case("COMP-VERSION-WHITESPACE", "GET / HTTP/ 1.1\r\nHOST\r\n", Bad),
    case("COMP-VERSION-CASE", "GET / http/1.1\r\nHOST\r\n", Bad),
    case("COMP-HTTP12-VERSION", "GET / HTTP/1.2\r\nHOST\r\n", Refused(505)),
    case("MAL-H2-PREFACE", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refused(505)),
    case("GARDEN-VERSION-UNKNOWN-NAME", "GET / HTTPS/1.1\r\nHOST\r\n", Bad),
];
