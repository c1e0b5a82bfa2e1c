//! Memory of a gateway over its life.

use std::{cell::Cell, time::Duration};

use axum::Router;
use futures_util::future::join_all;

use crate::support::{Fixture, eventually, raw::Wire};

/// Clients at once that ask for a large answer and do not read it.
const CLIENTS: usize = 200;

const ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// Least size of the unread answers, else the test shows nothing.
const GROWTH_BYTES: u64 = 100 * 1024 * 1024;

/// Growth within a second that does not count.
const NOISE_BYTES: u64 = 2 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn idle_gateway_gives_back_the_memory_of_slow_clients_that_have_left() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let app = Router::new().fallback(|| async { vec![b'x'; ANSWER_BYTES] });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let routes = format!(
        "upstreams:\n  large: {{ servers: ['{address}'] }}\nroutes:\n  - {{ name: all, path_prefix: /, upstream: large }}\n"
    );
    let gateway = fixture.gateway_with(&routes).await;
    assert_eq!(gateway.status("/", &customer.secret).await, 200);
    let before = gateway.resident_bytes();

    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n", customer.secret.expose());
    let clients = join_all((0..CLIENTS).map(|_| async {
        let mut client = Wire::connect(gateway.address).await;
        client.send(&request).await;
        client
    }));
    let clients = clients.await;
    let last = Cell::new(0);
    eventually("all memory that unread answers take", || async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (now, before_that) = (gateway.resident_bytes(), last.replace(gateway.resident_bytes()));
        (now > before + GROWTH_BYTES && now.abs_diff(before_that) < NOISE_BYTES).then_some(())
    })
    .await;
    drop(clients);
    let given_back = || async { (gateway.resident_bytes() < before + GROWTH_BYTES / 2).then_some(()) };
    eventually("memory given back", given_back).await;
}
