//! Connections that are upgraded: only where a route says so, and only for as long as the key, the
//! tenant and the route allow it.

use std::{net::SocketAddr, time::Duration};

use common::tenant::TenantStatus;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;

use crate::support::{
    Customer, Fixture, eventually, now,
    process::Gateway,
    raw::{RawUpstream, Wire},
    websocket::{Echo, closed, connect, ended, refused, talk},
};

fn routes_to(address: SocketAddr) -> String {
    format!(
        "
upstreams: {{ all: {{ servers: ['{address}'], read_timeout_ms: 400, health: {{ interval_seconds: 3600 }} }} }}
routes:
  - {{ name: plain, path_prefix: /, upstream: all }}
  - {{ name: chat, path_prefix: /chat, upstream: all, upgrade: [websocket], body_bytes: 1000, limits: {{ concurrent: 1 }} }}
  - {{ name: brief, path_prefix: /brief, upstream: all, upgrade: [websocket], upgrade_idle_seconds: 1 }}
"
    )
}

struct Setting {
    fixture: Fixture,
    customer: Customer,
    gateway: Gateway,
}

impl Setting {
    async fn with(address: SocketAddr) -> Self {
        let fixture = Fixture::new().await;
        let customer = fixture.customer(Some("roomy")).await;
        let gateway = fixture.gateway_with(&routes_to(address)).await;
        Self { fixture, customer, gateway }
    }

    async fn open(&self, path: &str) -> WebSocketStream<TcpStream> {
        connect(&self.gateway, path, &self.customer.secret).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upgraded_connection_lives_through_silence_and_holds_its_permit() {
    let setting = Setting::with(Echo::start().await.address).await;
    let mut socket = setting.open("/chat").await;
    talk(&mut socket, "hello").await;
    // Longer than the upstream of a request may stay silent.
    tokio::time::sleep(Duration::from_secs(1)).await;
    talk(&mut socket, "still here").await;
    // More than the body of a request may have.
    talk(&mut socket, &"x".repeat(5_000)).await;
    assert_eq!(setting.gateway.metric("tollgate_upgraded_connections").await, Some(1.0));
    assert_eq!(refused(&setting.gateway, "/chat", &setting.customer.secret).await.0, 429);
    socket.close(None).await.unwrap();
    closed(&mut socket).await;
    drop(socket);
    let again = || async { connect(&setting.gateway, "/chat", &setting.customer.secret).await.ok() };
    let mut socket = eventually("the permit is free", again).await;
    talk(&mut socket, "again").await;
    let records = setting.fixture.billing.wait_for(setting.customer.tenant, 2).await;
    assert!(records.iter().all(|record| record.status == 101 && record.billable && record.units == 1), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn upgraded_connection_ends_with_what_allows_it() {
    let address = Echo::start().await.address;
    for reason in ["key", "tenant", "route"] {
        let setting = Setting::with(address).await;
        let Setting { fixture, customer, gateway } = &setting;
        let other = fixture.customer(Some("roomy")).await;
        let mut socket = setting.open("/brief").await;
        talk(&mut socket, "hello").await;
        match reason {
            "key" => drop(fixture.store.revoke_key(customer.key, now()).await.unwrap()),
            "tenant" => {
                drop(fixture.store.set_tenant_status(customer.tenant, TenantStatus::Suspended, now()).await.unwrap());
            }
            _ => fixture.configure(&routes_to(address).replace("name: brief", "name: other")),
        }
        assert_eq!(closed(&mut socket).await, Some(1008), "{reason}");
        assert_eq!(ended(gateway, reason).await, Some(1.0), "{reason}");
        let line = eventually("its access line", || async {
            gateway.access_log().into_iter().find(|line| line["ended"] == reason)
        })
        .await;
        assert_eq!((&line["status"], &line["path"], &line["method"]), (&101.into(), &"/brief".into(), &"GET".into()));
        let mut socket = connect(gateway, "/brief", &other.secret).await.unwrap();
        talk(&mut socket, "others go on").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn websocket_ends_with_its_server_after_all_that_the_server_said() {
    let upstream = RawUpstream::start().await;
    let setting = Setting::with(upstream.address).await;
    let asked = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let mut client = Wire::connect(setting.gateway.address).await;
    let key = setting.customer.secret.expose();
    client.send(format!("GET /chat HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n{asked}\r\n")).await;
    let (mut server, _) = upstream.request().await;
    let last = "\u{1}\u{5}hello";
    server.send(format!("HTTP/1.1 101 Switching Protocols\r\n{asked}\r\n{last}")).await;
    client.read_until("\r\n\r\n").await;
    drop(server);
    assert_eq!(client.read_to_end().await, last, "the client has not closed its side");
}

#[tokio::test(flavor = "multi_thread")]
async fn websocket_whose_server_breaks_off_is_closed_without_a_word_of_the_gateway() {
    let upstream = RawUpstream::start().await;
    let setting = Setting::with(upstream.address).await;
    let asked = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let mut client = Wire::connect(setting.gateway.address).await;
    let key = setting.customer.secret.expose();
    client.send(format!("GET /chat HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n{asked}\r\n")).await;
    let (mut server, _) = upstream.request().await;
    let last = "\u{1}\u{5}hello";
    server.send(format!("HTTP/1.1 101 Switching Protocols\r\n{asked}\r\n{last}")).await;
    client.read_until("\r\n\r\n").await;
    assert_eq!(client.read_exactly(last.len()).await, last);
    server.reset();
    assert_eq!(client.read_to_end().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_upgraded_connection_is_closed() {
    let setting = Setting::with(Echo::start().await.address).await;
    let mut socket = setting.open("/brief").await;
    assert_eq!(closed(&mut socket).await, Some(1001));
    assert_eq!(ended(&setting.gateway, "idle").await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_that_ends_tells_websockets_to_connect_again() {
    let setting = Setting::with(Echo::start().await.address).await;
    let mut socket = setting.open("/chat").await;
    talk(&mut socket, "hello").await;
    setting.gateway.signal("TERM");
    assert_eq!(closed(&mut socket).await, Some(1012));
    assert!(setting.gateway.ended().await.success());
    assert_eq!(setting.fixture.billing.records(setting.customer.tenant).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn close_never_stands_in_another_frame() {
    let upstream = RawUpstream::start().await;
    let asked = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    // A frame with the text `hello`, and what comes of it before and after the end of its key.
    for (before, after, is_told) in [("\u{1}\u{5}hello", "", true), ("\u{1}\u{5}hel", "lo", true), ("\u{1}", "", false)]
    {
        let setting = Setting::with(upstream.address).await;
        let key = setting.customer.secret.expose();
        let mut client = Wire::connect(setting.gateway.address).await;
        client.send(format!("GET /brief HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n{asked}\r\n")).await;
        let (mut server, _) = upstream.request().await;
        server.send(format!("HTTP/1.1 101 Switching Protocols\r\n{asked}\r\n{before}")).await;
        client.read_until("\r\n\r\n").await;
        assert_eq!(client.read_exactly(before.len()).await, before);
        setting.fixture.store.revoke_key(setting.customer.key, now()).await.unwrap();
        let _ = server.try_send(after).await;
        let told = client.read_to_end().await;
        assert!(told.starts_with(after), "{told:?}");
        assert_eq!(told.contains("revoked"), is_told, "{told:?}");
        assert!(is_told || told.is_empty(), "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn route_that_names_no_protocol_refuses_websockets_and_passes_over_other_offers() {
    let upstream = RawUpstream::start().await;
    let setting = Setting::with(upstream.address).await;
    let (status, body) = refused(&setting.gateway, "/", &setting.customer.secret).await;
    assert_eq!(status, 403);
    assert!(body.is_null() || body["code"] == "upgrade_not_allowed", "{body}");
    let mut client = Wire::connect(setting.gateway.address).await;
    let key = setting.customer.secret.expose();
    let offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n{offer}\r\n")).await;
    let (mut server, header) = upstream.request().await;
    assert!(!header.to_ascii_lowercase().contains("upgrade"), "{header}");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert!(client.read_until("ok").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrade_that_nobody_asked_for_is_an_error_and_not_billed() {
    let upstream = RawUpstream::start().await;
    let setting = Setting::with(upstream.address).await;
    let asked = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let cases = [
        ("/", "", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
        ("/", "", "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
        ("/", "Connection: Upgrade\r\nUpgrade: h2c\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"),
        ("/chat", "", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"),
        ("/chat", asked, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"),
        ("/chat", asked, "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    ];
    for (path, lines, answer) in cases {
        let mut client = Wire::connect(setting.gateway.address).await;
        let key = setting.customer.secret.expose();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n{lines}\r\n")).await;
        let (mut server, _) = upstream.request().await;
        server.send(answer).await;
        let told = client.read_to_end().await;
        assert!(told.starts_with("HTTP/1.1 502 ") && told.contains("upstream_failed"), "{path} {lines:?}: {told}");
    }
    setting.gateway.signal("TERM");
    assert!(setting.gateway.ended().await.success());
    assert!(setting.fixture.billing.records(setting.customer.tenant).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrade_is_answered_in_time_or_fails() {
    let upstream = RawUpstream::start().await;
    let setting = Setting::with(upstream.address).await;
    let mut client = Wire::connect(setting.gateway.address).await;
    let key = setting.customer.secret.expose();
    client
        .send(format!(
            "GET /chat HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        ))
        .await;
    let (_server, header) = upstream.request().await;
    assert!(header.to_ascii_lowercase().contains("upgrade: websocket"), "{header}");
    let told = client.read_to_end().await;
    assert!(told.starts_with("HTTP/1.1 504 ") && told.contains("upstream_timeout"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn example_of_websockets_is_served_as_it_says() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/examples/websocket.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let (fixture, echo) = (Fixture::new().await, Echo::start().await);
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway_with(&text.replace("127.0.0.1:9000", &echo.address.to_string())).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut socket = connect(&gateway, "/chat", &customer.secret).await.unwrap();
        talk(&mut socket, "hello").await;
        open.push(socket);
    }
    assert_eq!(refused(&gateway, "/chat", &customer.secret).await.0, 429);
    assert_eq!(refused(&gateway, "/elsewhere", &customer.secret).await.0, 403);
    let records = fixture.billing.wait_for(customer.tenant, 2).await;
    assert!(records.iter().all(|record| record.billable && record.status == 101), "{records:?}");
    for (path, route, units) in [("/ask", "ask", 2), ("/feed", "feed", 3)] {
        let mut socket = connect(&gateway, path, &customer.secret).await.unwrap();
        for length in [1024, 1025] {
            talk(&mut socket, &"x".repeat(length)).await;
        }
        open.push(socket);
        let billed = || async {
            let records = fixture.billing.records(customer.tenant);
            let units: u64 = records.iter().filter(|record| &*record.route == route).map(|record| record.units).sum();
            Some(units).filter(|units| *units > 0)
        };
        eventually("units", || async { (billed().await? == units).then_some(()) }).await;
    }
    fixture.store.revoke_key(customer.key, now()).await.unwrap();
    for socket in &mut open {
        assert_eq!(closed(socket).await, Some(1008));
    }
}
