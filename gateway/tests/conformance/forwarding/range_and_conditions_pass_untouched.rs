//! Ranges, conditions, preferences and cookies are for the upstream (RFC 9110, sections 12, 13 and
//! 14).

use crate::suite::{Case, Good, case};

pub(super) const CASES: &[Case] = &[
    case("COMP-RANGE-POST", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nRange: bytes=0-10\r\n\r\nhello", Good),
    case("COMP-RANGE-INVALID", "GET / HTTP/1.1\r\nHOSTRange: bytes=abc-xyz\r\n\r\n", Good),
    case("COMP-ACCEPT-NONSENSE", "GET / HTTP/1.1\r\nHOSTAccept: application/x-nonsense\r\n\r\n", Good),
    case("COOK-MALFORMED", "GET / HTTP/1.1\r\nHOSTCookie: ===;;;\r\n\r\n", Good),
    case("COOK-MULTI-HEADER", "GET / HTTP/1.1\r\nHOSTCookie: a=1\r\nCookie: b=2\r\n\r\n", Good),
    case(
        "ranges",
        "GET / HTTP/1.1\r\nHOSTRange: bytes=0-1, 4-\r\nIf-Range: \"a\"\r\n\r\n",
        Good,
    )
    .answered("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nAccept-Ranges: bytes\r\nContent-Length: 2\r\n\r\nab")
    .sees(&["range: bytes=0-1, 4-", "if-range: \"a\""])
    .gets(&["=HTTP/1.1 206 Partial Content", "content-range: bytes 0-1/9", "accept-ranges: bytes", ">ab"]),
    case(
        "conditions",
        "GET / HTTP/1.1\r\nHOSTIf-None-Match: W/\"a\", \"b\"\r\nIf-Match: *\r\nIf-Modified-Since: Sat, 29 Oct 1994 19:43:31 GMT\r\nIf-Unmodified-Since: nonsense\r\n\r\n",
        Good,
    )
    .answered("HTTP/1.1 412 Precondition Failed\r\nETag: W/\"a\"\r\nLast-Modified: never\r\nContent-Length: 0\r\n\r\n")
    .sees(&[
        "if-none-match: W/\"a\", \"b\"",
        "if-match: *",
        "if-modified-since: Sat, 29 Oct 1994 19:43:31 GMT",
        "if-unmodified-since: nonsense",
    ])
    .gets(&["=HTTP/1.1 412 Precondition Failed", "etag: W/\"a\"", "last-modified: never"]),
    case("range that cannot be served", "GET / HTTP/1.1\r\nHOSTRange: bytes=99-\r\n\r\n", Good)
        .answered("HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */9\r\nContent-Length: 0\r\n\r\n")
        .gets(&["content-range: bytes */9"]),
    case("preferences and caches", "GET / HTTP/1.1\r\nHOSTAccept: */*;q=0.1\r\nAccept-Encoding: br\r\nCache-Control: no-transform\r\n\r\n", Good)
        .answered("HTTP/1.1 200 OK\r\nVary: Accept\r\nAge: 7\r\nContent-Encoding: br\r\nCache-Control: no-transform\r\nContent-Length: 2\r\n\r\nok")
        .sees(&["accept: */*;q=0.1", "accept-encoding: br", "cache-control: no-transform"])
        .gets(&["vary: Accept", "age: 7", "content-encoding: br", "cache-control: no-transform", ">ok"]),
];
