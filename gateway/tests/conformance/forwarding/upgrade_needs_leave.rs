//! `Upgrade` is a hop-by-hop field: what the route does not allow is not passed on (RFC 9110,
//! section 7.8).

use crate::suite::{BadGateway, Case, Good, GoodAndOver, Refused, case};

pub(super) const CASES: &[Case] = &[
    case("COMP-UPGRADE-POST", "POST / HTTP/1.1\r\nHOSTConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", Good),
    case("COMP-UPGRADE-MISSING-CONN", "GET / HTTP/1.1\r\nHOSTUpgrade: websocket\r\n\r\n", Good),
    case("COMP-UPGRADE-UNKNOWN", "GET / HTTP/1.1\r\nHOSTConnection: Upgrade\r\nUpgrade: totally-made-up/1.0\r\n\r\n", Good),
    case("COMP-UPGRADE-HTTP10", "GET / HTTP/1.0\r\nHOSTConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", GoodAndOver),
    case("COMP-UPGRADE-INVALID-VER", "GET / HTTP/1.1\r\nHOSTConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 99\r\n\r\n", Refused(403)),
    case("h2c is not passed on", "GET / HTTP/1.1\r\nHOSTConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", Good)
        .sees(&["-upgrade", "-http2-settings"]),
    case("Upgrade without Connection is not passed on", "GET / HTTP/1.1\r\nHOSTUpgrade: example/1\r\n\r\n", Good).sees(&["-upgrade"]),
    case("Upgrade of an old client is not passed on", "GET / HTTP/1.0\r\nHOSTConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", GoodAndOver)
        .sees(&["-upgrade"]),
    case("101 that nobody asked for", "GET / HTTP/1.1\r\nHOST\r\n", BadGateway)
        .answered("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: example/1\r\n\r\n"),
    case("Upgrade of an answer is not passed on", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n")
        .gets(&["-upgrade"]),
];
