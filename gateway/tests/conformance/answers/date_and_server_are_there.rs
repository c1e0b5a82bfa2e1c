//! An answer has a `Date`; `Server` is that of the upstream (RFC 9110, sections 6.6.1 and 10.2.4).

use crate::suite::{Bad, Case, Good, Refused, case};

pub(super) const CASES: &[Case] = &[
    case("upstream without a clock", "GET / HTTP/1.1\r\nHOST\r\n", Good).gets(&["date:", "-server"]),
    case("server of the upstream", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 200 OK\r\nServer: Apache/2.4.62 (Unix)\r\nContent-Length: 2\r\n\r\nok")
        .gets(&["date:", "server: Apache/2.4.62 (Unix)"]),
    case("refusal of a reader", "GET / HTTP/1.1\r\n\r\n", Bad).gets(&["date:", "-server"]),
    case("refusal of a route", "GET /a/../b HTTP/1.1\r\nHOST\r\n", Refused(400)).gets(&["date:", "-server"]),
];
