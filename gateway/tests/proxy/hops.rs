//! Headers of one connection: old clients, `Connection`, and hop-by-hop headers.

use crate::support::{
    Customer, Fixture,
    process::Gateway,
    raw::{RawUpstream, Wire},
};

struct Setting {
    fixture: Fixture,
    customer: Customer,
    upstream: RawUpstream,
    gateway: Gateway,
}

impl Setting {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let customer = fixture.customer(Some("roomy")).await;
        let upstream = RawUpstream::start().await;
        let routes = format!(
            "upstreams: {{ raw: {{ servers: ['{}'] }} }}\nroutes: [{{ name: raw, path_prefix: /, upstream: raw }}]\n",
            upstream.address
        );
        let gateway = fixture.gateway_with(&routes).await;
        Self { fixture, customer, upstream, gateway }
    }

    /// Sends a GET of this version with these header lines; the client, and the request as the
    /// upstream sees it, which it then answers.
    async fn ask(&self, version: &str, lines: &str, answer: &str) -> (Wire, String) {
        let mut client = Wire::connect(self.gateway.address).await;
        let key = self.customer.secret.expose();
        client.send(format!("GET / HTTP/{version}\r\nHost: a\r\nX-Api-Key: {key}\r\n{lines}\r\n")).await;
        let (mut server, header) = self.upstream.request().await;
        server.send(answer).await;
        (client, header.to_ascii_lowercase())
    }
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n";
const COUNTED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour";

#[tokio::test(flavor = "multi_thread")]
async fn old_client_is_answered_without_chunks_and_without_interim_answers() {
    let setting = Setting::new().await;
    let with_interim = format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n{CHUNKED}");
    let until_closed = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfour";
    for answer in [CHUNKED, &with_interim] {
        for lines in ["", "Connection: keep-alive\r\n", "Expect: 100-continue\r\n"] {
            let (mut client, request) = setting.ask("1.0", lines, answer).await;
            assert!(!request.contains("expect"), "{request}");
            let answer = client.read_to_end().await;
            let (header, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(header.starts_with("HTTP/1.1 200 ") && body == "four", "{answer}");
            let header = header.to_ascii_lowercase();
            assert!(!header.contains("transfer-encoding") && header.contains("connection: close"), "{answer}");
        }
    }
    // What an upstream of the same age sends ends with its connection.
    let mut client = Wire::connect(setting.gateway.address).await;
    let key = setting.customer.secret.expose();
    client.send(format!("GET / HTTP/1.0\r\nX-Api-Key: {key}\r\n\r\n")).await;
    let (mut server, _) = setting.upstream.request().await;
    server.send(until_closed).await;
    drop(server);
    let answer = client.read_to_end().await;
    assert!(answer.ends_with("\r\n\r\nfour"), "{answer}");
    assert_eq!(setting.fixture.billing.wait_for(setting.customer.tenant, 7).await.len(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_in_a_coding_that_an_old_client_cannot_read_is_an_error() {
    let setting = Setting::new().await;
    let coded = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\nfour\r\n0\r\n\r\n";
    let (mut client, _) = setting.ask("1.0", "", coded).await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("upstream_failed"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_ends_if_any_line_of_connection_says_so() {
    let setting = Setting::new().await;
    let cases = [
        ("1.1", "", true),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.1", "Connection: x-a\r\nConnection: x-b, CLOSE\r\n", false),
        ("1.1", "Connection: close, keep-alive\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: keep-alive\r\n", true),
        ("1.0", "Connection: keep-alive\r\nConnection: close\r\n", false),
    ];
    for (version, lines, stays) in cases {
        let (mut client, _) = setting.ask(version, lines, COUNTED).await;
        let told = client.read_until("four").await.to_ascii_lowercase();
        let expected = if stays { "connection: keep-alive" } else { "connection: close" };
        assert!(told.contains(expected), "{version} {lines:?}: {told}");
        if stays {
            client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
            assert!(client.read_to_end().await.starts_with("HTTP/1.1 401 "), "{version} {lines:?}");
        } else {
            assert_eq!(client.read_to_end().await, "", "{version} {lines:?}");
        }
    }
    // A refusal ends it, too.
    let mut client = Wire::connect(setting.gateway.address).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n").await;
    assert!(client.read_to_end().await.to_ascii_lowercase().contains("connection: close"));
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_that_the_upstream_closes_is_not_used_again_wherever_it_says_so() {
    let cases = [
        ("", true),
        ("Connection: keep-alive\r\n", true),
        ("Connection: close\r\n", false),
        ("Connection: keep-alive\r\nConnection: close\r\n", false),
        ("Connection: x-a\r\nConnection: x-b, CLOSE\r\n", false),
        ("Connection: close, keep-alive\r\n", false),
    ];
    for (lines, stays) in cases {
        let setting = Setting::new().await;
        let key = setting.customer.secret.expose();
        let mut client = Wire::connect(setting.gateway.address).await;
        // The upstream itself never closes, so that only the gateway decides.
        let (mut kept, mut is_used_again) = (Vec::new(), false);
        // A connection can be kept a moment after its answer has reached the client: one request
        // too late for the next.
        let rounds = if stays { 100 } else { 3 };
        for _ in 0..rounds {
            client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nContent-Length: 2\r\n\r\nhi")).await;
            let mut server = tokio::select! {
                used = first_with(&mut kept, "hi") => {
                    is_used_again = true;
                    used
                }
                (mut new, _) = setting.upstream.request() => {
                    new.read_until("hi").await;
                    new
                }
            };
            server.send(format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 4\r\n\r\nfour")).await;
            let answer = client.read_until("four").await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{lines:?}: {answer}");
            kept.push(server);
            if is_used_again {
                break;
            }
        }
        assert_eq!(is_used_again, stays, "{lines:?}");
    }
}

/// Takes out the first of some connections on which `part` comes, and reads up to it. Waits for
/// ever if there is none; one that is closed is passed over.
async fn first_with(connections: &mut Vec<Wire>, part: &str) -> Wire {
    let each = connections.iter_mut().enumerate().map(|(index, wire)| {
        Box::pin(async move {
            if wire.has_until(part).await {
                wire.read_until(part).await;
                return index;
            }
            std::future::pending().await
        })
    });
    let each: Vec<_> = each.collect();
    if each.is_empty() {
        return std::future::pending().await;
    }
    let index = futures_util::future::select_all(each).await.0;
    connections.swap_remove(index)
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_one_connection_never_pass_to_the_other() {
    let setting = Setting::new().await;
    let sent = "Connection: keep-alive, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\
                Proxy-Authorization: Basic Zm9v\r\nProxy-Foo: 1\r\nProxy: 1\r\nTE: trailers\r\nTrailer: X-Sum\r\n\
                Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nX-Kept: 1\r\n";
    let answer = "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Theirs\r\nConnection: x-other\r\nX-Theirs: 1\r\n\
                  X-Other: 1\r\nKeep-Alive: timeout=5, max=7\r\nProxy-Connection: keep-alive\r\n\
                  Proxy-Authenticate: Basic\r\nProxy-Authentication-Info: 1\r\nTrailer: X-Sum\r\nUpgrade: h2c\r\n\
                  TE: trailers\r\nContent-Length: 4\r\nX-Kept: 1\r\n\r\nfour";
    let (mut client, request) = setting.ask("1.1", sent, answer).await;
    let answer = client.read_until("four").await.to_ascii_lowercase();
    for header in
        ["keep-alive:", "proxy", "trailer", "upgrade", "te:", "x-mine", "x-theirs", "x-other", "http2-settings"]
    {
        let is_there = |text: &str| text.lines().any(|line| line.starts_with(header));
        assert!(!is_there(&request), "{header} reached the upstream: {request}");
        assert!(!is_there(&answer), "{header} reached the client: {answer}");
    }
    assert!(request.contains("x-kept: 1") && answer.contains("x-kept: 1"), "{request}\n{answer}");
    assert!(answer.contains("content-length: 4"), "{answer}");
}
