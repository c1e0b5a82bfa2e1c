//! CONNECT has an authority and no path, and is not served (RFC 9113, section 8.5).

use super::run::{Case, Malformed, Refused, case};

pub(super) const CASES: &[Case] = &[
    case("CONNECT", &[(":method", "CONNECT"), (":authority", "a.test:443")], Refused(405)),
    case(
        "CONNECT with a path",
        &[(":method", "CONNECT"), (":scheme", "http"), (":authority", "a.test:443"), (":path", "/")],
        Malformed,
    ),
    case(
        "CONNECT of another protocol, which was not offered",
        &[(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "a"), (":path", "/")],
        Malformed,
    ),
    case("TRACE", &[(":method", "TRACE"), (":scheme", "http"), (":authority", "a"), (":path", "/")], Refused(405)),
];
