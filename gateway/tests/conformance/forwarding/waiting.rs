//! A client that waits for `100 Continue` gets it from the upstream, and sends its body only then
//! (RFC 9110, section 10.1.1).

use crate::support::{
    Fixture,
    raw::{RawUpstream, Wire},
};

#[tokio::test(flavor = "multi_thread")]
async fn client_that_waits_sends_its_body_once_the_upstream_asks_for_it_or_never() {
    let fixture = Fixture::new().await;
    let upstream = RawUpstream::start().await;
    let gateway = fixture
        .gateway_with(&format!(
            "
upstreams: {{ raw: {{ servers: ['{}'], health: {{ interval_seconds: 3600 }} }} }}
routes: [{{ name: raw, path_prefix: /, upstream: raw, public: true }}]
",
            upstream.address
        ))
        .await;
    let header = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    let mut client = Wire::connect(gateway.address).await;
    client.send(header).await;
    let (mut server, _) = upstream.request().await;
    server.send("HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(client.read_until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("work").await;
    server.read_until("work").await;
    server.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n").await;
    assert!(client.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 204 "));
    // An upstream that refuses asks for nothing.
    let mut client = Wire::connect(gateway.address).await;
    client.send(header).await;
    let (mut server, _) = upstream.request().await;
    server.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
    assert!(client.read_until("\r\n\r\n").await.starts_with("HTTP/1.1 413 "));
}
