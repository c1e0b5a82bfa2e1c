//! A method is a token whose case matters; unknown ones pass (RFC 9110, section 9.1). CONNECT and
//! TRACE are not served.

use crate::suite::{Bad, Case, Good, Refused, case};

pub(super) const CASES: &[Case] = &[
    case("COMP-METHOD-CONNECT", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", Refused(405)),
    case("COMP-METHOD-TRACE", "TRACE / HTTP/1.1\r\nHOST\r\n", Refused(405)),
    case("COMP-TRACE-WITH-BODY", "TRACE / HTTP/1.1\r\nHOSTContent-Length: 5\r\n\r\nhello", Refused(405)),
    case("COMP-METHOD-CASE", "get / HTTP/1.1\r\nHOST\r\n", Good),
    case("COMP-UNKNOWN-METHOD", "FOOBAR / HTTP/1.1\r\nHOST\r\n", Good),
    case(
        "COMP-TRACE-SENSITIVE",
        "TRACE / HTTP/1.1\r\nHOSTAuthorization: Bearer secret-token-123\r\n\r\n",
        Refused(405),
    ),
    case("GARDEN-METHOD-WITH-BRACES", "G{T / HTTP/1.1\r\nHOST\r\n", Bad),
    case("lower case passes as it is", "get / HTTP/1.1\r\nHOST\r\n", Good).sees(&["=get / HTTP/1.1"]),
    case("unknown method passes with its body", "FOOBAR /x HTTP/1.1\r\nHOSTContent-Length: 2\r\n\r\nhi", Good)
        .sees(&["=FOOBAR /x HTTP/1.1", ">hi"]),
    case("refusal tells the methods", "TRACE / HTTP/1.1\r\nHOSTMax-Forwards: 0\r\n\r\n", Refused(405))
        .gets(&["allow:"]),
];
