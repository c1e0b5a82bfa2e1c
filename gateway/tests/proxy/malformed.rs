//! Requests that break the rules of HTTP/1: refused by the gateway with a problem, counted, and seen
//! by nobody else.

use serde_json::Value;

use crate::support::{Fixture, eventually, raw::Wire};

/// The possible ends of bytes that a client sends.
#[derive(Clone, Copy)]
enum Fate {
    /// Refused with this status and code, without a byte upstream.
    Refused(u16, &'static str),
    /// Refused after the header had reached the upstream, with 400.
    BrokenBody,
    /// Answered by the upstream.
    Forwarded,
}

use Fate::{BrokenBody, Forwarded, Refused};

const INVALID: Fate = Refused(400, "invalid_request");
const TOO_LARGE: Fate = Refused(431, "headers_too_large");

/// One of each code. `KEY` stands for a header with a good credential, `HOST` for the header of the
/// host. The rules themselves are those of the conformance suite.
const LINES: &[(&str, Fate)] = &[
    ("GET / HTTP/1.1\r\nHOST\r\nKEY\r\n\r\n", Forwarded),
    ("GET  / HTTP/1.1\r\nHOST\r\nKEY\r\n\r\n", INVALID),
    ("TRACE / HTTP/1.1\r\nHOST\r\nKEY\r\n\r\n", Refused(405, "method_not_allowed")),
    ("GET / HTTP/2.0\r\nHOST\r\nKEY\r\n\r\n", Refused(505, "version_not_supported")),
    ("GET / HTTP/1.1\r\nHOST\r\nKEY\r\nExpect: more\r\n\r\n", Refused(417, "expectation_failed")),
    ("POST / HTTP/1.1\r\nHOST\r\nKEY\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n", BrokenBody),
];

/// The same with numbers in it.
fn long_ones() -> Vec<(String, Fate)> {
    let headers = |count: usize| "X-A: b\r\n".repeat(count);
    vec![
        (format!("{} / HTTP/1.1\r\nHOST\r\nKEY\r\n\r\n", "M".repeat(900_000)), INVALID),
        (format!("GET /{} HTTP/1.1\r\nHOST\r\nKEY\r\n\r\n", "x".repeat(9_000)), Refused(414, "path_too_long")),
        (format!("GET /{} HTTP/1.1\r\nHOST\r\nKEY\r\n\r\n", "x".repeat(2_000_000)), Refused(414, "path_too_long")),
        (format!("GET / HTTP/1.1\r\nHOST\r\nKEY\r\n{}\r\n", headers(90)), Forwarded),
        (format!("GET / HTTP/1.1\r\nHOST\r\nKEY\r\n{}\r\n", headers(256)), TOO_LARGE),
        (format!("GET / HTTP/1.1\r\nHOST\r\nKEY\r\n{}\r\n", headers(100_000)), TOO_LARGE),
        (format!("GET / HTTP/1.1\r\nHOST\r\nKEY\r\nX-A: {}\r\n\r\n", "x".repeat(2_000_000)), TOO_LARGE),
        (format!("GET / HTTP/1.1\r\nHOST\r\nKEY\r\n{}: b\r\n\r\n", "x".repeat(100_000)), TOO_LARGE),
    ]
}

fn assert_problem(answer: &str, status: u16, code: &str, case: &str) {
    let case = &case[..case.len().min(100)];
    let begin = format!("HTTP/1.1 {status} ");
    assert!(answer.starts_with(&begin), "{case:?}: {answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    assert!(head.contains("connection: close"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{case:?}: {answer}"));
    assert_eq!((&body["code"], &body["status"]), (&code.into(), &status.into()), "{case:?}");
    assert!(head.contains(&format!("x-request-id: {}", body["request_id"].as_str().unwrap())), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_with_a_problem_and_reach_no_upstream() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    let key = format!("X-Api-Key: {}", customer.secret.expose());
    let cases = LINES.iter().map(|(case, fate)| ((*case).to_owned(), *fate)).chain(long_ones());
    let mut refused = 0.0;
    for (case, fate) in cases {
        let before = fixture.upstream.requests();
        let text = case.replace("KEY", &key).replace("HOST", "Host: api.test");
        // A client on another connection cannot be disturbed by what stands behind the case.
        let is_well_formed = matches!(fate, Forwarded);
        let text = if is_well_formed { text } else { text + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n" };
        let mut wire = Wire::connect(gateway.address).await;
        wire.send_as_far_as_taken(&text).await;
        match fate {
            Forwarded => {
                wire.end_sending().await;
                let answer = wire.read_to_end().await;
                assert!(answer.starts_with("HTTP/1.1 200 "), "{case:?}: {answer}");
                assert_eq!(fixture.upstream.requests(), before + 1, "{case:?}");
            }
            Refused(status, code) => {
                wire.end_sending().await;
                assert_problem(&wire.read_to_end().await, status, code, &case);
                assert_eq!(fixture.upstream.requests(), before, "{case:?}");
                refused += 1.0;
            }
            BrokenBody => {
                wire.end_sending().await;
                assert_problem(&wire.read_to_end().await, 400, "invalid_request", &case);
            }
        }
    }
    let mut counted = 0.0;
    for code in ["invalid_request", "headers_too_large", "path_too_long", "method_not_allowed"] {
        counted += gateway.metric(&format!("tollgate_http_malformed_total{{code=\"{code}\"}}")).await.unwrap();
    }
    for code in ["expectation_failed", "version_not_supported"] {
        counted += gateway.metric(&format!("tollgate_http_malformed_total{{code=\"{code}\"}}")).await.unwrap();
    }
    assert!((counted - refused).abs() < 0.5, "{counted} counted of {refused}");
    let line = eventually("an access line", || async {
        gateway.access_log().into_iter().find(|line| line["code"] == "version_not_supported")
    });
    assert_eq!(line.await["status"], 505);
    assert!(gateway.access_log().iter().all(|line| line.to_string().len() < 2_000), "an access line is too long");
    assert_eq!(gateway.status("/read", &customer.secret).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn url_as_target_is_routed_by_its_host() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    let key = customer.secret.expose();
    for (version, host) in [("1.1", "Host: other.test\r\n"), ("1.1", "Host: api.example.com\r\n"), ("1.0", "")] {
        let mut wire = Wire::connect(gateway.address).await;
        let target = "http://api.example.com/narrow/x?y=z";
        wire.send(format!("GET {target} HTTP/{version}\r\n{host}X-Api-Key: {key}\r\nConnection: close\r\n\r\n")).await;
        let answer = wire.read_to_end().await;
        assert!(answer.contains("\"target\":\"/narrow/x?y=z\""), "{answer}");
        assert!(answer.contains("\"host\":[\"api.example.com\"]") && !answer.contains("other.test"), "{answer}");
    }
    eventually("routed by the host of the target", || async {
        let routed = gateway.access_log().iter().filter(|line| line["route"] == "narrow").count();
        (routed == 3).then_some(())
    })
    .await;
}
