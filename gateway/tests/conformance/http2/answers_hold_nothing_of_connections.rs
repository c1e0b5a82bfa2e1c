//! Answers to HTTP/2 hold no field of connections, and end where the upstream's do (RFC 9113,
//! sections 8.1 and 8.2.2).

use crate::{
    suite::Suite,
    support::http2::{Http2, read_body},
};

/// Method, answer of the upstream, status, and body of the client's.
const CASES: &[(&str, &str, u16, &str)] = &[
    (
        "GET",
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Theirs\r\nX-Theirs: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\n\
         Proxy-Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n",
        200,
        "four",
    ),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour", 200, "four"),
    ("GET", "HTTP/1.1 200 OK\r\n\r\nfourCLOSE", 200, "four"),
    ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", 200, ""),
    ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
    ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n", 304, ""),
    ("GET", "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok"),
];

#[tokio::test(flavor = "multi_thread")]
async fn answer_of_http1_is_passed_on_without_what_belongs_to_its_connection() {
    let suite = Suite::start_with("http2: { without_tls: true }").await;
    for (method, answer, status, body) in CASES {
        suite.upstream.answer(answer);
        let mut client = Http2::connect(suite.gateway.address).await;
        let got = client.ask(Http2::request(method, "/")).await;
        assert_eq!((got.status, &*got.body), (*status, *body), "{answer:?}");
        for name in ["connection", "x-theirs", "keep-alive", "upgrade", "proxy-connection", "transfer-encoding"] {
            assert_eq!(got.headers.get(name), None, "{answer:?}");
        }
        assert!(got.headers.contains_key("date"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_the_upstream_breaks_off_is_never_whole() {
    let suite = Suite::start_with("http2: { without_tls: true }").await;
    suite.upstream.answer("HTTP/1.1 200 OK\r\nX-A: b\r\n c: d\r\nContent-Length: 2\r\n\r\nok");
    let mut client = Http2::connect(suite.gateway.address).await;
    assert_eq!(client.ask(Http2::request("POST", "/")).await.headers["x-a"], "b c: d");
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfourCLOSE",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\nCLOSE",
    ] {
        suite.upstream.answer(answer);
        let (got, _) = client.send(Http2::request("POST", "/"), true).await;
        // The stream is reset, before or behind the header of the answer.
        if let Ok(response) = got.await {
            let broken = tokio::spawn(read_body(response)).await;
            assert!(broken.is_err(), "{answer:?}: {broken:?}");
        }
    }
}
