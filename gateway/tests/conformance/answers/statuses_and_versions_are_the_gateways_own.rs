//! An answer is passed on in the version of the gateway, with the status of the upstream (RFC 9112,
//! section 2.3; RFC 9110, section 15).

use crate::suite::{BadGateway, Case, Good, case};

pub(super) const CASES: &[Case] = &[
    case("version of the upstream", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nokCLOSE")
        .gets(&["=HTTP/1.1 200 OK", ">ok"]),
    case("reason of the upstream", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 404 Nothing Here\r\nContent-Length: 2\r\n\r\nok")
        .gets(&["=HTTP/1.1 404 Nothing Here"]),
    case("status that nobody knows", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 299 Fine\r\nContent-Length: 2\r\n\r\nok")
        .gets(&["=HTTP/1.1 299 Fine", ">ok"]),
    case("status that is no number", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway)
        .answered("HTTP/1.1 2xx Fine\r\nContent-Length: 2\r\n\r\nok"),
    case("status of two digits", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway)
        .answered("HTTP/1.1 99 Fine\r\nContent-Length: 2\r\n\r\nok"),
];
