//! An answer ends by its chunks, its length or its connection, and never in two ways (RFC 9112,
//! section 6.3).

use crate::suite::{BadGateway, Case, CutOff, Good, case};

pub(super) const CASES: &[Case] = &[
    case("chunks go before a length", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n")
        .gets(&["-content-length", ">four"]),
    case("length twice in a line", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway).answered("HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc"),
    case("length twice", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway).answered("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
    case("two lengths", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway).answered("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
    case("length with a sign", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway).answered("HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc"),
    case("length with zeros", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway).answered("HTTP/1.1 200 OK\r\nContent-Length: 003\r\n\r\nabc"),
    case("length below zero", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway).answered("HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc"),
    case("length without a value", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway).answered("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nabc"),
    case("coding besides chunked", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway).answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    case("chunked twice", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway).answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    case("chunked is not last", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway).answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nabcCLOSE"),
    case("chunks of HTTP/1.0", "GET / HTTP/1.1\r\nHOST\r\n", BadGateway)
        .answered("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    case("fewer bytes than the length", "GET / HTTP/1.1\r\nHOST\r\n", CutOff).answered("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfourCLOSE"),
    case("no last chunk", "GET / HTTP/1.1\r\nHOST\r\n", CutOff)
        .answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\nCLOSE"),
    case("size of a chunk that is none", "GET / HTTP/1.1\r\nHOST\r\n", CutOff)
        .answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\nxyz\r\nfour\r\n0\r\n\r\n"),
    case("more bytes than the length belong to nobody", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour and more")
        .gets(&[">four"]),
    case("second answer belongs to nobody", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfourHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        .gets(&[">four"]),
    case("second answer behind chunks belongs to nobody", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        .gets(&[">four"]),
    case("end of the connection ends the answer", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 200 OK\r\n\r\nfourCLOSE")
        .gets(&["-content-length", ">four"]),
    case("no answer", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway).answered("CLOSE"),
    case("header without an end", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway).answered("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nCLOSE"),
    case("no HTTP", "POST / HTTP/1.1\r\nHOST\r\n", BadGateway).answered("SSH-2.0-nothing for browsers\r\n\r\nCLOSE"),
    case("extensions and trailers of chunks do not pass", "GET / HTTP/1.1\r\nHOST\r\n", Good)
        .answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4;a=b\r\nfour\r\n0\r\nX-Sum: 1\r\n\r\n")
        .gets(&["-trailer", "-x-sum", ">four"]),
];
