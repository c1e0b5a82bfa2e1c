//! `Max-Forwards` of OPTIONS counts down, and ends at the gateway when it is 0 (RFC 9110, section
//! 7.6.2).

use crate::suite::{Answered, Case, Good, Refused, case};

pub(super) const CASES: &[Case] = &[
    case("OPTIONS goes one further", "OPTIONS /x HTTP/1.1\r\nHOSTMax-Forwards: 7\r\n\r\n", Good)
        .sees(&["max-forwards: 6"]),
    case("last one", "OPTIONS /x HTTP/1.1\r\nHOSTMax-Forwards: 1\r\n\r\n", Good).sees(&["max-forwards: 0"]),
    case("0 is answered by the gateway", "OPTIONS /x HTTP/1.1\r\nHOSTMax-Forwards: 0\r\n\r\n", Answered(204))
        .gets(&["allow:"]),
    case("no number", "OPTIONS /x HTTP/1.1\r\nHOSTMax-Forwards: many\r\n\r\n", Refused(400)),
    case("larger than any number", "OPTIONS /x HTTP/1.1\r\nHOSTMax-Forwards: 99999999999999999999999\r\n\r\n", Good)
        .sees(&["max-forwards: 4294967294"]),
    case("other methods leave it alone", "GET /x HTTP/1.1\r\nHOSTMax-Forwards: 0\r\n\r\n", Good)
        .sees(&["max-forwards: 0"]),
];
