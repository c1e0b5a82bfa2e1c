//! Cases of public probes of HTTP/1.1 servers whose verdict is beyond doubt: `Http11Probe` by its
//! names (`COMP-…`, `SMUG-…`, `MAL-…` and those that begin with the RFC), those of h1spec that it
//! does not have (`H1SPEC-…`), and kinds of HTTP Garden's payloads (`GARDEN-…`).
//!
//! A case that a server may accept or refuse, and the gateway refuses, stands here as refused: a
//! proxy must not leave the choice to the server behind it.

use crate::support::{Fixture, raw::Wire};

/// The required outcome of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// 400, and the connection ends.
    Bad,
    /// Another refusal with this status.
    Refused(u16),
    /// An answer of 2xx.
    Good,
    /// 2xx, and the connection ends by itself.
    GoodAndOver,
}

use Verdict::{Bad, Good, GoodAndOver, Refused};

/// Name, bytes and verdict. `HOST` stands for the line of the host, `CHUNKED` for the rest of a
/// header whose body comes in chunks.
const CASES: &[(&str, &str, Verdict)] = &[
    ("COMP-BASELINE", "GET / HTTP/1.1\r\nHOST\r\n", Good),
    ("RFC9112-2.2-BARE-LF-REQUEST-LINE", "GET / HTTP/1.1\nHOST\r\n", Bad),
    ("RFC9112-2.2-BARE-LF-HEADER", "GET / HTTP/1.1\r\nHost: a\nX-Test: value\r\n\r\n", Bad),
    ("RFC9112-5.1-OBS-FOLD", "GET / HTTP/1.1\r\nHOSTX-Test: value\r\n continued\r\n\r\n", Bad),
    ("RFC9110-5.6.2-SP-BEFORE-COLON", "GET / HTTP/1.1\r\nHOSTX-Test : value\r\n\r\n", Bad),
    ("RFC9112-3-MULTI-SP-REQUEST-LINE", "GET  / HTTP/1.1\r\nHOST\r\n", Bad),
    ("RFC9112-7.1-MISSING-HOST", "GET / HTTP/1.1\r\n\r\n", Bad),
    ("RFC9112-2.3-INVALID-VERSION", "GET / HTTP/9.9\r\nHOST\r\n", Refused(505)),
    ("RFC9112-5-EMPTY-HEADER-NAME", "GET / HTTP/1.1\r\nHOST: empty-name\r\n\r\n", Bad),
    ("RFC9112-3-CR-ONLY-LINE-ENDING", "GET / HTTP/1.1\rHOST\r\n", Bad),
    ("RFC9112-3-MISSING-TARGET", "GET HTTP/1.1\r\nHOST\r\n", Bad),
    ("RFC9112-3.2-FRAGMENT-IN-TARGET", "GET /path#frag HTTP/1.1\r\nHOST\r\n", Bad),
    ("RFC9112-2.3-HTTP09-REQUEST", "GET /\r\n", Bad),
    ("RFC9112-5-INVALID-HEADER-NAME", "GET / HTTP/1.1\r\nHOSTBad[Name: value\r\n\r\n", Bad),
    ("RFC9112-5-HEADER-NO-COLON", "GET / HTTP/1.1\r\nHOSTNoColonHere\r\n\r\n", Bad),
    ("RFC9110-5.4-DUPLICATE-HOST", "GET / HTTP/1.1\r\nHOSTHost: other.example.com\r\n\r\n", Bad),
    ("RFC9112-6.1-CL-NON-NUMERIC", "POST / HTTP/1.1\r\nHOSTContent-Length: abc\r\n\r\n", Bad),
    ("RFC9112-6.1-CL-PLUS-SIGN", "POST / HTTP/1.1\r\nHOSTContent-Length: +5\r\n\r\nhello", Bad),
    ("COMP-WHITESPACE-BEFORE-HEADERS", "GET / HTTP/1.1\r\n \r\nHOST\r\n", Bad),
    ("COMP-DUPLICATE-HOST-SAME", "GET / HTTP/1.1\r\nHOSTHOST\r\n", Bad),
    ("COMP-HOST-WITH-USERINFO", "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", Bad),
    ("COMP-HOST-WITH-PATH", "GET / HTTP/1.1\r\nHost: a/path\r\n\r\n", Bad),
    ("COMP-HOST-EMPTY-VALUE", "GET / HTTP/1.1\r\nHost: \r\n\r\n", Bad),
    ("COMP-ASTERISK-WITH-GET", "GET * HTTP/1.1\r\nHOST\r\n", Bad),
    ("COMP-OPTIONS-STAR", "OPTIONS * HTTP/1.1\r\nHOST\r\n", Good),
    ("COMP-UNKNOWN-TE-501", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: gzip\r\n\r\n", Bad),
    ("COMP-LEADING-CRLF", "\r\n\r\nGET / HTTP/1.1\r\nHOST\r\n", Good),
    ("COMP-ABSOLUTE-FORM", "GET http://a.test/ HTTP/1.1\r\nHOST\r\n", Good),
    ("COMP-POST-CL-BODY", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\n\r\nhello", Good),
    ("COMP-POST-CL-ZERO", "POST / HTTP/1.1\r\nHOSTContent-Length: 0\r\n\r\n", Good),
    ("COMP-POST-NO-CL-NO-TE", "POST / HTTP/1.1\r\nHOST\r\n", Good),
    ("COMP-POST-CL-UNDERSEND", "POST / HTTP/1.1\r\nHOSTContent-Length: 10\r\n\r\nhello", Bad),
    ("COMP-CHUNKED-BODY", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n0\r\n\r\n", Good),
    ("COMP-CHUNKED-MULTI", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", Good),
    ("COMP-CHUNKED-EMPTY", "POST / HTTP/1.1\r\nHOSTCHUNKED0\r\n\r\n", Good),
    ("COMP-CHUNKED-NO-FINAL", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n", Bad),
    ("COMP-CHUNKED-EXTENSION", "POST / HTTP/1.1\r\nHOSTCHUNKED5;ext=value\r\nhello\r\n0\r\n\r\n", Good),
    ("COMP-CHUNKED-TRAILER-VALID", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n0\r\nX-Checksum: abc\r\n\r\n", Good),
    ("COMP-CHUNKED-HEX-UPPERCASE", "POST / HTTP/1.1\r\nHOSTCHUNKEDA\r\nhelloworld\r\n0\r\n\r\n", Good),
    ("COMP-UPGRADE-POST", "POST / HTTP/1.1\r\nHOSTConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", Good),
    ("COMP-UPGRADE-MISSING-CONN", "GET / HTTP/1.1\r\nHOSTUpgrade: websocket\r\n\r\n", Good),
    ("COMP-UPGRADE-UNKNOWN", "GET / HTTP/1.1\r\nHOSTConnection: Upgrade\r\nUpgrade: totally-made-up/1.0\r\n\r\n", Good),
    ("COMP-UPGRADE-HTTP10", "GET / HTTP/1.0\r\nHOSTConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", GoodAndOver),
    ("COMP-METHOD-CONNECT", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", Refused(405)),
    ("COMP-METHOD-TRACE", "TRACE / HTTP/1.1\r\nHOST\r\n", Refused(405)),
    ("COMP-TRACE-WITH-BODY", "TRACE / HTTP/1.1\r\nHOSTContent-Length: 5\r\n\r\nhello", Refused(405)),
    ("COMP-EXPECT-UNKNOWN", "GET / HTTP/1.1\r\nHOSTExpect: 200-ok\r\n\r\n", Refused(417)),
    ("COMP-GET-WITH-CL-BODY", "GET / HTTP/1.1\r\nHOSTContent-Length: 5\r\n\r\nhello", Good),
    ("COMP-REQUEST-LINE-TAB", "GET\t/ HTTP/1.1\r\nHOST\r\n", Bad),
    ("COMP-VERSION-MISSING-MINOR", "GET / HTTP/1\r\nHOST\r\n", Bad),
    ("COMP-VERSION-LEADING-ZEROS", "GET / HTTP/01.01\r\nHOST\r\n", Bad),
    ("COMP-VERSION-WHITESPACE", "GET / HTTP/ 1.1\r\nHOST\r\n", Bad),
    ("COMP-VERSION-CASE", "GET / http/1.1\r\nHOST\r\n", Bad),
    ("COMP-HTTP12-VERSION", "GET / HTTP/1.2\r\nHOST\r\n", Refused(505)),
    ("COMP-CONNECTION-CLOSE", "GET / HTTP/1.1\r\nHOSTConnection: close\r\n\r\n", GoodAndOver),
    ("COMP-HTTP10-DEFAULT-CLOSE", "GET / HTTP/1.0\r\nHOST\r\n", GoodAndOver),
    ("COMP-HTTP10-NO-HOST", "GET / HTTP/1.0\r\n\r\n", GoodAndOver),
    (
        "COMP-NO-1XX-HTTP10",
        "POST / HTTP/1.0\r\nHOSTExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
        GoodAndOver,
    ),
    ("COMP-SPACE-IN-TARGET", "GET /pa th HTTP/1.1\r\nHOST\r\n", Bad),
    ("COMP-RANGE-POST", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nRange: bytes=0-10\r\n\r\nhello", Good),
    ("SMUG-CL-TE-BOTH", "POST / HTTP/1.1\r\nHOSTContent-Length: 20\r\nCHUNKEDD\r\nhello-bananas\r\n0\r\n\r\n", Bad),
    ("SMUG-CLTE-PIPELINE", "POST / HTTP/1.1\r\nHOSTContent-Length: 4\r\nCHUNKED0\r\n\r\n", Bad),
    ("SMUG-DUPLICATE-CL", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nContent-Length: 10\r\n\r\nhelloworld", Bad),
    ("SMUG-CL-LEADING-ZEROS", "POST / HTTP/1.1\r\nHOSTContent-Length: 005\r\n\r\nhello", Bad),
    ("SMUG-CL-DOUBLE-ZERO", "POST / HTTP/1.1\r\nHOSTContent-Length: 00\r\n\r\n", Bad),
    ("SMUG-CL-NEGATIVE", "POST / HTTP/1.1\r\nHOSTContent-Length: -1\r\n\r\n", Bad),
    ("SMUG-CL-NEGATIVE-ZERO", "POST / HTTP/1.1\r\nHOSTContent-Length: -0\r\n\r\n", Bad),
    ("SMUG-CL-OCTAL", "POST / HTTP/1.1\r\nHOSTContent-Length: 0o5\r\n\r\nhello", Bad),
    ("SMUG-CL-HEX-PREFIX", "POST / HTTP/1.1\r\nHOSTContent-Length: 0x5\r\n\r\nhello", Bad),
    ("SMUG-CL-UNDERSCORE", "POST / HTTP/1.1\r\nHOSTContent-Length: 1_0\r\n\r\nhelloworld", Bad),
    ("SMUG-CL-INTERNAL-SPACE", "POST / HTTP/1.1\r\nHOSTContent-Length: 1 0\r\n\r\nhello12345", Bad),
    ("SMUG-CL-COMMA-DIFFERENT", "POST / HTTP/1.1\r\nHOSTContent-Length: 5, 10\r\n\r\nhello", Bad),
    ("SMUG-CL-COMMA-SAME", "POST / HTTP/1.1\r\nHOSTContent-Length: 5, 5\r\n\r\nhello", Bad),
    ("SMUG-CL-COMMA-TRIPLE", "POST / HTTP/1.1\r\nHOSTContent-Length: 5, 5, 5\r\n\r\nhello", Bad),
    ("SMUG-CL-TRAILING-SPACE", "POST / HTTP/1.1\r\nHOSTContent-Length: 5 \r\n\r\nhello", Good),
    ("SMUG-CL-EXTRA-LEADING-SP", "POST / HTTP/1.1\r\nHOSTContent-Length:  5\r\n\r\nhello", Good),
    ("SMUG-TE-XCHUNKED", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\nhello", Bad),
    (
        "SMUG-TE-TRAILING-SPACE",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked \r\nContent-Length: 5\r\n\r\nhello",
        Bad,
    ),
    (
        "SMUG-TE-SP-BEFORE-COLON",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding : chunked\r\nContent-Length: 5\r\n\r\nhello",
        Bad,
    ),
    ("SMUG-TE-DOUBLE-CHUNKED", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", Bad),
    ("SMUG-TE-NOT-FINAL-CHUNKED", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", Bad),
    ("SMUG-TE-HTTP10", "POST / HTTP/1.0\r\nHOSTTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello", Bad),
    ("SMUG-TE-EMPTY-VALUE", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: \r\nContent-Length: 5\r\n\r\nhello", Bad),
    (
        "SMUG-TE-LEADING-COMMA",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: , chunked\r\nContent-Length: 5\r\n\r\nhello",
        Bad,
    ),
    (
        "SMUG-TE-TRAILING-COMMA",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked,\r\nContent-Length: 5\r\n\r\nhello",
        Bad,
    ),
    ("SMUG-TE-DUPLICATE-HEADERS", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: identity\r\nCHUNKED0\r\n\r\n", Bad),
    ("SMUG-TE-IDENTITY", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello", Bad),
    ("SMUG-TE-VTAB", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", Bad),
    ("SMUG-TE-FORMFEED", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: \x0cchunked\r\n\r\n0\r\n\r\n", Bad),
    ("SMUG-TE-NULL", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n", Bad),
    (
        "SMUG-TE-OBS-FOLD",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\nhello",
        Bad,
    ),
    ("SMUG-CHUNKED-WITH-PARAMS", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked;ext=val\r\n\r\n0\r\n\r\n", Bad),
    ("SMUG-BARE-CR-HEADER-VALUE", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nX-Test: val\rue\r\n\r\nhello", Bad),
    ("SMUG-CHUNK-BARE-SEMICOLON", "POST / HTTP/1.1\r\nHOSTCHUNKED5;\r\nhello\r\n0\r\n\r\n", Bad),
    ("SMUG-CHUNK-EXT-INVALID-TOKEN", "POST / HTTP/1.1\r\nHOSTCHUNKED5;bad[=x\r\nhello\r\n0\r\n\r\n", Bad),
    ("SMUG-CHUNK-UNDERSCORE", "POST / HTTP/1.1\r\nHOSTCHUNKED1_0\r\nhello world!!!!!\r\n0\r\n\r\n", Bad),
    ("SMUG-CHUNK-HEX-PREFIX", "POST / HTTP/1.1\r\nHOSTCHUNKED0x5\r\nhello\r\n0\r\n\r\n", Bad),
    ("SMUG-CHUNK-SIZE-PLUS", "POST / HTTP/1.1\r\nHOSTCHUNKED+5\r\nhello\r\n0\r\n\r\n", Bad),
    ("SMUG-CHUNK-SIZE-TRAILING-OWS", "POST / HTTP/1.1\r\nHOSTCHUNKED5 \r\nhello\r\n0\r\n\r\n", Bad),
    ("SMUG-CHUNK-LEADING-SP", "POST / HTTP/1.1\r\nHOSTCHUNKED 5\r\nhello\r\n0\r\n\r\n", Bad),
    ("SMUG-CHUNK-NEGATIVE", "POST / HTTP/1.1\r\nHOSTCHUNKED-1\r\nhello\r\n0\r\n\r\n", Bad),
    ("SMUG-CHUNK-MISSING-TRAILING-CRLF", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello0\r\n\r\n", Bad),
    ("SMUG-CHUNK-SPILL", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello!!\r\n0\r\n\r\n", Bad),
    ("SMUG-CHUNK-EXT-LF", "POST / HTTP/1.1\r\nHOSTCHUNKED5;\nhello\r\n0\r\n\r\n", Bad),
    ("SMUG-CHUNK-LF-TERM", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\n0\r\n\r\n", Bad),
    ("SMUG-CHUNK-LF-TRAILER", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n0\r\n\n", Bad),
    ("SMUG-CHUNK-EXT-CTRL", "POST / HTTP/1.1\r\nHOSTCHUNKED5;\0ext\r\nhello\r\n0\r\n\r\n", Bad),
    ("SMUG-CHUNK-EXT-CR", "POST / HTTP/1.1\r\nHOSTCHUNKED5;a\rX\r\nhello\r\n0\r\n\r\n", Bad),
    ("SMUG-CHUNK-BARE-CR-TERM", "POST / HTTP/1.1\r\nHOSTCHUNKED5\rhello\r\n0\r\n\r\n", Bad),
    ("SMUG-CHUNK-INVALID-SIZE-DESYNC", "POST / HTTP/1.1\r\nHOSTCHUNKED+0\r\n\r\nX", Bad),
    ("SMUG-TRAILER-CL", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n", Bad),
    ("SMUG-TRAILER-TE", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n0\r\nCHUNKED", Bad),
    ("SMUG-TRAILER-HOST", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n0\r\nHost: evil.example.com\r\n\r\n", Bad),
    ("SMUG-TRAILER-AUTH", "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n0\r\nAuthorization: Bearer evil\r\n\r\n", Bad),
    ("SMUG-MULTIPLE-HOST-COMMA", "GET / HTTP/1.1\r\nHost: a, other.example.com\r\n\r\n", Bad),
    ("SMUG-OPTIONS-TE-OBS-FOLD", "OPTIONS / HTTP/1.1\r\nHOSTTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", Bad),
    ("MAL-NUL-IN-URL", "GET /\0test HTTP/1.1\r\nHOST\r\n", Bad),
    ("MAL-CONTROL-CHARS-HEADER", "GET / HTTP/1.1\r\nHOSTX-Test: abc\x07\x08\x0bdef\r\n\r\n", Bad),
    ("MAL-NUL-IN-HEADER-VALUE", "GET / HTTP/1.1\r\nHOSTX-Test: val\0ue\r\n\r\n", Bad),
    ("MAL-INCOMPLETE-REQUEST", "GET / HTTP/1.1\r\nHOSTX-Test: value", Bad),
    ("MAL-NON-ASCII-HEADER-NAME", "GET / HTTP/1.1\r\nHOSTX-T\u{eb}st: value\r\n\r\n", Bad),
    ("MAL-NON-ASCII-URL", "GET /caf\u{e9} HTTP/1.1\r\nHOST\r\n", Bad),
    ("MAL-CL-OVERFLOW", "POST / HTTP/1.1\r\nHOSTContent-Length: 99999999999999999999\r\n\r\n", Bad),
    ("MAL-CL-EMPTY", "POST / HTTP/1.1\r\nHOSTContent-Length: \r\n\r\n", Bad),
    ("MAL-CL-TAB-BEFORE-VALUE", "POST / HTTP/1.1\r\nHOSTContent-Length:\t5\r\n\r\nhello", Good),
    ("MAL-WHITESPACE-ONLY-LINE", "   \r\n\r\n", Bad),
    ("MAL-CHUNK-SIZE-OVERFLOW", "POST / HTTP/1.1\r\nHOSTCHUNKEDFFFFFFFFFFFFFFFF0\r\nhello\r\n0\r\n\r\n", Bad),
    ("MAL-H2-PREFACE", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Refused(505)),
    ("MAL-URL-BACKSLASH", "GET /path\\file HTTP/1.1\r\nHOST\r\n", Bad),
    ("MAL-URL-PERCENT-NULL", "GET /path%00.html HTTP/1.1\r\nHOST\r\n", Bad),
    ("MAL-URL-PERCENT-CRLF", "GET /path%0d%0aX-Injected:%20true HTTP/1.1\r\nHOST\r\n", Bad),
    ("NORM-UNDERSCORE-CL", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nContent_Length: 99\r\n\r\nhello", Good),
    ("NORM-SP-BEFORE-COLON-CL", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nContent-Length : 9\r\n\r\nhello", Bad),
    ("NORM-TAB-IN-NAME", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nContent\tLength: 99\r\n\r\nhello", Bad),
    ("NORM-CASE-TE", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nTRANSFER-ENCODING: chunked\r\n\r\nhello", Bad),
    ("NORM-UNDERSCORE-TE", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nTransfer_Encoding: chunked\r\n\r\nhello", Good),
    (
        "SMUG-TECL-PIPELINE",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked\r\nContent-Length: 30\r\n\r\n0\r\n\r\n",
        Bad,
    ),
    (
        "SMUG-TE-CASE-MISMATCH",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: Chunked\r\nContent-Length: 5\r\n\r\nhello",
        Bad,
    ),
    (
        "SMUG-TE-TAB-BEFORE-VALUE",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding:\tchunked\r\nContent-Length: 5\r\n\r\nhello",
        Bad,
    ),
    ("SMUG-HEAD-CL-BODY", "HEAD / HTTP/1.1\r\nHOSTContent-Length: 5\r\n\r\nhello", Good),
    ("SMUG-OPTIONS-CL-BODY", "OPTIONS / HTTP/1.1\r\nHOSTContent-Length: 5\r\n\r\nhello", Good),
    ("SMUG-ABSOLUTE-URI-HOST-MISMATCH", "GET http://other.example.com/ HTTP/1.1\r\nHOST\r\n", Good),
    (
        "SMUG-TRAILER-CONTENT-TYPE",
        "POST / HTTP/1.1\r\nHOSTCHUNKED5\r\nhello\r\n0\r\nContent-Type: text/evil\r\n\r\n",
        Bad,
    ),
    ("COMP-METHOD-CASE", "get / HTTP/1.1\r\nHOST\r\n", Good),
    ("COMP-UNKNOWN-METHOD", "FOOBAR / HTTP/1.1\r\nHOST\r\n", Good),
    ("COMP-HEAD-NO-BODY", "HEAD / HTTP/1.1\r\nHOST\r\n", Good),
    (
        "COMP-UPGRADE-INVALID-VER",
        "GET / HTTP/1.1\r\nHOSTConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 99\r\n\r\n",
        Refused(403),
    ),
    ("COMP-TRACE-SENSITIVE", "TRACE / HTTP/1.1\r\nHOSTAuthorization: Bearer secret-token-123\r\n\r\n", Refused(405)),
    ("COMP-RANGE-INVALID", "GET / HTTP/1.1\r\nHOSTRange: bytes=abc-xyz\r\n\r\n", Good),
    ("COMP-ACCEPT-NONSENSE", "GET / HTTP/1.1\r\nHOSTAccept: application/x-nonsense\r\n\r\n", Good),
    ("COOK-NUL", "GET / HTTP/1.1\r\nHOSTCookie: foo=\0bar\r\n\r\n", Bad),
    ("COOK-CONTROL-CHARS", "GET / HTTP/1.1\r\nHOSTCookie: foo=\x01\x02\x03\r\n\r\n", Bad),
    ("COOK-MALFORMED", "GET / HTTP/1.1\r\nHOSTCookie: ===;;;\r\n\r\n", Good),
    ("COOK-MULTI-HEADER", "GET / HTTP/1.1\r\nHOSTCookie: a=1\r\nCookie: b=2\r\n\r\n", Good),
    ("H1SPEC-WITHOUT-VERSION", "GET / \r\n\r\n", Bad),
    ("H1SPEC-INVALID-PREFIX", "Extra lineGET / HTTP/1.1\r\nHOST\r\n", Bad),
    ("H1SPEC-INVALID-LINE-ENDING", "GET / HTTP/1.1\r\nHOST\rSome-Header: Test\r\n\r\n", Bad),
    ("H1SPEC-NEGATIVE-OVERFLOW", "GET / HTTP/1.1\r\nHOSTContent-Length: -123456789123456789123456789\r\n\r\n", Bad),
    ("H1SPEC-TE-AND-CL", "GET / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", Bad),
    ("H1SPEC-EDGE-CASES", "GET / HTTP/1.1\r\nhoSt:\ta\r\nempty:\r\n\r\n", Good),
    ("H1SPEC-EMPTY-VALUE", "GET / HTTP/1.1\r\nHOSTX-Empty-Header: \r\n\r\n", Good),
    ("GARDEN-OBS-FOLD-FIRST-HEADER", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", Bad),
    ("GARDEN-OBS-FOLD-TAB", "GET / HTTP/1.1\r\nHOSTX-Test: a\r\n\tb\r\n\r\n", Bad),
    ("GARDEN-BARE-LF-END", "GET / HTTP/1.1\r\nHOST\n", Bad),
    ("GARDEN-TAB-BEFORE-COLON", "POST / HTTP/1.1\r\nHOSTContent-Length\t: 5\r\n\r\nhello", Bad),
    ("GARDEN-NUL-IN-NAME", "POST / HTTP/1.1\r\nHOSTContent-Length\0: 5\r\n\r\nhello", Bad),
    ("GARDEN-NBSP-AROUND-VALUE", "POST / HTTP/1.1\r\nHOSTContent-Length: \u{a0}5\r\n\r\nhello", Bad),
    ("GARDEN-CL-COMMA-EMPTY", "POST / HTTP/1.1\r\nHOSTContent-Length: ,5\r\n\r\nhello", Bad),
    ("GARDEN-CL-DECIMAL", "POST / HTTP/1.1\r\nHOSTContent-Length: 5.0\r\n\r\nhello", Bad),
    ("GARDEN-TE-QUOTED", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", Bad),
    ("GARDEN-TE-AND-EMPTY-CL", "POST / HTTP/1.1\r\nHOSTContent-Length:\r\nCHUNKED0\r\n\r\n", Bad),
    ("GARDEN-CHUNK-EMPTY-SIZE", "POST / HTTP/1.1\r\nHOSTCHUNKED\r\n\r\n0\r\n\r\n", Bad),
    ("GARDEN-CHUNK-EXT-ONLY", "POST / HTTP/1.1\r\nHOSTCHUNKED;a=b\r\n\r\n0\r\n\r\n", Bad),
    ("GARDEN-CHUNK-EXT-QUOTED", "POST / HTTP/1.1\r\nHOSTCHUNKED5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n", Good),
    ("GARDEN-CHUNK-EXT-UNCLOSED-QUOTE", "POST / HTTP/1.1\r\nHOSTCHUNKED5;a=\"b\r\nhello\r\n0\r\n\r\n", Bad),
    ("GARDEN-CHUNK-EXT-QUOTED-CRLF", "POST / HTTP/1.1\r\nHOSTCHUNKED5;a=\"\r\nhello\"\r\n0\r\n\r\n", Bad),
    ("GARDEN-CHUNK-EXT-SPACES", "POST / HTTP/1.1\r\nHOSTCHUNKED5 ; a = b\r\nhello\r\n0\r\n\r\n", Bad),
    ("GARDEN-CHUNK-LF-AFTER-SIZE", "POST / HTTP/1.1\r\nHOSTCHUNKED5\nhello\r\n0\r\n\r\n", Bad),
    ("GARDEN-CHUNK-LEADING-ZEROS", "POST / HTTP/1.1\r\nHOSTCHUNKED0005\r\nhello\r\n000\r\n\r\n", Good),
    ("GARDEN-TRAILER-OBS-FOLD", "POST / HTTP/1.1\r\nHOSTCHUNKED0\r\nX-A: b\r\n c\r\n\r\n", Bad),
    ("GARDEN-TRAILER-NO-COLON", "POST / HTTP/1.1\r\nHOSTCHUNKED0\r\nnothing\r\n\r\n", Bad),
    ("GARDEN-VERSION-MISSING", "GET /\r\nHOST\r\n", Bad),
    ("GARDEN-VERSION-UNKNOWN-NAME", "GET / HTTPS/1.1\r\nHOST\r\n", Bad),
    ("GARDEN-TARGET-NO-SLASH", "GET index.html HTTP/1.1\r\nHOST\r\n", Bad),
    ("GARDEN-METHOD-WITH-BRACES", "G{T / HTTP/1.1\r\nHOST\r\n", Bad),
    ("GARDEN-TRAILING-SPACE-IN-REQUEST-LINE", "GET / HTTP/1.1 \r\nHOST\r\n", Bad),
];

pub(crate) fn bytes(case: &str) -> String {
    case.replace("HOST", "Host: a\r\n").replace("CHUNKED", "Transfer-Encoding: chunked\r\n\r\n")
}

/// Sends a case; what comes back before the gateway closes.
async fn answer(fixture: &Fixture, address: std::net::SocketAddr, case: &str, verdict: Verdict) -> String {
    let mut wire = Wire::connect(address).await;
    let before = fixture.upstream.requests();
    wire.send_as_far_as_taken(bytes(case)).await;
    match verdict {
        // These end by themselves, though the client would go on.
        GoodAndOver => {}
        // Nothing of the connection is left over for another request.
        Good => wire.send("GET /behind HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await,
        Bad | Refused(_) => wire.end_sending().await,
    }
    let answer = wire.read_to_end().await;
    if verdict == Good && !case.contains('*') {
        assert_eq!(fixture.upstream.requests(), before + 2, "{case:?}: {answer}");
    }
    answer
}

/// Number of answers that begin in the text.
pub(crate) fn answers_in(text: &str) -> usize {
    let begins = text.match_indices("HTTP/1.1 ").filter_map(|(index, begin)| text.get(index + begin.len()..));
    begins.filter(|rest| rest.bytes().take(4).eq(rest.bytes().take(3).filter(u8::is_ascii_digit).chain([b' ']))).count()
}

/// Without keys, so that the bytes are those of the probes.
pub(crate) const CONFIG: &str = "upstreams:\n  demo: { servers: ['DEMO'] }\n\
                      routes:\n  - { name: all, path_prefix: /, upstream: demo, public: true }\n";

/// The fragmented requests of h1spec.
#[tokio::test(flavor = "multi_thread")]
async fn request_that_comes_in_two_pieces_is_answered_once_it_is_whole() {
    const WHOLE: &str = "GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let fixture = Fixture::new().await;
    let gateway = fixture.gateway_with(CONFIG).await;
    for cut in 1..WHOLE.len() {
        let mut wire = Wire::connect(gateway.address).await;
        let (begin, end) = WHOLE.split_at(cut);
        wire.send(begin).await;
        tokio::task::yield_now().await;
        wire.send(end).await;
        let answer = wire.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 200") && answers_in(&answer) == 1, "{begin:?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_of_public_probes_have_their_verdicts() {
    let fixture = Fixture::new().await;
    let gateway = fixture.gateway_with(CONFIG).await;
    let mut failed = Vec::new();
    for (name, case, verdict) in CASES {
        let answer = answer(&fixture, gateway.address, case, *verdict).await;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
        let answers = answers_in(&answer);
        let is_problem = answer.contains("application/problem+json");
        let is_right = match verdict {
            Bad => status == Some(400) && answers == 1 && is_problem,
            Refused(wanted) => status == Some(*wanted) && answers == 1 && is_problem,
            Good => status.is_some_and(|status| (200..300).contains(&status)) && answers == 2,
            GoodAndOver => status.is_some_and(|status| (200..300).contains(&status)) && answers == 1,
        };
        if !is_right {
            failed.push(format!("{name}: {verdict:?}, got {answer:?}"));
        }
    }
    assert!(failed.is_empty(), "{} of {} fail:\n{}", failed.len(), CASES.len(), failed.join("\n"));
    let mut names: Vec<&str> = CASES.iter().map(|(name, ..)| *name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), CASES.len(), "a name stands twice");
}
