//! The document and the routes agree, and every error is a problem document.

use std::collections::BTreeSet;

use common::{key::Pepper, store::Store, time::SystemClock};
use prometheus::Registry;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;
use utoipa::OpenApi as _;

use super::*;
use crate::{
    access::Access,
    config::DocumentsConfig,
    document::{Documents, Languages},
    ingest::{IngestMetrics, Intake},
};

const METHODS: [Method; 6] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

struct Served {
    address: String,
    client: Client,
    store: Store,
    _directory: tempfile::TempDir,
}

impl Served {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/tollgate.db", directory.path().display());
        let (store, _) = Store::open_and_migrate(&url).await.unwrap();
        let registry = Registry::new();
        let metrics = IngestMetrics::register(&registry).unwrap();
        let requests = RequestMetrics::register(&registry).unwrap();
        let (pepper, clock) = (Pepper::new(b"0123456789abcdef").unwrap(), Arc::new(SystemClock));
        let services = Services {
            access: Access::new(store.clone(), pepper.clone(), clock.clone()),
            intake: Intake::new(store.clone(), Arc::new(SystemClock), metrics),
            ingest_token: pepper.ingest_token(),
            pepper,
            clock,
            store: store.clone(),
            documents: Documents::new(DocumentsConfig::default().typesetter(), Languages::load(None).unwrap()),
            requests,
            reach: crate::outbox::webhook::Reach::default(),
            registry,
            providers: crate::payment::Providers::default(),
            settings: Arc::default(),
            pages: crate::config::PagesConfig::default(),
            mails_links: false,
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router(services)).await });
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { address, client: Client::new(), store, _directory: directory }
    }

    async fn request(&self, method: Method, path: &str) -> Response {
        self.client.request(method, format!("{}{path}", self.address)).send().await.unwrap()
    }
}

async fn assert_problem(response: Response, status: StatusCode, code: &str) {
    assert_eq!(response.status(), status);
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["code"], code);
    assert_eq!(problem["status"], status.as_u16());
    assert_eq!(problem["type"], format!("urn:tollgate:problem:{code}"));
    assert!(problem["detail"].is_string() && problem["title"].is_string(), "{problem}");
}

#[tokio::test]
async fn document_covers_exactly_the_existing_operations() {
    let served = Served::start().await;
    let document: Value = served.request(Method::GET, DOCUMENT_PATH).await.json().await.unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    let documented: BTreeSet<_> = paths.keys().map(String::as_str).collect();
    let routes = routes().into_iter().chain(routes_of_messages()).chain(routes_of_pages());
    assert_eq!(documented, routes.map(|(path, _)| path).collect());
    for (path, operations) in paths {
        for method in METHODS {
            let answered = served.request(method.clone(), path).await;
            let exists = answered.status() != StatusCode::METHOD_NOT_ALLOWED;
            assert_ne!(answered.status(), StatusCode::NOT_FOUND, "{method} {path}");
            assert_eq!(exists, operations.get(method.as_str().to_ascii_lowercase()).is_some(), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn unknown_path_returns_a_problem() {
    let served = Served::start().await;
    let long = format!("/{}", "x".repeat(9_000));
    for path in ["/", "/v1/use", "/openapi.yaml", "/health/", "/%00%ff", &long] {
        assert_problem(served.request(Method::GET, path).await, StatusCode::NOT_FOUND, "not_found").await;
    }
}

#[tokio::test]
async fn wrong_method_returns_a_problem_with_the_allowed_ones() {
    let served = Served::start().await;
    let response = served.request(Method::GET, BATCH_PATH).await;
    assert_eq!(response.headers()["allow"], "POST");
    assert_problem(response, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed").await;
}

#[tokio::test]
async fn health_follows_the_store() {
    let served = Served::start().await;
    let healthy = served.request(Method::GET, HEALTH_PATH).await;
    assert_eq!(healthy.status(), StatusCode::OK);
    assert_eq!(healthy.json::<Value>().await.unwrap(), serde_json::json!({ "status": "ok" }));
    served.store.close().await;
    let response = served.request(Method::GET, HEALTH_PATH).await;
    assert_problem(response, StatusCode::SERVICE_UNAVAILABLE, "store_unavailable").await;
}

#[test]
fn every_reference_in_the_document_resolves() {
    let document = serde_json::to_value(document::Interface::openapi()).unwrap();
    let text = document.to_string();
    let references = text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
    let mut found = 0;
    for reference in references {
        assert!(document.pointer(reference).is_some(), "{reference}");
        found += 1;
    }
    assert!(found > 0);
}
