//! A request that is larger than the gateway wants is refused with a status that says so (RFC 9110,
//! section 5.4; RFC 9112, section 3), by the names of `Http11Probe`.

use crate::{
    message::{Message, read_answers},
    suite::Suite,
    support::raw::Wire,
};

/// The answer to a client that sends all of this, as far as it is taken.
async fn answers(suite: &Suite, bytes: &[u8]) -> Vec<Message> {
    let mut wire = Wire::connect(suite.gateway.address).await;
    wire.send_as_far_as_taken(bytes).await;
    wire.end_sending().await;
    read_answers(wire.read_to_end().await.as_bytes(), false).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn request_that_is_too_long_is_refused_with_a_problem() {
    const LONG: usize = 100_000;
    let (letters, many) = ("A".repeat(LONG), "X-Many: 1\r\n".repeat(10_000));
    let garbage: Vec<u8> = (0..=255).collect();
    let overlong = [b"GET /..".as_slice(), &[0xc0, 0xaf], b"etc HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
    let post = "POST / HTTP/1.1\r\nHost: a\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let cases = [
        ("MAL-LONG-URL", format!("GET /{letters} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(), 414),
        ("MAL-LONG-HEADER-NAME", format!("GET / HTTP/1.1\r\nHost: a\r\n{letters}: val\r\n\r\n").into_bytes(), 431),
        ("MAL-LONG-HEADER-VALUE", format!("GET / HTTP/1.1\r\nHost: a\r\nX-Big: {letters}\r\n\r\n").into_bytes(), 431),
        ("MAL-MANY-HEADERS", format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n").into_bytes(), 431),
        ("MAL-LONG-METHOD", format!("{letters} / HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes(), 400),
        ("COOK-OVERSIZED", format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: big={letters}\r\n\r\n").into_bytes(), 431),
        // The header is on its way to the upstream before the body is read.
        ("MAL-CHUNK-EXT-64K", format!("{post}{chunked}5;ext={letters}\r\nhello\r\n0\r\n\r\n").into_bytes(), 400),
        ("MAL-POST-CL-HUGE-NO-BODY", format!("{post}Content-Length: 999999999\r\n\r\n").into_bytes(), 400),
        ("MAL-BINARY-GARBAGE", garbage, 400),
        ("MAL-URL-OVERLONG-UTF8", overlong, 400),
    ];
    let suite = Suite::start().await;
    for (name, case, status) in cases {
        let answers = answers(&suite, &case).await;
        let is_right = matches!(&answers[..], [answer] if answer.status() == status && answer.is_problem());
        assert!(is_right, "{name}: {answers:?}");
    }
    assert_eq!(answers(&suite, b"").await.len(), 0, "MAL-EMPTY-REQUEST");
    assert_eq!(suite.upstream.take().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_request_within_the_limits_is_served() {
    let pairs: Vec<String> = (0..200).map(|number| format!("k{number}=v{number}")).collect();
    let ranges: Vec<String> = (0..100).map(|start| format!("{start}-{}", start + 100)).collect();
    let cases = [
        ("COMP-LONG-URL-OK", format!("GET /behind/{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(7_900))),
        ("COOK-MANY-PAIRS", format!("GET /behind HTTP/1.1\r\nHost: a\r\nCookie: {}\r\n\r\n", pairs.join("; "))),
        (
            "MAL-RANGE-OVERLAPPING",
            format!("GET /behind HTTP/1.1\r\nHost: a\r\nRange: bytes={}\r\n\r\n", ranges.join(",")),
        ),
    ];
    let suite = Suite::start().await;
    for (name, case) in cases {
        let answers = answers(&suite, case.as_bytes()).await;
        assert!(matches!(&answers[..], [answer] if answer.body == "behind"), "{name}: {answers:?}");
    }
}
