//! A body belongs to its request whatever the method (RFC 9110, section 9.3.1; RFC 9112, section
//! 6).

use crate::suite::{Case, Good, case};

pub(super) const CASES: &[Case] = &[
    case("COMP-POST-CL-BODY", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\n\r\nhello", Good),
    case("COMP-GET-WITH-CL-BODY", "GET / HTTP/1.1\r\nHOSTContent-Length: 5\r\n\r\nhello", Good),
    case("SMUG-HEAD-CL-BODY", "HEAD / HTTP/1.1\r\nHOSTContent-Length: 5\r\n\r\nhello", Good),
    case("SMUG-OPTIONS-CL-BODY", "OPTIONS / HTTP/1.1\r\nHOSTContent-Length: 5\r\n\r\nhello", Good),
    case("SMUG-PIPELINE-SAFE", "GET / HTTP/1.1\r\nHOST\r\n", Good),
    case("SMUG-GET-CL-BODY-DESYNC", "GET / HTTP/1.1\r\nHOSTContent-Length: 5\r\n\r\nhello", Good),
    case(
        "SMUG-GET-CL-PREFIX-DESYNC",
        "GET / HTTP/1.1\r\nHOSTContent-Length: 26\r\n\r\nGET / HTTP/1.1\r\nHost: ab\r\n",
        Good,
    ),
    case("SMUG-OPTIONS-CL-BODY-DESYNC", "OPTIONS / HTTP/1.1\r\nHOSTContent-Length: 5\r\n\r\nhello", Good),
    case(
        "SMUG-EXPECT-100-CL-DESYNC",
        "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
        Good,
    ),
];
