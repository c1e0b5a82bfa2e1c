//! `:authority` and `Host` name the same place, and one of them is there (RFC 9113, section 8.3.1).

use super::run::{Case, Good, Malformed, Refused, case, get};

pub(super) const CASES: &[Case] = &[
    case("both name the same", get!(("host", "a")), Good).sees(&["host: a"]),
    case("both differ", get!(("host", "b")), Refused(400)),
    case("both differ by a port", get!(("host", "a:80")), Refused(400)),
    case("two hosts", get!(("host", "a"), ("host", "a")), Refused(400)),
    case("Host alone", &[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "a.test:81")], Good)
        .sees(&["host: a.test:81"]),
    case("neither", &[(":method", "GET"), (":scheme", "http"), (":path", "/")], Refused(400)),
    case("user", &[(":method", "GET"), (":scheme", "http"), (":authority", "u@a"), (":path", "/")], Refused(400)),
    case(
        "port that is none",
        &[(":method", "GET"), (":scheme", "http"), (":authority", "a:99999"), (":path", "/")],
        Malformed,
    ),
    case("path in it", &[(":method", "GET"), (":scheme", "http"), (":authority", "a/b"), (":path", "/")], Malformed),
    case("two of them", get!((":authority", "a")), Malformed),
    case("port", &[(":method", "GET"), (":scheme", "http"), (":authority", "a:81"), (":path", "/")], Good)
        .sees(&["host: a:81"]),
];
