//! An endpoint of webhooks: it keeps what it gets, and answers as a test asks.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

/// A message as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

/// Ways in which the receiver treats a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// This status.
    Status(u16),
    /// A redirect to itself.
    Redirect,
    /// 500 and a body that never ends.
    Endless,
    /// Nothing.
    Silence,
}

#[derive(Default)]
struct Seen {
    received: Vec<Received>,
    /// Answers by path; 204 for all others.
    answers: HashMap<String, Answer>,
}

/// A receiver on a free port.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    seen: Arc<Mutex<Seen>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let router = Router::new().fallback(take).with_state(Arc::clone(&seen));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen }
    }

    /// Answers messages to this path so from now on.
    pub(crate) fn answer(&self, path: &str, answer: Answer) {
        self.seen.lock().unwrap().answers.insert(path.to_owned(), answer);
    }

    /// Messages to a path, in the order in which they came.
    pub(crate) fn received(&self, path: &str) -> Vec<Received> {
        let seen = self.seen.lock().unwrap();
        seen.received.iter().filter(|one| one.path == path).cloned().collect()
    }
}

impl Received {
    pub(crate) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    pub(crate) fn document(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn kind(&self) -> String {
        self.document()["type"].as_str().unwrap().to_owned()
    }

    /// The order of a verification.
    pub(crate) fn to_verify(&self, secret: &str) -> Value {
        json!({ "secret": secret, "headers": self.headers, "body": self.body })
    }
}

async fn take(State(seen): State<Arc<Mutex<Seen>>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap().to_owned();
    let headers = headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let path = uri.path().to_owned();
    let answer = {
        let mut seen = seen.lock().unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        seen.received.push(Received { path: path.clone(), headers, body });
        seen.answers.get(&path).copied().unwrap_or(Answer::Status(204))
    };
    match answer {
        Answer::Status(status) => {
            (StatusCode::from_u16(status).unwrap(), [("retry-after", "7")], "said so").into_response()
        }
        Answer::Redirect => (StatusCode::FOUND, [("location", "/elsewhere")]).into_response(),
        Answer::Endless => {
            let more = futures_util::stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 16_384])));
            (StatusCode::INTERNAL_SERVER_ERROR, Body::from_stream(more)).into_response()
        }
        Answer::Silence => std::future::pending().await,
    }
}

/// Settings that let webhooks go to this machine.
pub(crate) const OPEN: &str = "webhooks: { allow_http: true, allow_networks: [127.0.0.0/8] }\n";
