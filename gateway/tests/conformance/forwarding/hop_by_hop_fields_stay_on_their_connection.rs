//! Fields of one connection, and those that `Connection` names, do not pass to the next (RFC 9110,
//! section 7.6.1).

use crate::suite::{Case, Good, case};

pub(super) const CASES: &[Case] = &[
    case(
        "fields of requests",
        "GET / HTTP/1.1\r\nHOSTConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\
         Proxy-Authorization: Basic Zm9v\r\nProxy-Foo: 1\r\nProxy: 1\r\nTE: trailers\r\nTrailer: X-Sum\r\nX-Kept: 1\r\n\r\n",
        Good,
    )
    .sees(&[
        "-x-mine",
        "-keep-alive",
        "-proxy-connection",
        "-proxy-authorization",
        "-proxy-foo",
        "-proxy",
        "-te",
        "-trailer",
        "x-kept: 1",
    ]),
    case("fields of answers", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered(
            "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Theirs\r\nConnection: x-other\r\nX-Theirs: 1\r\nX-Other: 1\r\n\
             Keep-Alive: timeout=5, max=7\r\nProxy-Connection: keep-alive\r\nProxy-Authenticate: Basic\r\n\
             Proxy-Authentication-Info: 1\r\nTrailer: X-Sum\r\nTE: trailers\r\nContent-Length: 2\r\nX-Kept: 1\r\n\r\nok",
        )
        .gets(&[
            "connection: keep-alive",
            "-x-theirs",
            "-x-other",
            "-keep-alive",
            "-proxy-connection",
            "-proxy-authenticate",
            "-proxy-authentication-info",
            "-trailer",
            "-te",
            "content-length: 2",
            "x-kept: 1",
        ]),
    case("framing cannot be named by Connection", "POST / HTTP/1.1\r\nHOSTConnection: Content-Length, Transfer-Encoding\r\nContent-Length: 2\r\n\r\nhi", Good)
        .sees(&[">hi"]),
    case("TE of the upstream has nothing but trailers", "GET / HTTP/1.1\r\nHOSTConnection: TE\r\nTE: gzip;q=0.5, trailers\r\n\r\n", Good).sees(&["-te"]),
];
