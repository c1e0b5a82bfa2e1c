//! `Content-Length` is the sum of the data, or the request is malformed (RFC 9113, section 8.1.1).

use super::run::{Case, Good, Malformed, Part, Refused, Reset, case, get, post};

pub(super) const CASES: &[Case] = &[
    case("as much as it says", post!(("content-length", "5")), Good)
        .with(&[Part::Data("he"), Part::Last("llo")])
        .sees(&["content-length: 5", "-transfer-encoding", ">hello"]),
    case("nothing said", post!(), Good)
        .with(&[Part::Data("he"), Part::Last("llo")])
        .sees(&["-content-length", ">hello"]),
    case("too little", post!(("content-length", "5")), Malformed).with(&[Part::Last("hi")]),
    case("too much", post!(("content-length", "1")), Malformed).with(&[Part::Last("hi")]),
    case("too much in the second frame", post!(("content-length", "2")), Malformed)
        .with(&[Part::Data("hi"), Part::Last("!")]),
    case("nothing where something was said", post!(("content-length", "5")), Malformed),
    case("something where nothing was said", get!(("content-length", "0")), Reset).with(&[Part::Last("hi")]),
    case("too little before trailers", post!(("content-length", "5")), Malformed)
        .with(&[Part::Data("hi"), Part::Trailers(&[("x-a", "b")])]),
    case("no number", post!(("content-length", "x")), Malformed).with(&[Part::Last("hi")]),
    case("sign", post!(("content-length", "+2")), Malformed).with(&[Part::Last("hi")]),
    case("twice", post!(("content-length", "2"), ("content-length", "2")), Refused(400)).with(&[Part::Last("hi")]),
    case("zero with an empty frame", post!(("content-length", "0")), Good).with(&[Part::Last("")]).sees(&[">"]),
];
