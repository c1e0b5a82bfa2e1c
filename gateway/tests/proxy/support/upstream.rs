//! An upstream that tells what it was sent, and answers as the request asks.
//!
//! `X-Want-Status` sets the status; headers named `X-Want-Header-..` come back as headers named
//! `..`.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderName, StatusCode},
    response::{IntoResponse as _, Response},
};
use serde_json::{Map, Value, json};

/// Answers at `address`.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let requests = Arc::new(AtomicUsize::new(0));
        let router = Router::new().fallback(tell).with_state(Arc::clone(&requests));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, requests }
    }

    /// Requests that came so far.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn tell(State(requests): State<Arc<AtomicUsize>>, request: Request) -> Response {
    requests.fetch_add(1, Ordering::SeqCst);
    let (head, body) = request.into_parts();
    let mut headers = Map::new();
    let mut wanted = Vec::new();
    let mut status = StatusCode::OK;
    for (name, value) in &head.headers {
        let text = value.to_str().unwrap_or("not text");
        if name == "x-want-status" {
            status = text.parse().unwrap();
        } else if let Some(name) = name.as_str().strip_prefix("x-want-header-") {
            wanted.push((name.parse::<HeaderName>().unwrap(), value.clone()));
        } else {
            let all = headers.entry(name.as_str()).or_insert_with(|| json!([]));
            all.as_array_mut().unwrap().push(json!(text));
        }
    }
    let received = axum::body::to_bytes(body, usize::MAX).await.map_or(0, |body| body.len());
    let told: Value =
        json!({ "method": head.method.as_str(), "target": head.uri.to_string(), "headers": headers, "body": received });
    let mut response = (status, Json(told)).into_response();
    if status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        *response.body_mut() = Body::empty();
        response.headers_mut().remove("content-length");
    }
    for (name, value) in wanted {
        response.headers_mut().append(name, value);
    }
    response
}
