//! A chunk is its size in hexadecimal, CR LF, so many bytes, CR LF (RFC 9112, section 7.1).

use crate::suite::{Bad, Case, Good, case};

pub(super) const CASES: &[Case] = &[
    case("COMP-CHUNKED-BODY", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n0\r\n\r\n", Good),
    case("COMP-CHUNKED-MULTI", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", Good),
    case("COMP-CHUNKED-EMPTY", "POST / HTTP/1.1\r\nHOSTCHUNKED0\r\n\r\n", Good),
    case("COMP-CHUNKED-NO-FINAL", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n", Bad),
    case("COMP-CHUNKED-HEX-UPPERCASE", "POST / HTTP/1.1\r\nHOSTCHUNKEDA\r\nhelloworld\r\n0\r\n\r\n", Good),
    case(
        "SMUG-TE-XCHUNKED",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\nhello",
        Bad,
    ),
    case("SMUG-CHUNK-UNDERSCORE", "POST / HTTP/1.1\r\nHOSTCHUNKED1_0\r\nhello world!!!!!\r\n0\r\n\r\n", Bad),
    case("SMUG-CHUNK-HEX-PREFIX", "POST / HTTP/1.1\r\nHOSTCHUNKED0x5\r\nhello\r\n0\r\n\r\n", Bad),
    case("SMUG-CHUNK-SIZE-PLUS", "POST / HTTP/1.1\r\nHOSTCHUNKED+5\r\nhello\r\n0\r\n\r\n", Bad),
    case("SMUG-CHUNK-SIZE-TRAILING-OWS", "POST / HTTP/1.1\r\nHOSTCHUNKED5 \r\nhello\r\n0\r\n\r\n", Bad),
    case("SMUG-CHUNK-LEADING-SP", "POST / HTTP/1.1\r\nHOSTCHUNKED 5\r\nhello\r\n0\r\n\r\n", Bad),
    case("SMUG-CHUNK-NEGATIVE", "POST / HTTP/1.1\r\nHOSTCHUNKED-1\r\nhello\r\n0\r\n\r\n", Bad),
    case("SMUG-CHUNK-MISSING-TRAILING-CRLF", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello0\r\n\r\n", Bad),
    case("SMUG-CHUNK-SPILL", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello!!\r\n0\r\n\r\n", Bad),
    case("SMUG-CHUNK-LF-TERM", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\n0\r\n\r\n", Bad),
    case("SMUG-CHUNK-BARE-CR-TERM", "POST / HTTP/1.1\r\nHOSTCHUNKED5\rhello\r\n0\r\n\r\n", Bad),
    case("SMUG-CHUNK-INVALID-SIZE-DESYNC", "POST / HTTP/1.1\r\nHOSTCHUNKED+0\r\n\r\nX", Bad),
    case("MAL-CHUNK-SIZE-OVERFLOW", "POST / HTTP/1.1\r\nHOSTCHUNKEDFFFFFFFFFFFFFFFF0\r\nhello\r\n0\r\n\r\n", Bad),
    case("GARDEN-CHUNK-EMPTY-SIZE", "POST / HTTP/1.1\r\nHOSTCHUNKED\r\n\r\n0\r\n\r\n", Bad),
    case("GARDEN-CHUNK-LF-AFTER-SIZE", "POST / HTTP/1.1\r\nHOSTCHUNKED5\nhello\r\n0\r\n\r\n", Bad),
    case("GARDEN-CHUNK-LEADING-ZEROS", "POST / HTTP/1.1\r\nHOSTCHUNKED0005\r\nhello\r\n000\r\n\r\n", Good),
    case("chunks are sent on as one body", "POST / HTTP/1.1\r\nHOSTCHUNKED2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", Good)
        .sees(&["transfer-encoding: chunked", "-content-length", ">hello"]),
];
