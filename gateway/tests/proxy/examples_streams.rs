//! The examples of long answers: gRPC and server-sent events, with the servers of the test.

use serde_json::json;
use servers::{GrpcCall, GrpcServer, grpc_call};

use crate::support::{
    Fixture,
    http2::Http2,
    raw::{RawUpstream, Wire},
};

/// An example below `config/examples`, with the test's server in place of its own and without its
/// address.
fn example(name: &str, its_server: &str, server: std::net::SocketAddr) -> String {
    let file = format!("{}/../config/examples/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(file).unwrap().replace("listen: 127.0.0.1:8080\n", "");
    assert!(text.contains(its_server), "{text}");
    text.replace(its_server, &server.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_serves_calls() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let server = GrpcServer::start().await.unwrap();
    let gateway = fixture.gateway_with(&example("grpc.yaml", "127.0.0.1:50051", server.address)).await;
    let metadata = json!({ "x-api-key": customer.secret.expose() });
    let call = |method, messages| GrpcCall {
        address: gateway.address,
        method,
        kind: "unary",
        timeout: 30.0,
        metadata: &metadata,
        messages,
    };
    assert_eq!(grpc_call(&call("Say", &["hello"])).unwrap()["code"], 0);
    assert_eq!(grpc_call(&call("Refuse", &["3"])).unwrap()["code"], 3);
    let records = fixture.billing.wait_for(customer.tenant, 2).await;
    assert_eq!(records.iter().filter(|record| record.billable).count(), 1, "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_one_by_one_in_both_versions() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let upstream = RawUpstream::start().await;
    let gateway = fixture.gateway_with(&example("server-sent-events.yaml", "127.0.0.1:9000", upstream.address)).await;
    let key = customer.secret.expose();
    let header = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let event = |text: &str| format!("{:x}\r\ndata: {text}\n\n\r\n", text.len() + 8);

    let mut old = Wire::connect(gateway.address).await;
    old.send(format!("GET /feed HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n\r\n")).await;
    let (mut server, _) = upstream.request().await;
    server.send(header).await;
    for text in ["one", "two", "three"] {
        server.send(event(text)).await;
        old.read_until(text).await;
    }
    drop(old);
    assert_eq!(server.read_to_end().await, "", "the upstream's work ends with its client");

    let mut client = Http2::connect(gateway.address).await;
    let (answer, _) = client.send(Http2::request("GET", "/feed").header("x-api-key", key), true).await;
    let (mut server, _) = upstream.request().await;
    server.send(header).await;
    let mut body = answer.await.unwrap().into_body();
    for text in ["one", "two", "three"] {
        server.send(event(text)).await;
        let part = body.data().await.unwrap().unwrap();
        assert_eq!(part, format!("data: {text}\n\n"));
        body.flow_control().release_capacity(part.len()).unwrap();
    }
    drop(body);
    assert_eq!(server.read_to_end().await, "", "the upstream's work ends with its client");
}
