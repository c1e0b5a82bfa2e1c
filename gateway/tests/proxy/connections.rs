//! Connections of clients: requests one behind the other, ends of one side, uploads that are
//! refused, and clients that keep the gateway waiting.

use std::time::Duration;

use common::key::Secret;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    DEADLINE, Fixture, ROUTES, eventually,
    process::{Gateway, command, wrapped},
    raw::{RawUpstream, Wire},
};

fn get(path: &str, secret: &Secret) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: api.test\r\nX-Api-Key: {}\r\n\r\n", secret.expose())
}

fn routes_to(address: std::net::SocketAddr) -> String {
    format!(
        "upstreams:\n  raw: {{ servers: ['{address}'] }}\nroutes:\n  - {{ name: raw, path_prefix: /, upstream: raw }}\n"
    )
}

/// The targets that the upstream saw, in the order of the answers.
fn targets(answers: &str) -> Vec<String> {
    let told = answers.split("\"target\":\"").skip(1);
    told.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order_whatever_the_packets() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    let key = customer.secret.expose();
    let post = |path: &str, framing: &str, body: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n{framing}\r\n\r\n{body}")
    };
    let requests = [
        get("/1", &customer.secret),
        post("/2", "Content-Length: 5", "hello"),
        post("/3", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\nX-A: b\r\n\r\n"),
        format!("\r\n{}", get("/4", &customer.secret)),
        get("http://api.test/5", &customer.secret),
        post("/6", "Connection: close\r\nContent-Length: 2", "ok"),
    ];
    let all = requests.concat();
    for piece in [all.len(), 1_000, 100, 7] {
        let mut wire = Wire::connect(gateway.address).await;
        for piece in all.as_bytes().chunks(piece) {
            wire.send(piece).await;
        }
        let answers = wire.read_to_end().await;
        assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 6, "{answers}");
        assert_eq!(targets(&answers), ["/1", "/2", "/3", "/4", "/5", "/6"], "in pieces of {piece}");
    }
    assert_eq!(fixture.upstream.requests(), 24);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_that_comes_early_waits_for_the_answer_before_it() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let upstream = RawUpstream::start().await;
    let gateway = fixture.gateway_with(&routes_to(upstream.address)).await;
    let mut client = Wire::connect(gateway.address).await;
    client.send(get("/first", &customer.secret)).await;
    let (mut server, header) = upstream.request().await;
    assert!(header.starts_with("GET /first "), "{header}");
    client.send(get("/second", &customer.secret)).await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst").await;
    let answer = client.read_until("first").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let header = server.read_until("\r\n\r\n").await;
    assert!(header.starts_with("GET /second "), "{header}");
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond").await;
    client.read_until("second").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_ends_its_side_gets_every_answer() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let upstream = RawUpstream::start().await;
    let gateway = fixture.gateway_with(&routes_to(upstream.address)).await;
    let mut client = Wire::connect(gateway.address).await;
    client.send(get("/1", &customer.secret) + &get("/2", &customer.secret)).await;
    client.end_sending().await;
    let (mut server, _) = upstream.request().await;
    // The end has long been seen when the answers come.
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst").await;
    server.read_until("\r\n\r\n").await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond").await;
    let answers = client.read_to_end().await;
    assert!(answers.contains("first") && answers.ends_with("second"), "{answers}");
    assert_eq!(fixture.billing.wait_for(customer.tenant, 2).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_ends_its_side_in_the_middle_of_a_request_is_told() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    let key = customer.secret.expose();
    let cut = [
        "GET / HTTP/1.1\r\nHost: a".to_owned(),
        format!("POST / HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nContent-Length: 10\r\n\r\nhello"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    ];
    for text in cut {
        let mut wire = Wire::connect(gateway.address).await;
        wire.send(&text).await;
        wire.end_sending().await;
        let answer = wire.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("ended in the middle"), "{text:?}: {answer}");
    }
    let mut silent = Wire::connect(gateway.address).await;
    silent.end_sending().await;
    assert_eq!(silent.read_to_end().await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_that_is_refused_is_told_why() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("narrow")).await;
    let gateway = fixture.gateway().await;
    for _ in 0..3 {
        assert_eq!(gateway.status("/", &customer.secret).await, 200);
    }
    let stranger = Secret::generate(common::key::Mode::Live);
    let megabytes = 30;
    let cases =
        [(stranger.expose(), "/", 401), (customer.secret.expose(), "/", 429), (customer.secret.expose(), "/a, b", 400)];
    for (key, path, status) in cases {
        for framing in ["length", "chunked"] {
            let stream = TcpStream::connect(gateway.address).await.unwrap();
            let (mut from, mut to) = stream.into_split();
            let header = if framing == "length" {
                format!("Content-Length: {}", megabytes << 20)
            } else {
                "Transfer-Encoding: chunked".to_owned()
            };
            to.write_all(format!("POST {path} HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n{header}\r\n\r\n").as_bytes())
                .await
                .unwrap();
            // A client that looks at the answer only when it has sent everything.
            for _ in 0..megabytes {
                if framing == "chunked" {
                    to.write_all(b"100000\r\n").await.unwrap();
                }
                to.write_all(&vec![b'x'; 1 << 20]).await.unwrap();
                if framing == "chunked" {
                    to.write_all(b"\r\n").await.unwrap();
                }
            }
            let mut answer = Vec::new();
            tokio::time::timeout(DEADLINE, from.read_to_end(&mut answer)).await.unwrap().unwrap();
            let answer = String::from_utf8(answer).unwrap();
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {framing}: {answer}");
            assert!(answer.contains("application/problem+json"), "{answer}");
        }
    }
}

/// Deadlines that a test can wait for.
const HASTY: &str = "connections: { header_timeout_ms: 400, body_timeout_ms: 400, idle_timeout_ms: 400 }\n";

#[tokio::test(flavor = "multi_thread")]
async fn client_that_keeps_the_gateway_waiting_is_told_and_closed() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway_with(&format!("{HASTY}{ROUTES}")).await;
    let key = customer.secret.expose();
    let timeout = |answer: &str| answer.starts_with("HTTP/1.1 408 ") && answer.contains("\"code\":\"request_timeout\"");
    let post = format!("POST / HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n");
    for (text, is_told) in [
        (String::new(), false),
        ("GET / HTTP/1.1\r\nHost:".to_owned(), true),
        (format!("{post}Content-Length: 10\r\n\r\nhello"), true),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), true),
    ] {
        let mut wire = Wire::connect(gateway.address).await;
        wire.send(&text).await;
        let answer = wire.read_to_end().await;
        assert!(if is_told { timeout(&answer) } else { answer.is_empty() }, "{text:?}: {answer}");
    }
    // A byte now and then is not enough.
    let mut trickling = Wire::connect(gateway.address).await;
    for byte in "GET / HTTP/1.1\r\nHost: a\r\n".bytes().chain(std::iter::repeat_n(b'x', 200)) {
        trickling.send_as_far_as_taken([byte]).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(timeout(&trickling.read_to_end().await));
    // Between two requests nothing is said.
    let mut idle = Wire::connect(gateway.address).await;
    idle.send(get("/", &customer.secret)).await;
    idle.read_until("\"target\":\"/\"}").await;
    assert_eq!(idle.read_to_end().await, "");
    for reason in ["idle", "header_timeout", "body_timeout"] {
        let series = format!("tollgate_connections_closed_total{{listener=\"clients\",reason=\"{reason}\"}}");
        assert!(gateway.metric(&series).await.unwrap() >= 2.0, "{reason}");
    }
    eventually("connections closed", || async {
        (gateway.metric("tollgate_http_connections").await == Some(0.0)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_does_not_read_is_closed() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let upstream = RawUpstream::start().await;
    let settings = "connections: { send_timeout_ms: 300 }\n";
    let gateway = fixture.gateway_with(&format!("{settings}{}", routes_to(upstream.address))).await;
    let mut client = Wire::connect(gateway.address).await;
    client.send(get("/", &customer.secret)).await;
    let (mut server, _) = upstream.request().await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
    let filling = tokio::spawn(async move {
        for _ in 0..1_000 {
            server.send_as_far_as_taken(vec![b'x'; 1_000_000]).await;
        }
    });
    let series = "tollgate_connections_closed_total{listener=\"clients\",reason=\"send_timeout\"}";
    gateway.shows(series, 1.0).await;
    gateway.idle().await;
    filling.abort();
}

/// Starts a gateway that may open so many files.
async fn start_with_descriptors(fixture: &Fixture, descriptors: usize) -> Gateway {
    let script = format!("ulimit -n {descriptors}; exec \"$0\" \"$@\"");
    Gateway::spawn(wrapped(&["sh", "-c", &script], &command(&fixture.config_file()))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn more_silent_connections_than_descriptors_keep_nobody_out() {
    for (descriptors, silent) in [(1_024, 1_100), (160, 200)] {
        let fixture = Fixture::new().await;
        let customer = fixture.customer(Some("roomy")).await;
        fixture.configure(ROUTES);
        let gateway = start_with_descriptors(&fixture, descriptors).await;
        gateway.wait_until_ready().await;
        let mut held = Vec::new();
        for index in 0..silent {
            let mut wire = Wire::connect(gateway.address).await;
            if index % 2 == 0 {
                wire.send_as_far_as_taken("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ").await;
            }
            held.push(wire);
        }
        for _ in 0..10 {
            // While the flood is still being taken, a client may be asked to come back.
            eventually("an answer", || async {
                let mut fresh = Wire::connect(gateway.address).await;
                fresh.send_as_far_as_taken(get("/", &customer.secret)).await;
                fresh.end_sending().await;
                fresh.read_to_end().await.starts_with("HTTP/1.1 200 ").then_some(())
            })
            .await;
        }
        let (status, report) = gateway.admin("/health/ready").await;
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!((status, &report["upstreams"]["demo"]["healthy"]), (200, &1.into()), "{report}");
        let series = "tollgate_connections_closed_total{listener=\"clients\",reason=\"displaced\"}";
        assert!(gateway.metric(series).await.unwrap() > 0.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_keep_no_operator_out() {
    let fixture = Fixture::new().await;
    fixture.customer(Some("roomy")).await;
    fixture.configure(ROUTES);
    let gateway = start_with_descriptors(&fixture, 256).await;
    gateway.wait_until_ready().await;
    let mut held = Vec::new();
    for _ in 0..300 {
        held.push(Wire::connect(gateway.admin).await);
    }
    assert_eq!(gateway.admin("/health/live").await.0, 200);
    assert_eq!(gateway.admin("/health/ready").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_gateway_says_so_while_every_connection_is_busy() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let upstream = RawUpstream::start().await;
    let settings = "connections: { max: 10, max_per_address: 2 }\n";
    let gateway = fixture.gateway_with(&format!("{settings}{}", routes_to(upstream.address))).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut client = Wire::connect(gateway.address).await;
        client.send(get("/", &customer.secret)).await;
        busy.push((client, upstream.request().await.0));
    }
    let mut third = Wire::connect(gateway.address).await;
    let answer = third.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("too_many_connections"), "{answer}");
    let series = "tollgate_connections_refused_total{listener=\"clients\",reason=\"address\"}";
    assert_eq!(gateway.metric(series).await, Some(1.0));
    for (client, server) in &mut busy {
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        client.read_until("ok").await;
    }
    // Those that were busy wait a moment after their answers have come: then one of them gives way.
    let header = loop {
        let mut fresh = Wire::connect(gateway.address).await;
        fresh.send_as_far_as_taken(get("/", &customer.secret)).await;
        // It comes over either of the two connections that are kept, or over a new one.
        let [(_, one), (_, other)] = &mut busy[..] else { panic!("two were busy") };
        tokio::select! {
            header = one.read_until("\r\n\r\n") => break header,
            header = other.read_until("\r\n\r\n") => break header,
            (_, header) = upstream.request() => break header,
            refusal = fresh.read_to_end() => assert!(refusal.starts_with("HTTP/1.1 503 "), "{refusal}"),
        }
    };
    assert!(header.starts_with("GET / "), "{header}");
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptor_limit_is_raised_and_said() {
    let fixture = Fixture::new().await;
    fixture.configure(ROUTES);
    let limited = wrapped(&["sh", "-c", "ulimit -S -n 256; exec \"$0\" \"$@\""], &command(&fixture.config_file()));
    let gateway = Gateway::spawn(limited).await;
    let line = gateway.logged("the limit", |line| line["event"] == "descriptor_limit_raised").await;
    assert_eq!(line["before"], 256);
    assert!(line["limit"].as_u64().unwrap() > 256, "{line}");
}
