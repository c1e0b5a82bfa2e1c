//! Upstreams that are spoken with by HTTP/2.

use servers::Authority;

use crate::{
    http2::WITHOUT_TLS,
    support::{
        Fixture, eventually,
        http2::{Http2, Http2Server},
        process::Gateway,
    },
};

async fn health(gateway: &Gateway, upstream: &str) -> serde_json::Value {
    let body = gateway.admin("/health/ready").await.1;
    serde_json::from_str::<serde_json::Value>(&body).unwrap()["upstreams"][upstream].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_share_a_connection_and_trailers_pass() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let server = Http2Server::start().await;
    let address = server.address;
    let gateway = fixture
        .gateway_with(&format!(
            "{WITHOUT_TLS}
upstreams: {{ two: {{ servers: ['{address}'], protocol: http2, health: {{ interval_seconds: 3600 }} }} }}
routes:
  - {{ name: two, path_prefix: /, upstream: two }}
"
        ))
        .await;
    let mut client = Http2::connect(gateway.address).await;
    for _ in 0..20 {
        let answer = client.get("/x?y", &customer.secret).await;
        assert_eq!((answer.status, &*answer.body), (200, "hello"));
        assert_eq!(answer.trailers.unwrap()["x-sum"], "5");
    }
    // Clients of HTTP/1.1 get the answer without its trailers.
    let answer = gateway.get("/x?y", &customer.secret).await;
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap()), (200, "hello".into()));
    let body = "b".repeat(300_000);
    let post = gateway.client.post(gateway.url("/up")).bearer_auth(customer.secret.expose()).body(body);
    assert_eq!(post.send().await.unwrap().text().await.unwrap(), "hello");
    let seen = server.seen();
    assert_eq!(seen.len(), 22);
    assert_eq!(seen[0], "GET http://a/x?y");
    assert_eq!(seen[21], format!("POST http://{}/up", gateway.address));
    assert!(server.connections() <= 4, "{} connections", server.connections());
    fixture.billing.wait_for(customer.tenant, 22).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_agreed_on_over_tls_and_checked_as_requests_go() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let directory = fixture.config_file().parent().unwrap().to_owned();
    let authority = Authority::create(&directory, "ours").unwrap();
    let identity = authority.sign("127.0.0.1").unwrap();
    let server = Http2Server::start_tls(&identity).await;
    let old = crate::support::tls::TlsServer::start(&identity, None).await;
    let (address, old, ca) = (server.address, old.address, authority.file().display().to_string());
    let common = format!("protocol: http2, tls: {{ ca_file: '{ca}' }}");
    let gateway = fixture
        .gateway_with(&format!(
            "
upstreams:
  good: {{ servers: ['https://{address}'], {common}, health: {{ interval_seconds: 1, path: /health }} }}
  sick: {{ servers: ['https://{address}'], {common}, health: {{ interval_seconds: 1, unhealthy_after: 1, path: /missing }} }}
  old: {{ servers: ['https://{old}'], {common}, health: {{ interval_seconds: 1, unhealthy_after: 1 }} }}
routes:
  - {{ name: good, path_prefix: /, upstream: good }}
  - {{ name: sick, path_prefix: /sick, upstream: sick }}
  - {{ name: old, path_prefix: /old, upstream: old }}
"
        ))
        .await;
    assert_eq!(gateway.get("/x", &customer.secret).await.text().await.unwrap(), "hello");
    assert!(server.seen().contains(&format!("GET https://{}/x", gateway.address)), "{:?}", server.seen());
    for (upstream, cause) in
        [("sick", "GET /missing answered 404, not 2xx"), ("old", "the server does not speak HTTP/2")]
    {
        let told = eventually(upstream, async || {
            let told = health(&gateway, upstream).await.to_string();
            told.contains(cause).then_some(told)
        })
        .await;
        assert!(told.contains("\"status\":\"down\"") || told.contains("healthy\":0"), "{told}");
    }
    eventually("the good server's check", async || {
        health(&gateway, "good").await.to_string().contains("\"healthy\":1").then_some(())
    })
    .await;
    assert!(server.seen().iter().any(|request| request == &format!("GET https://{address}/health")));
}
