//! `:method`, `:scheme` and `:path` stand once each, before all other fields, and no others do (RFC
//! 9113, sections 8.3 and 8.3.1).

use super::run::{Case, Good, Malformed, Refused, case, get};

pub(super) const CASES: &[Case] = &[
    case("complete", get!(("x-a", "b")), Good).sees(&["=GET / HTTP/1.1", "host: a", "x-a: b", "via: 2.0 tollgate"]),
    case("in another order", &[(":path", "/x"), (":authority", "a"), (":scheme", "https"), (":method", "GET")], Good)
        .sees(&["=GET /x HTTP/1.1"]),
    case("behind another field", &[("x-a", "b"), (":method", "GET"), (":scheme", "http"), (":path", "/")], Malformed),
    case("one behind another field", get!(("x-a", "b"), (":path", "/other")), Malformed),
    case("no method", &[(":scheme", "http"), (":authority", "a"), (":path", "/")], Malformed),
    case("no scheme", &[(":method", "GET"), (":authority", "a"), (":path", "/")], Malformed),
    case("no path", &[(":method", "GET"), (":scheme", "http"), (":authority", "a")], Malformed),
    case("empty path", &[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "")], Malformed),
    case(
        "path without a slash",
        &[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "x")],
        Malformed,
    ),
    case("* with GET", &[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "*")], Refused(400)),
    case(
        "* with OPTIONS",
        &[(":method", "OPTIONS"), (":scheme", "http"), (":authority", "a"), (":path", "*")],
        Refused(204),
    ),
    case("two methods", get!((":method", "GET")), Malformed),
    case("two paths", get!((":path", "/")), Malformed),
    case("two schemes", get!((":scheme", "http")), Malformed),
    case("unknown one", get!((":unknown", "b")), Malformed),
    case("one of answers", get!((":status", "200")), Malformed),
    case(
        "another scheme",
        &[(":method", "GET"), (":scheme", "ftp"), (":authority", "a"), (":path", "/")],
        Refused(400),
    ),
    case(
        "lower case of a method",
        &[(":method", "get"), (":scheme", "http"), (":authority", "a"), (":path", "/")],
        Good,
    )
    .sees(&["=get / HTTP/1.1"]),
    case(
        "method that is no token",
        &[(":method", "G T"), (":scheme", "http"), (":authority", "a"), (":path", "/")],
        Malformed,
    ),
    case(
        "space in a path",
        &[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/a b")],
        Malformed,
    ),
    case(
        "fragment in a path",
        &[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/a#b")],
        Good,
    )
    .sees(&["=GET /a HTTP/1.1"]),
];
