//! `Expect: 100-continue` passes on; another expectation is refused (RFC 9110, section 10.1.1).

use crate::suite::{Case, Good, Refused, case};

pub(super) const CASES: &[Case] = &[
    case("COMP-EXPECT-UNKNOWN", "GET / HTTP/1.1\r\nHOSTExpect: 200-ok\r\n\r\n", Refused(417)),
    case("expectation passes", "POST / HTTP/1.1\r\nHOSTExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", Good)
        .sees(&["expect: 100-continue", ">hello"]),
    case(
        "100 of the upstream passes",
        "POST / HTTP/1.1\r\nHOSTExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
        Good,
    )
    .answered("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    .gets(&["+HTTP/1.1 100 Continue", ">ok"]),
];
