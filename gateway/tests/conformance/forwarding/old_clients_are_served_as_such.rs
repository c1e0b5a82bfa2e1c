//! A client of HTTP/1.0 gets no interim answer, no chunks, and an end (RFC 9110, section 15.2; RFC
//! 9112, section 9.3).

use crate::suite::{Bad, BadGateway, Case, Good, GoodAndOver, case};

pub(super) const CASES: &[Case] = &[
    case("COMP-HTTP10-DEFAULT-CLOSE", "GET / HTTP/1.0\r\nHOST\r\n", GoodAndOver),
    case("COMP-HTTP10-NO-HOST", "GET / HTTP/1.0\r\n\r\n", GoodAndOver),
    case("COMP-NO-1XX-HTTP10", "POST / HTTP/1.0\r\nHOSTExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello", GoodAndOver),
    case("SMUG-TE-HTTP10", "POST / HTTP/1.0\r\nHOSTTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello", Bad),
    case("old client without Host: the upstream gets one", "GET / HTTP/1.0\r\n\r\n", GoodAndOver).sees(&["=GET / HTTP/1.1", "host:"]),
    case("chunks become a body that ends with the connection", "GET / HTTP/1.0\r\nHOST\r\n", GoodAndOver)
        .answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n")
        .gets(&["-transfer-encoding", "connection: close", ">four"]),
    case("the same for one that would stay", "GET / HTTP/1.0\r\nHOSTConnection: keep-alive\r\n\r\n", GoodAndOver)
        .answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n")
        .gets(&["-transfer-encoding", "connection: close", ">four"]),
    case("interim answers do not pass", "POST / HTTP/1.0\r\nHOSTExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi", GoodAndOver)
        .answered("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .sees(&["-expect"])
        .gets(&["+none", ">ok"]),
    case("coding that it cannot read", "GET / HTTP/1.0\r\nHOST\r\n", BadGateway)
        .answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n"),
    case("keep-alive is kept", "GET / HTTP/1.0\r\nHOSTConnection: keep-alive\r\n\r\n", Good).gets(&["connection: keep-alive"]),
    case("answer ends with the connection of an upstream of the same age", "GET / HTTP/1.0\r\nHOST\r\n", GoodAndOver)
        .answered("HTTP/1.0 200 OK\r\n\r\nfourCLOSE")
        .gets(&["=HTTP/1.1 200 OK", ">four"]),
];
