//! Requests and answers as they pass through the gateway.

use common::key::Secret;
use serde_json::{Value, json};

use crate::support::{
    Fixture, eventually,
    raw::{RawUpstream, Wire},
};

fn routes_to(address: std::net::SocketAddr) -> String {
    format!(
        "
upstreams:
  raw: {{ servers: ['{address}'], read_timeout_ms: 20000 }}
routes:
  - {{ name: raw, path_prefix: /, upstream: raw }}
  - {{ name: socket, path_prefix: /socket, upstream: raw, upgrade: [websocket] }}
  - {{ name: hasty, path_prefix: /hasty, upstream: raw, timeout_ms: 200 }}
"
    )
}

fn get(path: &str, secret: &Secret, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: api.test\r\nX-Api-Key: {}\r\n{more}\r\n", secret.expose())
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_sees_who_calls_and_never_the_credential() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    let forged = "X-Tenant-Id: forged\r\nx_tenant_id: forged\r\nX-Key-Id: forged\r\nX_Key_Id: forged\r\n\
                  X-Plan: forged\r\nX_Plan: forged\r\nX_Request_Id: forged\r\nx_api_key: forged\r\n\
                  X-Forwarded-Proto: forged\r\nX-Forwarded-Host: forged\r\nX_Forwarded_For: forged\r\n\
                  X-Forwarded-For: 6.6.6.6\r\nX.Tenant.Id: forged\r\nX.Key~Id: forged\r\nX!Plan: forged\r\n\
                  x.api.key: forged\r\nX.Request*Id: forged\r\nForwarded: for=forged\r\nX-Real-IP: forged\r\n\
                  X.Real.IP: forged\r\nTrue-Client-IP: forged\r\nX-Forwarded-Port: forged\r\n\
                  X-Forwarded-Prefix: forged\r\nX-Original-URL: /forged\r\nX-Rewrite-URL: /forged\r\n\
                  X-HTTP-Method-Override: forged\r\nX_Method_Override: forged\r\nX-Forwarded-User: forged\r\n\
                  Proxy: forged\r\nConnection: close, X-Tenant-Id\r\n\
                  traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nX-Other: kept\r\n";
    for credential in ["X-Api-Key: ", "Authorization: Bearer "] {
        let mut wire = Wire::connect(gateway.address).await;
        let secret = customer.secret.expose();
        wire.send(format!("GET /a/b?c=d HTTP/1.1\r\nHost: api.test\r\n{credential}{secret}\r\n{forged}\r\n")).await;
        let answer = wire.read_to_end().await;
        let told: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        let headers = &told["headers"];
        assert_eq!(told["target"], "/a/b?c=d");
        assert_eq!(headers["x-tenant-id"], json!([customer.tenant.to_string()]));
        assert_eq!(headers["x-key-id"], json!([customer.key.to_string()]));
        assert_eq!(headers["x-plan"], json!(["roomy"]));
        assert_eq!(headers["x-forwarded-for"], json!(["127.0.0.1"]));
        assert_eq!(headers["x-forwarded-proto"], json!(["http"]));
        assert_eq!(headers["x-forwarded-host"], json!(["api.test"]));
        assert_eq!(headers["x-other"], json!(["kept"]));
        let trace = headers["traceparent"][0].as_str().unwrap();
        assert!(trace.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{trace}");
        let whole = told.to_string();
        assert!(!whole.contains(secret) && !whole.contains("forged"), "{whole}");
        assert!(headers.get("authorization").is_none() && headers.get("x-api-key").is_none(), "{whole}");
    }
    assert!(!gateway.output().contains(customer.secret.expose()), "a credential was logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn trusted_proxy_is_believed_what_it_forwards() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let routes = "
trusted_proxies: [127.0.0.1]
upstreams: { demo: { servers: ['DEMO'] } }
routes: [{ name: all, path_prefix: /, upstream: demo }]
";
    fixture.configure_at(routes, "[::]:0".parse().unwrap());
    let gateway = crate::support::process::Gateway::start(&fixture.config_file()).await;
    gateway.wait_until_ready().await;
    // A connection by IPv4 to a socket for both: the peer is ::ffff:127.0.0.1.
    let mut wire = Wire::connect(std::net::SocketAddr::from(([127, 0, 0, 1], gateway.address.port()))).await;
    let sent = "Connection: close\r\nX-Forwarded-For: 6.6.6.6, 198.51.100.7\r\nX-Forwarded-Proto: https\r\n\
                X-Forwarded-Host: shop.test\r\nX-Forwarded-Port: 8443\r\nX-Real-IP: forged\r\nForwarded: forged\r\n";
    wire.send(get("/", &customer.secret, sent)).await;
    let answer = wire.read_to_end().await;
    let told: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let headers = &told["headers"];
    assert_eq!(headers["x-forwarded-for"], json!(["198.51.100.7, 127.0.0.1"]));
    assert_eq!(headers["x-forwarded-proto"], json!(["https"]));
    assert_eq!(headers["x-forwarded-host"], json!(["shop.test"]));
    assert_eq!(headers["x-forwarded-port"], json!(["8443"]));
    assert!(!told.to_string().contains("forged"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn path_arrives_as_the_route_says() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    for (sent, arrives) in [
        ("/v1/stripped/x/y?z=1", "/x/y?z=1"),
        ("/v1/stripped", "/"),
        ("/v1/strippedx", "/v1/strippedx"),
        ("/v1/strippe%64/x", "/x"),
        ("/a%20b/c?d=%2F", "/a%20b/c?d=%2F"),
    ] {
        let mut wire = Wire::connect(gateway.address).await;
        wire.send(get(sent, &customer.secret, "Connection: close\r\n")).await;
        let answer = wire.read_to_end().await;
        assert!(answer.contains(&format!("\"target\":\"{arrives}\"")), "{sent}: {answer}");
    }
    let mut wire = Wire::connect(gateway.address).await;
    wire.send(get("http://api.test/v1/stripped/x", &customer.secret, "Connection: close\r\n")).await;
    assert!(wire.read_to_end().await.contains("\"target\":\"/x\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn response_streams() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let upstream = RawUpstream::start().await;
    let gateway = fixture.gateway_with(&routes_to(upstream.address)).await;
    let mut client = Wire::connect(gateway.address).await;
    client.send(get("/", &customer.secret, "")).await;
    let (mut server, _) = upstream.request().await;
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
    // The upstream has not finished; what it sent so far must already be here, and so must its
    // record.
    client.read_until("first").await;
    assert_eq!(fixture.billing.wait_for(customer.tenant, 1).await.len(), 1);
    server.send("4\r\nlast\r\n0\r\n\r\n").await;
    client.read_until("last").await;
    client.read_until("0\r\n\r\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_body_streams() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let upstream = RawUpstream::start().await;
    let gateway = fixture.gateway_with(&routes_to(upstream.address)).await;
    let mut client = Wire::connect(gateway.address).await;
    let key = customer.secret.expose();
    let header = format!("POST / HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(header + "5\r\nfirst\r\n").await;
    let (mut server, _) = upstream.request().await;
    server.read_until("first").await;
    client.send("4\r\nlast\r\n0\r\n\r\n").await;
    server.read_until("last").await;
    server.send("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok").await;
    let answer = client.read_until("ok").await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn upgraded_connection_carries_bytes_both_ways() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let upstream = RawUpstream::start().await;
    let gateway = fixture.gateway_with(&routes_to(upstream.address)).await;
    let mut client = Wire::connect(gateway.address).await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    client.send(get("/socket", &customer.secret, upgrade)).await;
    let (mut server, header) = upstream.request().await;
    assert!(header.to_ascii_lowercase().contains("upgrade: websocket"), "{header}");
    server
        .send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
               Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        )
        .await;
    client.read_until("\r\n\r\n").await;
    client.send("from the client").await;
    server.read_until("from the client").await;
    server.send("from the server").await;
    client.read_until("from the server").await;
    let records = fixture.billing.wait_for(customer.tenant, 1).await;
    assert_eq!((records[0].status, records[0].billable), (101, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_that_fails_is_told_apart_and_never_billed() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let upstream = RawUpstream::start().await;
    let gateway = fixture.gateway_with(&routes_to(upstream.address)).await;
    let failures = [
        ("/", Some(""), "502", "upstream_failed"),
        ("/", Some("nonsense\r\n\r\n"), "502", "upstream_failed"),
        ("/hasty", None, "504", "upstream_timeout"),
    ];
    for (path, sent, status, code) in failures {
        let mut client = Wire::connect(gateway.address).await;
        client.send(get(path, &customer.secret, "")).await;
        let (mut server, _) = upstream.request().await;
        let held = match sent {
            Some(bytes) => {
                server.send(bytes).await;
                drop(server);
                None
            }
            None => Some(server),
        };
        let answer = client.read_to_end().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(code), "{path}: {answer}");
        drop(held);
    }
    drop(upstream);
    let refused = gateway.get("/", &customer.secret).await;
    assert_eq!(refused.status(), 502);
    assert!(refused.text().await.unwrap().contains("upstream_unavailable"));
    eventually("failures counted", || async {
        let counted: u64 = fixture.billing.refusals(customer.tenant).iter().map(|refusals| refusals.count).sum();
        (counted == 4).then_some(())
    })
    .await;
    assert!(fixture.billing.records(customer.tenant).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_refuses_connections_is_passed_over() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gone = RawUpstream::start().await.address;
    let routes = format!(
        "
upstreams:
  pair: {{ servers: ['{gone}', 'DEMO'], health: {{ interval_seconds: 3600 }} }}
routes:
  - {{ name: pair, path_prefix: /, upstream: pair }}
"
    );
    let gateway = fixture.gateway_with(&routes).await;
    for _ in 0..6 {
        let post = gateway.client.post(gateway.url("/")).bearer_auth(customer.secret.expose()).body("once");
        assert_eq!(post.send().await.unwrap().status(), 200);
    }
    assert_eq!(fixture.upstream.requests(), 6);
    assert_eq!(fixture.billing.wait_for(customer.tenant, 6).await.len(), 6);
}
