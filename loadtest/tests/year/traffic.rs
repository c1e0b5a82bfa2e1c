//! Usage: requests through a real gateway, whose clock is the machine's.
//!
//! Between the gateway and billing stands a relay that puts the time of the test's clock into each
//! entry and changes nothing else, so that numbers, batches and repetitions are the gateway's own.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
};
use common::{
    time::Clock as _,
    usage::{UsageBatch, UsageEntry},
};
use loadtest::{
    processes::{GatewayOptions, GatewayProcess, UsageSink},
    upstream::{self, Upstream},
};
use reqwest::Client;
use serde_json::json;
use servers::eventually;

use crate::calendar::TestClock;

/// A gateway, its upstream, and a client of it.
pub(crate) struct Traffic {
    gateway: GatewayProcess,
    _upstream: Upstream,
    client: Client,
    relay: Arc<Relay>,
    sent: AtomicU64,
}

struct Relay {
    clock: TestClock,
    /// URL of billing.
    billing: String,
    client: Client,
    booked: AtomicU64,
}

impl Traffic {
    /// A gateway on `store` that hands in its usage to `billing`.
    pub(crate) async fn start(directory: &Path, store: &str, billing: &str, clock: TestClock) -> Self {
        let client = Client::new();
        let relay = Relay { clock, billing: billing.to_owned(), client: client.clone(), booked: AtomicU64::new(0) };
        let relay = Arc::new(relay);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = UsageSink::Http(format!("http://{}", listener.local_addr().unwrap()));
        let router = Router::new().fallback(pass_on).with_state(Arc::clone(&relay));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let upstream = upstream::spawn(([127, 0, 0, 1], 0).into()).await.unwrap();
        let route = json!({
            "name": "bulk", "path_prefix": "/bulk", "strip_prefix": true, "upstream": "demo",
            "units": { "header": "X-Usage-Units", "default": 1 },
        });
        let gateway = GatewayProcess::start(GatewayOptions {
            routes: json!([route]),
            limits: json!({ "failed_credentials": { "enabled": false } }),
            ..GatewayOptions::new(directory, store, sink, upstream.address())
        });
        let gateway = gateway.await.unwrap();
        Self { gateway, _upstream: upstream, client, relay, sent: AtomicU64::new(0) }
    }

    /// The status of a request that no route is for: nothing of it is metered, and a tenant that is
    /// refused learns it all the same.
    pub(crate) async fn status(&self, key: &str) -> u16 {
        self.get("/nowhere", key).await
    }

    /// Waits until the gateway answers such a request so.
    pub(crate) async fn becomes(&self, key: &str, status: u16, who: &str) {
        eventually(&format!("{who} is answered with {status}"), async || self.status(key).await == status).await;
    }

    /// Uses so many units by one request.
    pub(crate) async fn uses(&self, key: &str, units: u64) -> u16 {
        let status = self.get(&format!("/bulk/units/{units}"), key).await;
        self.sent.fetch_add(u64::from(status == 200), Ordering::SeqCst);
        status
    }

    /// Waits until all that was used is booked.
    pub(crate) async fn booked(&self) {
        let sent = self.sent.load(Ordering::SeqCst);
        eventually("usage is booked", async || self.relay.booked.load(Ordering::SeqCst) == sent).await;
    }

    async fn get(&self, path: &str, key: &str) -> u16 {
        let answer = self.client.get(self.gateway.url() + path).bearer_auth(key).send().await.unwrap();
        answer.status().as_u16()
    }
}

/// Hands a batch on, with the time of the test's clock in its entries.
async fn pass_on(State(relay): State<Arc<Relay>>, uri: Uri, headers: HeaderMap, body: Bytes) -> (StatusCode, Vec<u8>) {
    let Ok(mut batch) = UsageBatch::decode(&body) else { return (StatusCode::BAD_REQUEST, Vec::new()) };
    let (now, mut requests) = (relay.clock.now(), 0);
    for entry in &mut batch.entries {
        match entry {
            UsageEntry::Request(record) => {
                record.at = now;
                requests += 1;
            }
            UsageEntry::Refusals(refusals) => refusals.at = now,
            UsageEntry::Void | UsageEntry::Lost | UsageEntry::End => {}
        }
    }
    let mut request = relay.client.post(format!("{}{uri}", relay.billing)).body(batch.encode());
    for (name, value) in headers.iter().filter(|(name, _)| !matches!(name.as_str(), "host" | "content-length")) {
        request = request.header(name, value);
    }
    let Ok(answer) = request.send().await else { return (StatusCode::BAD_GATEWAY, Vec::new()) };
    let status = answer.status();
    let body = answer.bytes().await.unwrap_or_default().to_vec();
    if status == StatusCode::OK {
        relay.booked.fetch_add(requests, Ordering::SeqCst);
    }
    (status, body)
}
