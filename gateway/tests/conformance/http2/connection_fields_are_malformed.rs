//! Fields of HTTP/1.1's connections have no place in HTTP/2, but for `TE: trailers` (RFC 9113,
//! section 8.2.2).

use super::run::{Case, Good, Malformed, case, get};

pub(super) const CASES: &[Case] = &[
    case("Connection", get!(("connection", "close")), Malformed),
    case("Keep-Alive", get!(("keep-alive", "timeout=5")), Malformed),
    case("Proxy-Connection", get!(("proxy-connection", "keep-alive")), Malformed),
    case("Transfer-Encoding", get!(("transfer-encoding", "chunked")), Malformed),
    case("Upgrade", get!(("upgrade", "websocket")), Malformed),
    case("TE with a coding", get!(("te", "gzip")), Malformed),
    case("TE with trailers", get!(("te", "trailers")), Good).sees(&["-te", "-connection"]),
];
