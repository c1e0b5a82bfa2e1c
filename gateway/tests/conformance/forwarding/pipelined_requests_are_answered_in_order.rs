//! Requests that come before the answer are answered in their order (RFC 9112, section 9.3.2).

use crate::suite::{Case, Good, GoodAndOver, case};

pub(super) const CASES: &[Case] = &[
    case("body and next request in one piece", "POST /first HTTP/1.1\r\nHOSTContent-Length: 2\r\n\r\nhi", Good)
        .gets(&[">ok"]),
    case("byte behind a body begins the next method", "POST / HTTP/1.1\r\nHOSTContent-Length: 0\r\n\r\nX", Good),
    case("answer that ends with its connection is followed by another", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 200 OK\r\n\r\nfourCLOSE")
        .gets(&["transfer-encoding: chunked", ">four"]),
    case("nothing follows close", "GET / HTTP/1.1\r\nHOSTConnection: close\r\n\r\nINNER", GoodAndOver),
];
