//! Cases of `Http11Probe` that need two requests on one connection or bytes too long to write out,
//! by its names.
//!
//! Invariant: a request whose end two programs could see in two places is refused, and nothing
//! behind it is answered.

use crate::{
    probes::{CONFIG, answers_in, bytes},
    support::{Fixture, raw::Wire},
};

/// Requests that try to hide another one in their body: each is refused, and nothing of the body is
/// served. `LENGTH` stands for the length of the body, `INNER` for the hidden request.
const HIDING: &[(&str, &str)] = &[
    ("SMUG-CLTE-CONN-CLOSE", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nCHUNKED0\r\n\r\n"),
    ("SMUG-TECL-CONN-CLOSE", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    ("SMUG-CLTE-DESYNC", "POST / HTTP/1.1\r\nHOSTContent-Length: 6\r\nCHUNKED0\r\n\r\nX"),
    ("SMUG-TECL-DESYNC", "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked\r\nContent-Length: 30\r\n\r\n0\r\n\r\nX"),
    ("SMUG-CLTE-SMUGGLED-GET", "POST / HTTP/1.1\r\nHOSTContent-Length: LENGTH\r\nCHUNKED0\r\n\r\nINNER"),
    ("SMUG-CLTE-SMUGGLED-GET-CL-PLUS", "POST / HTTP/1.1\r\nHOSTContent-Length: +LENGTH\r\nCHUNKED0\r\n\r\nINNER"),
    (
        "SMUG-CLTE-SMUGGLED-GET-CL-NON-NUMERIC",
        "POST / HTTP/1.1\r\nHOSTContent-Length: LENGTHx\r\nCHUNKED0\r\n\r\nINNER",
    ),
    (
        "SMUG-CLTE-SMUGGLED-GET-TE-OBS-FOLD",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding:\r\n chunked\r\nContent-Length: LENGTH\r\n\r\n0\r\n\r\nINNER",
    ),
    (
        "SMUG-CLTE-SMUGGLED-GET-TE-TRAILING-SPACE",
        "POST / HTTP/1.1\r\nHOSTContent-Length: LENGTH\r\nTransfer-Encoding: chunked \r\n\r\n0\r\n\r\nINNER",
    ),
    (
        "SMUG-CLTE-SMUGGLED-GET-TE-LEADING-COMMA",
        "POST / HTTP/1.1\r\nHOSTContent-Length: LENGTH\r\nTransfer-Encoding: , chunked\r\n\r\n0\r\n\r\nINNER",
    ),
    (
        "SMUG-CLTE-SMUGGLED-GET-TE-CASE-MISMATCH",
        "POST / HTTP/1.1\r\nHOSTContent-Length: LENGTH\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\nINNER",
    ),
    (
        "SMUG-CLTE-SMUGGLED-HEAD",
        "POST / HTTP/1.1\r\nHOSTContent-Length: LENGTH\r\nCHUNKED0\r\n\r\nHEAD / HTTP/1.1\r\nHOST\r\n",
    ),
    (
        "SMUG-TE-DUPLICATE-HEADERS-SMUGGLED-GET",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: LENGTH\r\n\r\n0\r\n\r\nINNER",
    ),
    (
        "SMUG-TECL-SMUGGLED-GET",
        "POST / HTTP/1.1\r\nHOSTTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n1d\r\nINNER\r\n0\r\n\r\n",
    ),
    (
        "SMUG-DUPLICATE-CL-SMUGGLED-GET",
        "POST / HTTP/1.1\r\nHOSTContent-Length: 4\r\nContent-Length: LENGTH\r\n\r\nPINGINNER",
    ),
    (
        "SMUG-OPTIONS-TE-OBS-FOLD",
        "OPTIONS / HTTP/1.1\r\nHOSTTransfer-Encoding:\r\n chunked\r\nContent-Length: 5\r\n\r\nhello",
    ),
];

const INNER: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

/// Requests with a body of a stated length. The body never becomes a part of the next request: both
/// are answered.
const WITH_BODY: &[(&str, &str)] = &[
    ("SMUG-PIPELINE-SAFE", "GET / HTTP/1.1\r\nHOST\r\n"),
    ("SMUG-GET-CL-BODY-DESYNC", "GET / HTTP/1.1\r\nHOSTContent-Length: 5\r\n\r\nhello"),
    ("SMUG-GET-CL-PREFIX-DESYNC", "GET / HTTP/1.1\r\nHOSTContent-Length: 26\r\n\r\nGET / HTTP/1.1\r\nHost: ab\r\n"),
    ("SMUG-OPTIONS-CL-BODY-DESYNC", "OPTIONS / HTTP/1.1\r\nHOSTContent-Length: 5\r\n\r\nhello"),
    ("SMUG-EXPECT-100-CL-DESYNC", "POST / HTTP/1.1\r\nHOSTContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello"),
    ("SMUG-HEAD-CL-BODY", "HEAD / HTTP/1.1\r\nHOSTContent-Length: 5\r\n\r\nhello"),
];

const FOLLOWING: &str = "GET /behind HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn hiding(case: &str) -> String {
    let case = bytes(&case.replace("INNER", INNER));
    let body = case.split_once("\r\n\r\n").map_or(0, |(_, body)| body.len());
    case.replace("LENGTH", &body.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn request_that_hides_another_is_refused_and_nothing_behind_it_is_answered() {
    let fixture = Fixture::new().await;
    let gateway = fixture.gateway_with(CONFIG).await;
    for (name, case) in HIDING {
        let mut wire = Wire::connect(gateway.address).await;
        wire.send_as_far_as_taken(hiding(case)).await;
        let refused = wire.read_to_end().await;
        assert!(refused.starts_with("HTTP/1.1 400") && answers_in(&refused) == 1, "{name}: {refused}");
        // Whoever sends on finds the connection closed.
        wire.send_as_far_as_taken(FOLLOWING).await;
        assert_eq!(wire.read_to_end().await, "", "{name}");
    }
    assert_eq!(fixture.upstream.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_behind_one_with_a_body_is_answered_by_itself() {
    let fixture = Fixture::new().await;
    let gateway = fixture.gateway_with(CONFIG).await;
    for (name, case) in WITH_BODY {
        for at_once in [true, false] {
            let before = fixture.upstream.requests();
            let mut wire = Wire::connect(gateway.address).await;
            if at_once {
                wire.send(bytes(case) + FOLLOWING).await;
            } else {
                wire.send(bytes(case)).await;
                wire.send(FOLLOWING).await;
            }
            let answers = wire.read_to_end().await;
            let interim = usize::from(answers.contains("HTTP/1.1 100"));
            assert_eq!(answers_in(&answers), 2 + interim, "{name}: {answers}");
            assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{name}: {answers}");
            assert!(answers.contains("\"target\":\"/behind\""), "{name}: {answers}");
            assert_eq!(fixture.upstream.requests(), before + 2, "{name}");
        }
    }
}

/// `SMUG-CL0-BODY-POISON`: what follows an empty body is the next request, with a method that
/// begins with it.
#[tokio::test(flavor = "multi_thread")]
async fn byte_behind_an_empty_body_belongs_to_the_next_request() {
    let fixture = Fixture::new().await;
    let gateway = fixture.gateway_with(CONFIG).await;
    let mut wire = Wire::connect(gateway.address).await;
    wire.send(bytes("POST / HTTP/1.1\r\nHOSTContent-Length: 0\r\n\r\nX") + FOLLOWING).await;
    let answers = wire.read_to_end().await;
    assert_eq!(answers_in(&answers), 2, "{answers}");
    assert!(answers.contains("\"method\":\"XGET\"") && answers.contains("\"target\":\"/behind\""), "{answers}");
}

#[tokio::test(flavor = "multi_thread")]
async fn request_that_is_too_long_is_refused_with_a_problem() {
    const LONG: usize = 100_000;
    let (letters, many) = ("A".repeat(LONG), "X-Many: 1\r\n".repeat(10_000));
    let cases = [
        ("MAL-LONG-URL", format!("GET /{letters} HTTP/1.1\r\nHOST\r\n"), 414),
        ("MAL-LONG-HEADER-NAME", format!("GET / HTTP/1.1\r\nHOST{letters}: val\r\n\r\n"), 431),
        ("MAL-LONG-HEADER-VALUE", format!("GET / HTTP/1.1\r\nHOSTX-Big: {letters}\r\n\r\n"), 431),
        ("MAL-MANY-HEADERS", format!("GET / HTTP/1.1\r\nHOST{many}\r\n"), 431),
        ("MAL-LONG-METHOD", format!("{letters} / HTTP/1.1\r\nHOST\r\n"), 400),
        ("COOK-OVERSIZED", format!("GET / HTTP/1.1\r\nHOSTCookie: big={letters}\r\n\r\n"), 431),
    ];
    let fixture = Fixture::new().await;
    let gateway = fixture.gateway_with(CONFIG).await;
    for (name, case, status) in cases {
        let mut wire = Wire::connect(gateway.address).await;
        wire.send_as_far_as_taken(bytes(&case)).await;
        wire.end_sending().await;
        let answer = wire.read_to_end().await;
        let begin = answer.get(..400).unwrap_or(&answer);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{name}: {begin}");
        assert!(answer.contains("application/problem+json") && answers_in(&answer) == 1, "{name}: {begin}");
    }
    assert_eq!(fixture.upstream.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_request_within_the_limits_is_served() {
    let pairs: Vec<String> = (0..200).map(|number| format!("k{number}=v{number}")).collect();
    let ranges: Vec<String> = (0..100).map(|start| format!("{start}-{}", start + 100)).collect();
    let cases = [
        ("COMP-LONG-URL-OK", format!("GET /{} HTTP/1.1\r\nHOST\r\n", "a".repeat(7_900))),
        ("COOK-MANY-PAIRS", format!("GET / HTTP/1.1\r\nHOSTCookie: {}\r\n\r\n", pairs.join("; "))),
        ("MAL-RANGE-OVERLAPPING", format!("GET / HTTP/1.1\r\nHOSTRange: bytes={}\r\n\r\n", ranges.join(","))),
    ];
    let fixture = Fixture::new().await;
    let gateway = fixture.gateway_with(CONFIG).await;
    for (name, case) in cases {
        let mut wire = Wire::connect(gateway.address).await;
        wire.send(bytes(&case) + FOLLOWING).await;
        let answers = wire.read_to_end().await;
        assert_eq!(answers.matches("HTTP/1.1 200").count(), 2, "{name}: {}", answers.get(..400).unwrap_or(&answers));
    }
}

/// `MAL-CHUNK-EXT-64K`: the header is on its way to the upstream before the body is read.
#[tokio::test(flavor = "multi_thread")]
async fn chunk_extension_of_100_kb_ends_the_request_with_a_problem() {
    let fixture = Fixture::new().await;
    let gateway = fixture.gateway_with(CONFIG).await;
    let mut wire = Wire::connect(gateway.address).await;
    let extension = "A".repeat(100_000);
    let request = format!("POST / HTTP/1.1\r\nHOSTCHUNKED5;ext={extension}\r\nhello\r\n0\r\n\r\n");
    wire.send_as_far_as_taken(bytes(&request)).await;
    wire.end_sending().await;
    let answer = wire.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 400") && answers_in(&answer) == 1, "{answer}");
}

/// `MAL-BINARY-GARBAGE`, `MAL-URL-OVERLONG-UTF8`, `MAL-EMPTY-REQUEST`.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_request_reach_no_upstream() {
    let fixture = Fixture::new().await;
    let gateway = fixture.gateway_with(CONFIG).await;
    let garbage: Vec<u8> = (0..=255).collect();
    let overlong = [b"GET /..".as_slice(), &[0xc0, 0xaf], b"etc HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
    for case in [garbage, overlong] {
        let mut wire = Wire::connect(gateway.address).await;
        wire.send_as_far_as_taken(&case).await;
        wire.end_sending().await;
        let answer = wire.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let mut wire = Wire::connect(gateway.address).await;
    wire.end_sending().await;
    assert_eq!(wire.read_to_end().await, "");
    assert_eq!(fixture.upstream.requests(), 0);
}

/// `MAL-POST-CL-HUGE-NO-BODY`.
#[tokio::test(flavor = "multi_thread")]
async fn request_without_the_body_that_it_announces_is_refused_once_its_client_ends() {
    let fixture = Fixture::new().await;
    let gateway = fixture.gateway_with(CONFIG).await;
    let mut wire = Wire::connect(gateway.address).await;
    wire.send(bytes("POST / HTTP/1.1\r\nHOSTContent-Length: 999999999\r\n\r\n")).await;
    wire.end_sending().await;
    let answer = wire.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 400") && answers_in(&answer) == 1, "{answer}");
}
