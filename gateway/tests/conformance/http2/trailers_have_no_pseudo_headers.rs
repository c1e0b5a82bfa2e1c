//! Trailers end a stream and hold no pseudo-headers (RFC 9113, section 8.1). They do not pass.

use super::run::{Case, Good, Malformed, Part, case, post};

pub(super) const CASES: &[Case] = &[
    case("trailers", post!(("trailer", "x-sum")), Good)
        .with(&[Part::Data("hi"), Part::Trailers(&[("x-sum", "1")])])
        .sees(&["-trailer", "-x-sum", ">hi"]),
    case("trailers without a body", post!(), Good).with(&[Part::Trailers(&[("x-sum", "1")])]).sees(&["-x-sum", ">"]),
    // The protocol's library passes over it: the upstream sees nothing of it.
    case("pseudo-header in trailers", post!(), Good)
        .with(&[Part::Data("hi"), Part::Trailers(&[(":path", "/x")])])
        .sees(&["=POST / HTTP/1.1", "-x-sum", ">hi"]),
    case("trailers that end nothing", post!(), Malformed)
        .with(&[Part::Data("hi"), Part::OpenTrailers(&[("x-sum", "1")])]),
    case("upper case in trailers", post!(), Malformed).with(&[Part::Data("hi"), Part::Trailers(&[("X-Sum", "1")])]),
    case("field of connections in trailers", post!(), Malformed)
        .with(&[Part::Data("hi"), Part::Trailers(&[("transfer-encoding", "chunked")])]),
];
