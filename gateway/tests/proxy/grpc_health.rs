//! Health checks by gRPC, against the health service of tonic.

use std::net::SocketAddr;

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use serde_json::Value;
use tonic_health::{
    ServingStatus,
    server::{HealthReporter, health_reporter},
};

use crate::support::{Fixture, eventually, faulty::Faulty, process::Gateway};

/// A server that serves nothing but its health.
async fn start() -> (SocketAddr, HealthReporter) {
    let (reporter, service) = health_reporter();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    });
    (address, reporter)
}

async fn told(gateway: &Gateway, upstream: &str) -> Value {
    let (_, body) = gateway.admin("/health/ready").await;
    serde_json::from_str::<Value>(&body).unwrap()["upstreams"][upstream].take()
}

async fn is(gateway: &Gateway, upstream: &str, status: &str) -> Value {
    let seen = || async {
        let told = told(gateway, upstream).await;
        (told["status"] == status).then_some(told)
    };
    eventually(&format!("{upstream} is {status}"), seen).await
}

#[tokio::test(flavor = "multi_thread")]
async fn server_is_up_while_its_service_says_that_it_serves() {
    let fixture = Fixture::new().await;
    let (address, reporter) = start().await;
    let other = Faulty::start("no gRPC").await;
    let health =
        |service: &str| format!("{{ interval_seconds: 1, unhealthy_after: 1, healthy_after: 1, grpc: {service} }}");
    let file = format!(
        "upstreams:\n  \
         whole: {{ servers: ['{address}'], health: {} }}\n  \
         search: {{ servers: ['{address}'], health: {} }}\n  \
         unknown: {{ servers: ['{address}'], health: {} }}\n  \
         other: {{ servers: ['{}'], health: {} }}\n\
         routes: [{{ name: all, path_prefix: /, upstream: whole }}]\n",
        health("''"),
        health("search.v1.Search"),
        health("nobody"),
        other.address,
        health("''"),
    );
    reporter.set_service_status("search.v1.Search", ServingStatus::NotServing).await;
    let gateway = fixture.gateway_with(&file).await;
    is(&gateway, "whole", "up").await;
    let down = is(&gateway, "search", "down").await;
    assert_eq!(down["problems"][0]["reason"], "the service is NOT_SERVING");
    let unknown = is(&gateway, "unknown", "down").await;
    assert!(unknown["problems"][0]["reason"].as_str().unwrap().contains("does not know the service"), "{unknown}");
    is(&gateway, "other", "down").await;
    reporter.set_service_status("search.v1.Search", ServingStatus::Serving).await;
    is(&gateway, "search", "up").await;
    reporter.set_service_status("", ServingStatus::NotServing).await;
    is(&gateway, "whole", "down").await;
}
