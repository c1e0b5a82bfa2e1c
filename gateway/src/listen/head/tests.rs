//! Headers of requests: raw bytes in, what becomes of them out.

use super::*;
use crate::config::SizeLimits;

const SIZES: SizeLimits =
    SizeLimits { header_bytes: 4_000, header_value_bytes: 1_000, path_bytes: 500, body_bytes: None };

/// The header, or the code and detail of the refusal, with the bytes in pieces of this size; none
/// if it is incomplete.
fn read(bytes: &[u8], piece: usize) -> Result<Option<Head>, (&'static str, String)> {
    let mut reader = HeadReader::default();
    let mut end = 0;
    while end < bytes.len() {
        end = (end + piece).min(bytes.len());
        match reader.read(&bytes[..end], &SIZES) {
            Ok(None) => {}
            Ok(Some(head)) => return Ok(Some(head)),
            Err(problem) => return Err((problem.code().as_str(), problem.detail().to_owned())),
        }
    }
    Ok(None)
}

fn assert_refused(bytes: &[u8], code: &str) {
    for piece in [1, 7, 100_000] {
        let told = read(bytes, piece);
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]);
        assert_eq!(told.as_ref().err().map(|(code, _)| *code), Some(code), "{shown:?} in pieces of {piece}: {told:?}");
    }
}

fn with_line(line: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n")
}

#[test]
fn good_header_is_read_whatever_the_pieces() {
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(499));
    let cases = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Length(0)),
        ("GET /a?b=c&d[]={e|f}^`\\ HTTP/1.1\r\nHost: a.b:8080\r\n\r\n", Framing::Length(0)),
        (
            "GET /%20/~x;y=1,2@3:4!$&'()*+ HTTP/1.1\r\nHOST: [::1]:80\r\nX-A:\r\nX-B: \tc d\t\r\n\r\n",
            Framing::Length(0),
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:5 \r\n\r\nhello", Framing::Length(5)),
        ("POST / HTTP/1.1\r\nHost: a\r\ntransfer-ENCODING: Chunked\r\n\r\n0\r\n\r\n", Framing::Chunked),
        ("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 0\r\n\r\n", Framing::Length(0)),
        ("FOOBAR / HTTP/1.1\r\nHost: a\r\nX-Latin: r\u{e9}sum\u{e9}\r\n\r\n", Framing::Length(0)),
        ("GET / HTTP/1.0\r\n\r\n", Framing::Length(0)),
        ("GET / HTTP/1.0\r\nExpect: x\r\n\r\n", Framing::Length(0)),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Length(0)),
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Length(0)),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Length(0)),
        ("GET http://a.b:1/c?d HTTP/1.1\r\nHost: a\r\n\r\n", Framing::Length(0)),
        ("GET HTTPS://[::1] HTTP/1.0\r\n\r\n", Framing::Length(0)),
        (&long_path, Framing::Length(0)),
    ];
    for (text, framing) in cases {
        for piece in [1, 3, 100_000] {
            let head = read(text.as_bytes(), piece).unwrap().unwrap();
            let end = text.trim_start_matches("\r\n").find("\r\n\r\n").unwrap() + 4;
            let skipped = text.len() - text.trim_start_matches("\r\n").len();
            assert_eq!((head.skipped, head.length, head.framing), (skipped, end, framing), "{text:?}");
        }
        let cut = text.find("\r\n\r\n").map_or(0, |end| end.max(2) - 1);
        assert_eq!(read(&text.as_bytes()[..cut], 1), Ok(None), "{text:?}");
    }
}

#[test]
fn malformed_request_line_is_refused() {
    let lines = [
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        " GET / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / x HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET",
        "GET /",
        "GET HTTP/1.1",
        "/ HTTP/1.1",
        "GET v1/items HTTP/1.1",
        "GET ?a=b HTTP/1.1",
        "GET a HTTP/1.1",
        "GET a.b:80 HTTP/1.1",
        "GET * HTTP/1.1",
        "GET *a HTTP/1.1",
        "OPTIONS ** HTTP/1.1",
        "GET ftp://a/ HTTP/1.1",
        "GET http:/a HTTP/1.1",
        "GET http:// HTTP/1.1",
        "GET http:///a HTTP/1.1",
        "GET http://u@a/ HTTP/1.1",
        "GET http://a:b/ HTTP/1.1",
        "GET http://a, b/ HTTP/1.1",
        "GET http://a\\b/ HTTP/1.1",
        "GET http://a#b HTTP/1.1",
        "GET /#a HTTP/1.1",
        "GET /a?b#c HTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET /\x01 HTTP/1.1",
        "GET /\x7f HTTP/1.1",
        "GET /\u{e9} HTTP/1.1",
        "GET /?\u{e9} HTTP/1.1",
        "GET /a\\b HTTP/1.1",
        "GET /\"a\" HTTP/1.1",
        "GET /<a> HTTP/1.1",
        "GET /?<a> HTTP/1.1",
        "GET /a\rb HTTP/1.1",
        "GET / HTTP/1.1\r",
        "G@T / HTTP/1.1",
        "G[T / HTTP/1.1",
        "GET\0 / HTTP/1.1",
        "GET / http/1.1",
        "GET / HTTP/1",
        "GET / HTTP/1.",
        "GET / HTTP/01.1",
        "GET / HTTP/1.10",
        "GET / HTTP /1.1",
        "GET / HTTP/ 1.1",
        "GET / HTP/1.1",
        "GET / HTTP/0.9",
        "GET / HTTP/a.b",
        "GET / HTTPS/1.1",
        "GET / HTTP/1,1",
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}",
    ];
    for line in lines {
        assert_refused(format!("{line}\r\nHost: a\r\n\r\n").as_bytes(), "invalid_request");
    }
    for line in ["GET / HTTP/1.2", "GET / HTTP/2.0", "GET / HTTP/9.9", "PRI * HTTP/2.0"] {
        assert_refused(format!("{line}\r\nHost: a\r\n\r\n").as_bytes(), "version_not_supported");
    }
    for line in ["CONNECT a.b:443 HTTP/1.1", "CONNECT / HTTP/1.1", "TRACE / HTTP/1.1"] {
        assert_refused(format!("{line}\r\nHost: a\r\n\r\n").as_bytes(), "method_not_allowed");
    }
    assert_refused(b"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "invalid_request");
}

#[test]
fn malformed_line_end_is_refused() {
    for text in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\rHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        "GET / HTTP/1.1\n\n",
        "GET /\n",
    ] {
        assert_refused(text.as_bytes(), "invalid_request");
    }
}

#[test]
fn malformed_field_is_refused() {
    let lines = [
        "X-A",
        "X-A : b",
        "X-A\t: b",
        " X-A: b",
        ": b",
        "X A: b",
        "X[A: b",
        "X\u{e9}: b",
        "X\0: b",
        "X-A: b\0",
        "X-A: b\x07",
        "X-A: b\x7f",
        "X-A: b\rc",
        "X-A: b\r\n c",
        "X-A: b\r\n\tc",
        "X-A:\r\n b",
        "Host: b",
        "Host : a",
        "Content-Length: abc",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: -0",
        "Content-Length:",
        "Content-Length: 5, 5",
        "Content-Length: 3, 3",
        "Content-Length: 5,10",
        "Content-Length: 0x5",
        "Content-Length: 1 0",
        "Content-Length: 1_0",
        "Content-Length: 005",
        "Content-Length: 00",
        "Content-Length: 5;a",
        "Content-Length: \"5\"",
        "Content-Length: 5.0",
        "Content-Length: 99999999999999999999",
        "Content-Length: 9223372036854775808",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 10",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 0",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding:",
        "Transfer-Encoding: , chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked;a=b",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: chunked\0",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    ];
    for line in lines {
        assert_refused(with_line(line).as_bytes(), "invalid_request");
    }
    for line in ["Expect: 200-ok", "Expect:", "Expect: 100-continue, x", "Expect: x\r\nExpect: 100-continue"] {
        assert_refused(with_line(line).as_bytes(), "expectation_failed");
    }
}

#[test]
fn missing_or_malformed_host_is_refused() {
    let long = "a".repeat(400);
    let hosts = [
        "", " ", "a, b", "a,b", "a b", "a/b", "a\\b", "u@a", "u:p@a", "a:", "a:b", "a:80:80", "a:99999", "a:-1", ":80",
        "[::1", "::1", "[a]", "[::1]a", "[::1]:", "http://a", "a?b", "a#b", "a%20b", "a\"", "*", "\u{e9}", &long,
    ];
    for host in hosts {
        assert_refused(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(), "invalid_request");
        assert_refused(format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes(), "invalid_request");
    }
    assert_refused(b"GET / HTTP/1.1\r\n\r\n", "invalid_request");
    assert_refused(b"GET http://a/ HTTP/1.1\r\n\r\n", "invalid_request");
    assert_refused(b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "invalid_request");
    assert_refused(b"GET / HTTP/1.1\r\nhost: a\r\nX: y\r\nHOST: b\r\n\r\n", "invalid_request");
    for host in ["a", "a.b", "A-b_c.d~", "127.0.0.1:65535", "[2001:db8::1]", "[::1]:80", "a.b."] {
        assert!(read(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(), 1).unwrap().is_some(), "{host}");
    }
}

#[test]
fn too_long_header_is_refused_before_it_is_complete() {
    let refused = |bytes: &str, code| {
        assert_refused(bytes.as_bytes(), code);
        assert_refused(format!("{bytes} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes(), code);
    };
    refused(&"M".repeat(33), "invalid_request");
    refused(&format!("GET /{}", "x".repeat(600)), "path_too_long");
    let head = "GET / HTTP/1.1\r\nHost: a\r\n";
    refused(&format!("{head}X-A: {}", "x".repeat(1_100)), "headers_too_large");
    refused(&format!("{head}{}: b\r\n", "x".repeat(300)), "headers_too_large");
    let many = format!("X: {}\r\n", "x".repeat(900)).repeat(5);
    refused(&format!("{head}{many}"), "headers_too_large");
    let short: String = (0..260).map(|_| "X: y\r\n").collect();
    refused(&format!("{head}{short}"), "headers_too_large");
    let few: String = (0..255).map(|_| "X: y\r\n").collect();
    assert!(read(format!("{head}{few}\r\n").as_bytes(), 100_000).unwrap().is_some());
}

#[test]
fn pingora_reads_every_target_that_is_accepted_as_it_is() {
    for byte in 0..=255_u8 {
        for (before, after) in [("/a", "b"), ("/a?", "b")] {
            let target = [before.as_bytes(), &[byte], after.as_bytes()].concat();
            if target::read(b"GET", &target).is_ok() {
                let parsed = pingora_http::RequestHeader::build("GET", &target, None).unwrap();
                assert_eq!(parsed.uri.to_string().as_bytes(), target, "{byte:#x}");
                assert_eq!(parsed.raw_path(), target, "{byte:#x}");
            }
        }
    }
}
