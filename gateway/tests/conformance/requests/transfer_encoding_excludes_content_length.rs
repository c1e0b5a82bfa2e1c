//! A request with both `Transfer-Encoding` and `Content-Length` is an attempt at smuggling (RFC
//! 9112, sections 6.1 and 6.3).

use crate::suite::{Bad, Case, case};

pub(super) const CASES: &[Case] = &[
    case("SMUG-CL-TE-BOTH", "POST / HTTP/1.1\r\nHOSTContent-Length: 20\r\nCHUNKEDD\r\nhello-bananas\r\n0\r\n\r\n", Bad),
    case("SMUG-CLTE-PIPELINE", "POST / HTTP/1.1\r\nHOSTContent-Length: 4\r\nCHUNKED0\r\n\r\n", Bad),
    case(
        "SMUG-TE-TRAILING-SPACE",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked \r\nContent-Length: 5\r\n\r\nhello",
        Bad,
    ),
    case(
        "SMUG-TE-LEADING-COMMA",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: , chunked\r\nContent-Length: 5\r\n\r\nhello",
        Bad,
    ),
    case(
        "SMUG-TE-TRAILING-COMMA",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked,\r\nContent-Length: 5\r\n\r\nhello",
        Bad,
    ),
    case("SMUG-TE-DUPLICATE-HEADERS", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: identity\r\nCHUNKED0\r\n\r\n", Bad),
    case(
        "SMUG-TE-IDENTITY",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello",
        Bad,
    ),
    case("NORM-CASE-TE", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nTRANSFER-ENCODING: chunked\r\n\r\nhello", Bad),
    case(
        "SMUG-TECL-PIPELINE",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked\r\nContent-Length: 30\r\n\r\n0\r\n\r\n",
        Bad,
    ),
    case(
        "SMUG-TE-CASE-MISMATCH",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: Chunked\r\nContent-Length: 5\r\n\r\nhello",
        Bad,
    ),
    case(
        "SMUG-TE-TAB-BEFORE-VALUE",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding:\tchunked\r\nContent-Length: 5\r\n\r\nhello",
        Bad,
    ),
    case("H1SPEC-TE-AND-CL", "GET / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", Bad),
    case("GARDEN-TE-AND-EMPTY-CL", "POST / HTTP/1.1\r\nHOSTContent-Length:\r\nCHUNKED0\r\n\r\n", Bad),
    case("SMUG-CLTE-CONN-CLOSE", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nCHUNKED0\r\n\r\n", Bad),
    case(
        "SMUG-TECL-CONN-CLOSE",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        Bad,
    ),
    case("SMUG-CLTE-DESYNC", "POST / HTTP/1.1\r\nHOSTContent-Length: 6\r\nCHUNKED0\r\n\r\nX", Bad),
    case(
        "SMUG-TECL-DESYNC",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked\r\nContent-Length: 30\r\n\r\n0\r\n\r\nX",
        Bad,
    ),
    case("SMUG-CLTE-SMUGGLED-GET", "POST / HTTP/1.1\r\nHOSTContent-Length: LENGTH\r\nCHUNKED0\r\n\r\nINNER", Bad),
    case(
        "SMUG-CLTE-SMUGGLED-GET-CL-PLUS",
        "POST / HTTP/1.1\r\nHOSTContent-Length: +LENGTH\r\nCHUNKED0\r\n\r\nINNER",
        Bad,
    ),
    case(
        "SMUG-CLTE-SMUGGLED-GET-CL-NON-NUMERIC",
        "POST / HTTP/1.1\r\nHOSTContent-Length: LENGTHx\r\nCHUNKED0\r\n\r\nINNER",
        Bad,
    ),
    case(
        "SMUG-CLTE-SMUGGLED-GET-TE-TRAILING-SPACE",
        "POST / HTTP/1.1\r\nHOSTContent-Length: LENGTH\r\nTransfer-Encoding: chunked \r\n\r\n0\r\n\r\nINNER",
        Bad,
    ),
    case(
        "SMUG-CLTE-SMUGGLED-GET-TE-LEADING-COMMA",
        "POST / HTTP/1.1\r\nHOSTContent-Length: LENGTH\r\nTransfer-Encoding: , chunked\r\n\r\n0\r\n\r\nINNER",
        Bad,
    ),
    case(
        "SMUG-CLTE-SMUGGLED-GET-TE-CASE-MISMATCH",
        "POST / HTTP/1.1\r\nHOSTContent-Length: LENGTH\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\nINNER",
        Bad,
    ),
    case(
        "SMUG-CLTE-SMUGGLED-HEAD",
        "POST / HTTP/1.1\r\nHOSTContent-Length: LENGTH\r\nCHUNKED0\r\n\r\nHEAD / HTTP/1.1\r\nHOST\r\n",
        Bad,
    ),
    case(
        "SMUG-TE-DUPLICATE-HEADERS-SMUGGLED-GET",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: LENGTH\r\n\r\n0\r\n\r\nINNER",
        Bad,
    ),
    case(
        "SMUG-TECL-SMUGGLED-GET",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n1d\r\nINNER\r\n0\r\n\r\n",
        Bad,
    ),
];
