//! Names are in lower case and tokens; values hold no line breaks and no space at their ends (RFC
//! 9113, section 8.2.1).

use super::run::{Case, Good, Malformed, case, get};

pub(super) const CASES: &[Case] = &[
    case("upper case", get!(("X-A", "b")), Malformed),
    case("one letter in upper case", get!(("x-A", "b")), Malformed),
    case("space in a name", get!(("x a", "b")), Malformed),
    case("colon in a name", get!(("x:a", "b")), Malformed),
    case("control character in a name", get!(("x\x01", "b")), Malformed),
    case("letter beyond ASCII in a name", get!(("x-\u{e9}", "b")), Malformed),
    case("empty name", get!(("", "b")), Malformed),
    case("line break in a value", get!(("x-a", "b\r\nx-b: c")), Malformed),
    case("LF in a value", get!(("x-a", "b\nc")), Malformed),
    case("CR in a value", get!(("x-a", "b\rc")), Malformed),
    case("NUL in a value", get!(("x-a", "b\0c")), Malformed),
    case("space before a value", get!(("x-a", " b")), Malformed),
    case("tab behind a value", get!(("x-a", "b\t")), Malformed),
    case("empty value", get!(("x-a", "")), Good).sees(&["x-a: "]),
];
