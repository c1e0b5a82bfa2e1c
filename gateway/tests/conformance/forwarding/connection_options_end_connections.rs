//! `close` in any line of `Connection` ends the connection (RFC 9112, sections 9.3 and 9.6).

use crate::suite::{Case, Good, GoodAndOver, case};

pub(super) const CASES: &[Case] = &[
    case("COMP-CONNECTION-CLOSE", "GET / HTTP/1.1\r\nHOSTConnection: close\r\n\r\n", GoodAndOver),
    case("no option", "GET / HTTP/1.1\r\nHOST\r\n", Good).gets(&["connection: keep-alive"]),
    case("option of HTTP/1.0", "GET / HTTP/1.1\r\nHOSTConnection: keep-alive\r\n\r\n", Good)
        .gets(&["connection: keep-alive"]),
    case(
        "close in another line",
        "GET / HTTP/1.1\r\nHOSTConnection: keep-alive\r\nConnection: close\r\n\r\n",
        GoodAndOver,
    )
    .gets(&["connection: close"]),
    case(
        "close among others, in capitals",
        "GET / HTTP/1.1\r\nHOSTConnection: x-a\r\nConnection: x-b, CLOSE\r\n\r\n",
        GoodAndOver,
    )
    .gets(&["connection: close"]),
    case("close before keep-alive", "GET / HTTP/1.1\r\nHOSTConnection: close, keep-alive\r\n\r\n", GoodAndOver)
        .gets(&["connection: close"]),
    case(
        "close of an old client that would stay",
        "GET / HTTP/1.0\r\nHOSTConnection: keep-alive\r\nConnection: close\r\n\r\n",
        GoodAndOver,
    ),
    case("close of the upstream is for its own connection", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nokCLOSE")
        .gets(&["connection: keep-alive", ">ok"]),
];
