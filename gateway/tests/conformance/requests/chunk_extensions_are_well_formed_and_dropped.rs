//! Chunk extensions are `;name=value`, and are not passed on (RFC 9112, section 7.1.1).

use crate::suite::{Bad, Case, Good, case};

pub(super) const CASES: &[Case] = &[
    case("COMP-CHUNKED-EXTENSION", "POST / HTTP/1.1\r\nHOSTCHUNKED5;ext=value\r\nhello\r\n0\r\n\r\n", Good),
    case("SMUG-CHUNK-BARE-SEMICOLON", "POST / HTTP/1.1\r\nHOSTCHUNKED5;\r\nhello\r\n0\r\n\r\n", Bad),
    case("SMUG-CHUNK-EXT-INVALID-TOKEN", "POST / HTTP/1.1\r\nHOSTCHUNKED5;bad[=x\r\nhello\r\n0\r\n\r\n", Bad),
    case("SMUG-CHUNK-EXT-LF", "POST / HTTP/1.1\r\nHOSTCHUNKED5;\nhello\r\n0\r\n\r\n", Bad),
    case("SMUG-CHUNK-EXT-CTRL", "POST / HTTP/1.1\r\nHOSTCHUNKED5;\0ext\r\nhello\r\n0\r\n\r\n", Bad),
    case("SMUG-CHUNK-EXT-CR", "POST / HTTP/1.1\r\nHOSTCHUNKED5;a\rX\r\nhello\r\n0\r\n\r\n", Bad),
    case("GARDEN-CHUNK-EXT-ONLY", "POST / HTTP/1.1\r\nHOSTCHUNKED;a=b\r\n\r\n0\r\n\r\n", Bad),
    case("GARDEN-CHUNK-EXT-QUOTED", "POST / HTTP/1.1\r\nHOSTCHUNKED5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n", Good),
    case("GARDEN-CHUNK-EXT-UNCLOSED-QUOTE", "POST / HTTP/1.1\r\nHOSTCHUNKED5;a=\"b\r\nhello\r\n0\r\n\r\n", Bad),
    case("GARDEN-CHUNK-EXT-QUOTED-CRLF", "POST / HTTP/1.1\r\nHOSTCHUNKED5;a=\"\r\nhello\"\r\n0\r\n\r\n", Bad),
    case("GARDEN-CHUNK-EXT-SPACES", "POST / HTTP/1.1\r\nHOSTCHUNKED5 ; a = b\r\nhello\r\n0\r\n\r\n", Bad),
    case("extension does not pass", "POST / HTTP/1.1\r\nHOSTCHUNKED5;a=b\r\nhello\r\n0;c\r\n\r\n", Good)
        .sees(&[">hello"]),
];
