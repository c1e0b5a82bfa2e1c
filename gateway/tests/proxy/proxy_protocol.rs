//! The PROXY protocol: whose client a connection is, if a trusted proxy says so.

use crate::support::{Fixture, ROUTES, eventually, process::Gateway, raw::Wire, tools::curl};

async fn gateway(fixture: &Fixture, trusted: &str) -> Gateway {
    let listeners = "listeners:\n  - { address: '127.0.0.1:0', proxy_protocol: true }\n";
    fixture.configure_listeners(&format!("trusted_proxies: [{trusted}]\n{listeners}"), ROUTES);
    let gateway = Gateway::start(&fixture.config_file()).await;
    gateway.wait_until_ready().await;
    gateway
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_a_trusted_proxy_names_is_the_client() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = gateway(&fixture, "127.0.0.0/8").await;
    let key = format!("X-Api-Key: {}", customer.secret.expose());
    // curl names itself.
    let answer = curl(&["--haproxy-protocol", "-H", &key, &gateway.url("/a")]).await.unwrap();
    assert_eq!((answer.status, answer.upstream_saw("x-forwarded-for")), (200, vec!["127.0.0.1".to_owned()]));
    let request =
        format!("GET /a HTTP/1.1\r\nHost: a\r\n{key}\r\nX-Forwarded-For: 192.0.2.9\r\nConnection: close\r\n\r\n");
    let line = b"PROXY TCP4 203.0.113.7 10.0.0.1 4000 443\r\n".to_vec();
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    binary.extend([203, 0, 113, 7, 10, 0, 0, 1, 0x0f, 0xa0, 1, 187]);
    for header in [line, binary] {
        // In one packet, and byte by byte.
        for piece in [usize::MAX, 1] {
            let mut wire = Wire::connect(gateway.address).await;
            let bytes = [&header[..], request.as_bytes()].concat();
            for bytes in bytes.chunks(piece.min(bytes.len())) {
                wire.send(bytes).await;
            }
            let answer = wire.read_to_end().await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            // The client is no trusted proxy: its own word on where it comes from does not count.
            assert!(answer.contains(r#""x-forwarded-for":["203.0.113.7"]"#), "{answer}");
        }
    }
    let of_client = || gateway.access_log().into_iter().find(|line| line.to_string().contains("203.0.113.7"));
    eventually("an access line", async || of_client()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn header_is_required_of_trusted_proxies_and_refused_of_others() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let key = format!("X-Api-Key: {}", customer.secret.expose());
    let trusting = gateway(&fixture, "127.0.0.0/8").await;
    assert!(curl(&["-H", &key, &trusting.url("/a")]).await.is_err());
    let closed = "tollgate_connections_closed_total{listener=\"clients\",reason=\"handshake_failed\"}";
    assert_eq!(trusting.metric(closed).await, Some(1.0));
    drop(trusting);
    let wary = gateway(&fixture, "192.0.2.1").await;
    assert_eq!(curl(&["-H", &key, &wary.url("/a")]).await.unwrap().status, 200);
    let refused = curl(&["--haproxy-protocol", "-H", &key, &wary.url("/a")]).await.unwrap();
    assert_eq!(refused.status, 400);
    assert_eq!(fixture.upstream.requests(), 1);
}
