//! `Content-Length` is one decimal number (RFC 9110, section 8.6; RFC 9112, section 6.3).

use crate::suite::{Bad, Case, Good, case};

pub(super) const CASES: &[Case] = &[
    case("RFC9112-6.1-CL-NON-NUMERIC", "POST / HTTP/1.1\r\nHOSTContent-Length: abc\r\n\r\n", Bad),
    case("RFC9112-6.1-CL-PLUS-SIGN", "POST / HTTP/1.1\r\nHOSTContent-Length: +5\r\n\r\nhello", Bad),
    case("COMP-POST-CL-ZERO", "POST / HTTP/1.1\r\nHOSTContent-Length: 0\r\n\r\n", Good),
    case("COMP-POST-NO-CL-NO-TE", "POST / HTTP/1.1\r\nHOST\r\n", Good),
    case("COMP-POST-CL-UNDERSEND", "POST / HTTP/1.1\r\nHOSTContent-Length: 10\r\n\r\nhello", Bad),
    case("SMUG-DUPLICATE-CL", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nContent-Length: 10\r\n\r\nhelloworld", Bad),
    case("SMUG-CL-LEADING-ZEROS", "POST / HTTP/1.1\r\nHOSTContent-Length: 005\r\n\r\nhello", Bad),
    case("SMUG-CL-DOUBLE-ZERO", "POST / HTTP/1.1\r\nHOSTContent-Length: 00\r\n\r\n", Bad),
    case("SMUG-CL-NEGATIVE", "POST / HTTP/1.1\r\nHOSTContent-Length: -1\r\n\r\n", Bad),
    case("SMUG-CL-NEGATIVE-ZERO", "POST / HTTP/1.1\r\nHOSTContent-Length: -0\r\n\r\n", Bad),
    case("SMUG-CL-OCTAL", "POST / HTTP/1.1\r\nHOSTContent-Length: 0o5\r\n\r\nhello", Bad),
    case("SMUG-CL-HEX-PREFIX", "POST / HTTP/1.1\r\nHOSTContent-Length: 0x5\r\n\r\nhello", Bad),
    case("SMUG-CL-UNDERSCORE", "POST / HTTP/1.1\r\nHOSTContent-Length: 1_0\r\n\r\nhelloworld", Bad),
    case("SMUG-CL-INTERNAL-SPACE", "POST / HTTP/1.1\r\nHOSTContent-Length: 1 0\r\n\r\nhello12345", Bad),
    case("SMUG-CL-COMMA-DIFFERENT", "POST / HTTP/1.1\r\nHOSTContent-Length: 5, 10\r\n\r\nhello", Bad),
    case("SMUG-CL-COMMA-SAME", "POST / HTTP/1.1\r\nHOSTContent-Length: 5, 5\r\n\r\nhello", Bad),
    case("SMUG-CL-COMMA-TRIPLE", "POST / HTTP/1.1\r\nHOSTContent-Length: 5, 5, 5\r\n\r\nhello", Bad),
    case("SMUG-CL-TRAILING-SPACE", "POST / HTTP/1.1\r\nHOSTContent-Length: 5 \r\n\r\nhello", Good),
    case("SMUG-CL-EXTRA-LEADING-SP", "POST / HTTP/1.1\r\nHOSTContent-Length:  5\r\n\r\nhello", Good),
    case("MAL-CL-OVERFLOW", "POST / HTTP/1.1\r\nHOSTContent-Length: 99999999999999999999\r\n\r\n", Bad),
    case("MAL-CL-EMPTY", "POST / HTTP/1.1\r\nHOSTContent-Length: \r\n\r\n", Bad),
    case("MAL-CL-TAB-BEFORE-VALUE", "POST / HTTP/1.1\r\nHOSTContent-Length:\t5\r\n\r\nhello", Good),
    case("NORM-UNDERSCORE-CL", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nContent_Length: 99\r\n\r\nhello", Good),
    case("H1SPEC-NEGATIVE-OVERFLOW", "GET / HTTP/1.1\r\nHOSTContent-Length: -123456789123456789123456789\r\n\r\n", Bad),
    case("GARDEN-NBSP-AROUND-VALUE", "POST / HTTP/1.1\r\nHOSTContent-Length: \u{a0}5\r\n\r\nhello", Bad),
    case("GARDEN-CL-COMMA-EMPTY", "POST / HTTP/1.1\r\nHOSTContent-Length: ,5\r\n\r\nhello", Bad),
    case("GARDEN-CL-DECIMAL", "POST / HTTP/1.1\r\nHOSTContent-Length: 5.0\r\n\r\nhello", Bad),
    case(
        "SMUG-DUPLICATE-CL-SMUGGLED-GET",
        "POST / HTTP/1.1\r\nHOSTContent-Length: 4\r\nContent-Length: LENGTH\r\n\r\nPINGINNER",
        Bad,
    ),
    case("body of so many bytes", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\n\r\nhello", Good).sees(&[
        "content-length: 5",
        "-transfer-encoding",
        ">hello",
    ]),
];
