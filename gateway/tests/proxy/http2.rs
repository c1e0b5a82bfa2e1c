//! Clients that speak HTTP/2: requests beside each other on one connection, the rules that they are
//! held to, and connections that end.

use std::process::Command;

use http::StatusCode;

use crate::support::{
    Fixture, eventually,
    http2::{DATA, END_HEADERS, END_STREAM, Frame, Frames, GOAWAY, HEADERS, Http2, PREFACE, SETTINGS, fields, read},
    process::Gateway,
    raw::Wire,
    setting::Setting,
};

/// Lets clients speak HTTP/2 with prior knowledge.
pub(crate) const WITHOUT_TLS: &str = "http2: { without_tls: true }\n";

fn demo_routes() -> String {
    format!("{WITHOUT_TLS}{}", crate::support::ROUTES)
}

fn raw_routes(address: std::net::SocketAddr) -> String {
    format!(
        "{WITHOUT_TLS}
upstreams: {{ raw: {{ servers: ['{address}'], health: {{ interval_seconds: 3600 }} }} }}
routes:
  - {{ name: raw, path_prefix: /, upstream: raw }}
"
    )
}

/// The output of curl, and the version of HTTP that it spoke.
fn curl(gateway: &Gateway, path: &str, key: &str, more: &[&str]) -> (String, String) {
    let output = Command::new("curl")
        .args(["-sS", "--http2-prior-knowledge", "--max-time", "20", "-w", "\n%{http_version} %{http_code}"])
        .args(["-H", &format!("Authorization: Bearer {key}")])
        .args(more)
        .arg(gateway.url(path))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let (body, told) = text.rsplit_once('\n').unwrap();
    (body.to_owned(), told.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_with_prior_knowledge_is_served() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway_with(&demo_routes()).await;
    let key = customer.secret.expose().to_owned();
    let (body, told) = curl(&gateway, "/things?a=b", &key, &["-X", "POST", "--data-binary", "@Cargo.toml"]);
    assert_eq!(told, "2 200", "{body}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&body["method"], &body["target"]), (&"POST".into(), &"/things?a=b".into()));
    assert_eq!(body["body"], std::fs::metadata("Cargo.toml").unwrap().len());
    assert_eq!(body["headers"]["host"][0], gateway.address.to_string());
    assert_eq!(body["headers"]["x-tenant-id"][0], customer.tenant.to_string());
    assert_eq!(body["headers"].get("authorization"), None);
    let (head, told) = curl(&gateway, "/things", &key, &["-I"]);
    assert_eq!(told, "2 200", "{head}");
    assert!(head.contains("content-length: ") && head.contains("x-request-id: "), "{head}");
    let (body, told) = curl(&gateway, "/things", "sk_live_wrong", &[]);
    assert_eq!(told, "2 401", "{body}");
    assert!(body.contains("\"code\":\"malformed_key\""), "{body}");
    let records = fixture.billing.wait_for(customer.tenant, 2).await;
    assert!(records.iter().all(|record| record.status == 200 && record.billable), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_without_tls_is_refused_unless_configured() {
    let fixture = Fixture::new().await;
    let gateway = fixture.gateway().await;
    let mut client = Wire::connect(gateway.address).await;
    client.send(PREFACE).await;
    assert!(client.read_to_end().await.starts_with("HTTP/1.1 505 "));
    // The setting counts for the connections that follow.
    fixture.configure(&demo_routes());
    gateway.signal("HUP");
    eventually("HTTP/2 is served", async || {
        let mut client = Frames::connect(gateway.address).await;
        client.next().await.filter(|frame| frame.kind == 4)
    })
    .await;
    let (_, told) = curl(&gateway, "/", "sk_live_wrong", &[]);
    assert_eq!(told, "2 401");
    let mut old = Wire::connect(gateway.address).await;
    old.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(old.read_to_end().await.starts_with("HTTP/1.1 401 "), "HTTP/1.1 is served on the same address");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_one_connection_are_served_beside_each_other() {
    let setting = Setting::new(raw_routes).await;
    let mut client = Http2::connect(setting.gateway.address).await;
    let slow = client.post("/slow", &setting.customer.secret, "work").await;
    let (mut slow_server, header) = setting.upstream.request().await;
    assert!(header.starts_with("POST /slow HTTP/1.1\r\n"), "{header}");
    let fast = client.post("/fast", &setting.customer.secret, "work").await;
    let (mut fast_server, _) = setting.upstream.request().await;
    fast_server.read_until("work").await;
    fast_server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfast").await;
    assert_eq!(read(fast).await.body, "fast");
    slow_server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nslow\r\n0\r\n\r\n").await;
    let answer = read(slow).await;
    assert_eq!((answer.status, &*answer.body), (200, "slow"));
    assert_eq!(answer.headers.get("transfer-encoding"), None);
    assert!(answer.headers.contains_key("x-request-id"));
    assert_eq!(answer.trailers, None);
    setting.fixture.billing.wait_for(setting.customer.tenant, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_client_before_the_answer_ends() {
    let setting = Setting::new(raw_routes).await;
    let mut client = Http2::connect(setting.gateway.address).await;
    let answer = client.post("/events", &setting.customer.secret, "work").await;
    let (mut server, _) = setting.upstream.request().await;
    server.read_until("0\r\n\r\n").await;
    server.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await;
    server.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n").await;
    let response = answer.await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "data: one\n\n");
    server.send("data: two\n\n").await;
    assert_eq!(body.data().await.unwrap().unwrap(), "data: two\n\n");
    drop(server);
    // The upstream's connection ends the answer.
    while let Some(rest) = body.data().await {
        assert_eq!(rest.unwrap(), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_waits_to_be_told_sends_its_body_once_the_upstream_asks_for_it() {
    let setting = Setting::new(raw_routes).await;
    let mut client = Frames::connect(setting.gateway.address).await;
    let key = setting.customer.secret.expose();
    let header = fields("POST", "/", &[("x-api-key", key), ("expect", "100-continue"), ("content-length", "4")]);
    client.send(&[Frame::new(HEADERS, END_HEADERS, 1, header)]).await;
    let (mut server, header) = setting.upstream.request().await;
    assert!(header.to_ascii_lowercase().contains("\r\nexpect: 100-continue\r\n"), "{header}");
    server.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    let interim = client.next_of(HEADERS).await;
    // `:status` by its index, and `100` in Huffman's code (RFC 7541, appendix B); more follows.
    assert_eq!((&*interim.payload, interim.flags), (&[0x48, 0x82, 0x08, 0x01][..], END_HEADERS));
    client.send(&[Frame::new(DATA, END_STREAM, 1, *b"work")]).await;
    server.read_until("work").await;
    server.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    let answer = client.next_of(HEADERS).await;
    // `:status: 204` has an entry of its own.
    assert_eq!((answer.payload[0], answer.flags), (0x89, END_HEADERS | END_STREAM));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_break_a_rule_are_answered_with_problems() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway_with(&demo_routes()).await;
    let mut client = Http2::connect(gateway.address).await;
    let long = "v".repeat(20_000);
    let cases = [
        (Http2::request("GET", "/"), 401, "missing_credential"),
        (Http2::request("GET", "/a%2"), 400, "invalid_request"),
        (Http2::request("GET", "/a/../b"), 400, "invalid_request"),
        (Http2::request("GET", "/").header("expect", "wonders"), 417, "expectation_failed"),
        (Http2::request("GET", "/").header("x-long", &long), 431, "headers_too_large"),
        (Http2::request("GET", &format!("/{}", "p".repeat(9_000))), 414, "path_too_long"),
        (Http2::request("POST", "/small").header("content-length", "5000"), 413, "body_too_large"),
    ];
    for (request, status, code) in cases {
        let key = customer.secret.expose();
        let request = if status == 401 { request } else { request.header("x-api-key", key) };
        let told = format!("{request:?}").chars().take(200).collect::<String>();
        let is_post = told.contains("POST");
        let (answer, _sending) = client.send(request, !is_post).await;
        let answer = read(answer).await;
        assert_eq!(answer.status, status, "{told}: {answer:?}");
        let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body["code"], code, "{told}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    // The connection serves on.
    assert_eq!(client.get("/", &customer.secret).await.status, 200);
    let malformed = gateway.metric("tollgate_http_malformed_total{code=\"expectation_failed\"}").await;
    assert_eq!(malformed, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_sees_request_as_if_it_came_by_http1() {
    let setting = Setting::new(raw_routes).await;
    let mut client = Http2::connect(setting.gateway.address).await;
    let request =
        Http2::request("GET", "/x").header("x-api-key", setting.customer.secret.expose()).header("range", "bytes=0-1");
    let (answer, _) = client.send(request, true).await;
    let (mut server, header) = setting.upstream.request().await;
    let lower = header.to_ascii_lowercase();
    assert!(lower.starts_with("get /x http/1.1\r\n") && lower.contains("\r\nhost: a\r\n"), "{header}");
    assert!(lower.contains("\r\nrange: bytes=0-1\r\n"), "{header}");
    assert!(!lower.contains("transfer-encoding") && !lower.contains("x-api-key"), "{header}");
    server.send("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nab").await;
    let answer = read(answer).await;
    assert_eq!(
        (answer.status, &answer.headers["content-range"], &*answer.body),
        (206, &"bytes 0-1/9".parse().unwrap(), "ab")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_that_ends_finishes_requests_and_tells_clients() {
    let setting = Setting::new(raw_routes).await;
    let mut client = Http2::connect(setting.gateway.address).await;
    let answer = client.post("/", &setting.customer.secret, "work").await;
    let (mut server, _) = setting.upstream.request().await;
    server.read_until("work").await;
    let mut idle = Frames::connect(setting.gateway.address).await;
    idle.next_of(SETTINGS).await;
    setting.gateway.signal("TERM");
    let told = idle.next_of(GOAWAY).await;
    assert_eq!(told.reason(), 0, "{told:?}");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
    assert_eq!(read(answer).await.body, "done");
    client.closed().await.unwrap();
    assert!(setting.gateway.ended().await.success());
    assert_eq!(setting.fixture.billing.records(setting.customer.tenant).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrade_loses_no_request_of_a_busy_client() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    fixture.configure_at(&demo_routes(), address);
    let old = Gateway::start(&fixture.config_file()).await;
    old.wait_until_ready().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let secret = customer.secret.expose().to_owned();
    let busy = tokio::spawn(async move {
        let mut served = 0_u32;
        let mut client = Http2::connect(address).await;
        while !*stopped.borrow() {
            let request = Http2::request("GET", "/").header("x-api-key", &secret);
            // A client that was told to go opens another connection.
            if let Some(answer) = client.try_ask(request).await {
                assert_eq!(answer.status, 200);
                served += 1;
            } else {
                client = Http2::connect(address).await;
            }
        }
        served
    });
    let new = Gateway::upgrade(&fixture.config_file()).await;
    assert!(old.ended().await.success());
    new.wait_until_ready().await;
    stop.send_replace(true);
    let served = busy.await.unwrap();
    let records = fixture.billing.wait_for(customer.tenant, served as usize).await;
    assert_eq!(records.len(), served as usize);
}

#[tokio::test(flavor = "multi_thread")]
async fn h2load_is_served_without_an_error() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway_with(&demo_routes()).await;
    let key = format!("x-api-key: {}", customer.secret.expose());
    let output = Command::new("h2load")
        .args(["-n", "4000", "-c", "8", "-m", "10", "-H", &key, &gateway.url("/")])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("4000 succeeded, 0 failed, 0 errored, 0 timeout"), "{told}");
    assert!(told.contains("status codes: 4000 2xx"), "{told}");
    let records = fixture.billing.wait_for(customer.tenant, 4_000).await;
    assert_eq!(records.len(), 4_000, "each request is recorded once");
}
