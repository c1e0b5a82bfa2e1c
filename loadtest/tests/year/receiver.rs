//! An endpoint of webhooks: it keeps what it takes, in the order in which it comes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

/// An event that an endpoint has taken.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    /// Its `webhook-id`.
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) tenant: String,
    pub(crate) data: Value,
}

#[derive(Default)]
struct Endpoints {
    taken: HashMap<String, Vec<Taken>>,
    secrets: HashMap<String, String>,
    closed: HashMap<String, u64>,
    faults: Vec<String>,
}

/// Endpoints on a free port, one for each path.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    endpoints: Arc<Mutex<Endpoints>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let endpoints = Arc::<Mutex<Endpoints>>::default();
        let router = Router::new().fallback(take).with_state(Arc::clone(&endpoints));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, endpoints }
    }

    /// Expects messages to a path to be signed with this secret.
    pub(crate) fn expects(&self, path: &str, secret: &str) {
        self.endpoints.lock().unwrap().secrets.insert(path.to_owned(), secret.to_owned());
    }

    /// Takes nothing at a path any more, or takes it again.
    pub(crate) fn close(&self, path: &str, is_closed: bool) {
        let mut endpoints = self.endpoints.lock().unwrap();
        if is_closed {
            endpoints.closed.entry(path.to_owned()).or_default();
        } else if let Some(refused) = endpoints.closed.remove(path)
            && refused == 0
        {
            endpoints.faults.push(format!("nothing was sent to {path} while it was closed"));
        }
    }

    /// Everything that a path has taken.
    pub(crate) fn taken(&self, path: &str) -> Vec<Taken> {
        self.endpoints.lock().unwrap().taken.get(path).cloned().unwrap_or_default()
    }

    /// Messages that are not what the specification asks for, since the last time.
    pub(crate) fn faults(&self) -> Vec<String> {
        std::mem::take(&mut self.endpoints.lock().unwrap().faults)
    }
}

async fn take(State(endpoints): State<Arc<Mutex<Endpoints>>>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut endpoints = endpoints.lock().unwrap();
    let path = uri.path().to_owned();
    if let Some(refused) = endpoints.closed.get_mut(&path) {
        *refused += 1;
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let secret = endpoints.secrets.get(&path).cloned().unwrap_or_default();
    let id = text(&headers, "webhook-id");
    if !is_signed(&headers, &body, &secret) {
        endpoints.faults.push(format!("{path}: the signature of {id} is wrong"));
    }
    let event: Value = serde_json::from_slice(&body).unwrap_or_default();
    let word = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    let taken = Taken { id, kind: word("type"), tenant: word("tenant"), data: event["data"].clone() };
    endpoints.taken.entry(path).or_default().push(taken);
    StatusCode::NO_CONTENT
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// Checks a message as receivers do, by the Standard Webhooks specification.
fn is_signed(headers: &HeaderMap, body: &[u8], secret: &str) -> bool {
    let key = BASE64_STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap_or_default();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{}.{}.", text(headers, "webhook-id"), text(headers, "webhook-timestamp")).as_bytes());
    mac.update(body);
    let expected = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
    text(headers, "webhook-signature").split(' ').any(|signature| signature == expected)
}
