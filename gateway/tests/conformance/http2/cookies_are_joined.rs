//! Fields of `Cookie` are joined before they pass to HTTP/1.1 (RFC 9113, section 8.2.3).

use super::run::{Case, Good, case, get};

pub(super) const CASES: &[Case] = &[
    case("one", get!(("cookie", "a=1; b=2")), Good).sees(&["cookie: a=1; b=2"]),
    case("two", get!(("cookie", "a=1"), ("cookie", "b=2")), Good).sees(&["cookie: a=1; b=2"]),
    case(
        "with another field between",
        get!(("cookie", "a=1"), ("x-a", "b"), ("cookie", "b=2"), ("cookie", "c=3")),
        Good,
    )
    .sees(&["cookie: a=1; b=2; c=3", "x-a: b"]),
];
