//! The gateway's reader against an independent judge, on nasty requests: where each ends, which path
//! it names, and whether a server behind the gateway takes that for one that another route protects.
//!
//! The generator is seeded: each run tries the same requests, `PROPTEST_CASES` of them if that is
//! more. The fuzz target `reader` goes on from there.

use std::cell::Cell;

use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::TestRunner,
};

use crate::{judge, suite};

/// Requests of each kind that are tried at least.
const CASES: u32 = 20_000;

/// Parts of paths that some server reads as another one.
const PATHS: &[&str] = &[
    "/",
    "/",
    "/",
    "//",
    "/./",
    "/../",
    "/..",
    "/.",
    "%2f",
    "%2F",
    "%252f",
    "%5c",
    "%5C",
    "\\",
    ";",
    ";x=y",
    "..;",
    "%3b",
    "%2e",
    "%2e%2e",
    "%252e%252e",
    ".",
    "..",
    "%20",
    "%00",
    "%0a",
    "%09",
    "%c0%af",
    "%c1%a1",
    "%ef%bc%8f",
    "%e2%88%95",
    "%u0061",
    "%25",
    "%2561",
    "%",
    "?",
    "?x=/v1/admin",
    "#",
    "::$DATA",
    "~",
    "v1",
    "V1",
    "%76%31",
    "admin",
    "ADMIN",
    "Admin",
    "%61dmin",
    "%41dmin",
    "adm%69n",
    "%2561dmin",
    "internal",
    "Internal",
    "inter%6eal",
    "users",
    "USERS",
    "me",
    "%6de",
    "me.",
    "7",
    "keys",
    "key%73",
    "keys.json",
    "files",
    "fi%6ces",
    "private",
    "PRIVATE",
    "%70rivate",
    "x",
    "\u{e9}",
    "%c3%a9",
    "%e2%84%aa",
    "%c4%b1",
];

/// Lines that decide about the end of a request or the place that it goes to.
const LINES: &[&str] = &[
    "Host: a",
    "Host: a",
    "Host: a:80",
    "host:b",
    "Host : a",
    " Host: a",
    "Host: a, b",
    "Content-Length: 5",
    "Content-Length: 0",
    "Content-Length: 05",
    "Content-Length: +5",
    "Content-Length: 5, 5",
    "content-length:5",
    "Content-Length:\t5 ",
    "Content-Length : 5",
    "Content-Length: 18446744073709551621",
    "Content_Length: 5",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: chunked",
    "transfer-encoding:Chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: gzip",
    "Transfer-Encoding:\u{b}chunked",
    "Transfer-Encoding:",
    "Transfer_Encoding: chunked",
    "Connection: close",
    "Connection: content-length",
    "Upgrade: websocket",
    "Expect: 100-continue",
    "X-A: b",
    "X-A:",
    "X-A: b\u{0}",
    "X-A: b\rc",
    "X-A: b\r\n c",
    "nothing",
    ": x",
    "X[: y",
    "TE: trailers",
    "Trailer: X-A",
];

/// Bodies, and what may stand between requests.
const BODIES: &[&str] = &[
    "",
    "",
    "hello",
    "5\r\nhello\r\n0\r\n\r\n",
    "5;a=b\r\nhello\r\n0\r\n\r\n",
    "5;a=\"b;\\\"\"\r\nhello\r\n0;c\r\nX-A: b\r\n\r\n",
    "0\r\n\r\n",
    "0\r\nX-A: b\r\n\r\n",
    "0\r\nContent-Length: 5\r\n\r\n",
    "05\r\nhello\r\n00\r\n\r\n",
    "5\nhello\n0\n\n",
    "5 \r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello!\r\n0\r\n\r\n",
    "ffffffffffffffff\r\n",
    "5\r\nhel",
    "\r\n",
    "\n",
    "\r",
    "0",
];

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec(select(PATHS), 0..10).prop_map(|parts| format!("/{}", parts.concat()))
}

fn request() -> impl Strategy<Value = String> {
    let target = prop_oneof![
        8 => path(),
        1 => path().prop_map(|path| format!("http://b.test:81{path}")),
        1 => select(&["*", "", "http://b", "https://b?x", "HTTP://b/", "ftp://b/", "b:80", "http://u@b/", "//b/x", "x"][..])
            .prop_map(str::to_owned),
    ];
    let method = select(&["GET", "POST", "OPTIONS", "HEAD", "get", "FOO", "G(T", "CONNECT", "TRACE", ""][..]);
    let version = select(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "http/1.1", "HTTP/1.1 "][..]);
    let lines = prop::collection::vec(select(LINES), 0..6);
    let end = select(&["\r\n", "\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r"][..]);
    (method, target, version, lines, end, select(BODIES)).prop_map(|(method, target, version, mut lines, end, body)| {
        if !lines.iter().any(|line| line.contains("ost")) {
            lines.insert(0, "Host: a");
        }
        let lines = lines.iter().flat_map(|line| [line, end]).collect::<String>();
        format!("{method} {target} {version}\r\n{lines}\r\n{body}")
    })
}

/// A change of a few bytes.
fn change() -> impl Strategy<Value = (Index, Index, u8, u8)> {
    (any::<Index>(), any::<Index>(), 0..6_u8, select(&b"\r\n \t:;,/\\%.0159afxA\"=\0\x7f\x80\xff"[..]))
}

fn changed(mut bytes: Vec<u8>, changes: &[(Index, Index, u8, u8)]) -> Vec<u8> {
    for (at, other, kind, byte) in changes {
        if bytes.is_empty() {
            break;
        }
        let (at, other) = (at.index(bytes.len()), other.index(bytes.len()));
        let (begin, end) = (at.min(other), at.max(other));
        match kind {
            0 => bytes[at] = *byte,
            1 => bytes.insert(at, *byte),
            2 => drop(bytes.remove(at)),
            3 => bytes[at] ^= 1 << (byte & 7),
            4 => bytes.truncate(at),
            _ => {
                let part = bytes[begin..end.min(begin + 32)].to_vec();
                bytes.splice(other..other, part);
            }
        }
    }
    bytes
}

fn run<S: Strategy>(strategy: &S, bytes: impl Fn(S::Value) -> Vec<u8>) {
    let cases = ProptestConfig::default().cases.max(CASES);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let random = TestRunner::deterministic().rng().clone();
    let mut runner = TestRunner::new_with_rng(config, random);
    let whole = Cell::new(0);
    let tried = runner.run(strategy, |value| {
        let bytes = bytes(value);
        let told = |told| TestCaseError::fail(format!("{told}: {}", bytes.escape_ascii()));
        whole.set(whole.get() + judge::compare(&bytes).map_err(told)?);
        Ok(())
    });
    if let Err(error) = tried {
        panic!("{error}");
    }
    // What is refused at once compares nothing.
    assert!(whole.get() > cases as usize / 20, "only {} whole requests in {cases} cases", whole.get());
}

#[test]
fn path_that_passes_is_never_one_that_a_stricter_route_protects() {
    run(&path(), |path| format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes());
}

#[test]
fn reader_and_judge_agree_on_requests_of_nasty_parts() {
    run(&prop::collection::vec(request(), 1..4), |requests| requests.concat().into_bytes());
}

#[test]
fn reader_and_judge_agree_on_requests_of_the_suite_with_changes() {
    let requests: Vec<String> = suite::requests();
    assert!(requests.len() > 200, "{}", requests.len());
    for request in &requests {
        judge::compare(request.as_bytes()).unwrap();
    }
    let strategy = (select(requests), prop::collection::vec(change(), 0..6));
    run(&strategy, |(request, changes)| changed(request.into_bytes(), &changes));
}
