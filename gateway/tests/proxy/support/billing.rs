//! A stand-in for billing that books batches in memory, once per stream and number.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Json, Router, body::Bytes, extract::State, routing::post};
use common::{
    id::TenantId,
    usage::{BATCH_PATH, RefusalCount, UsageBatch, UsageEntry, UsageRecord},
};
use serde_json::{Value, json};

use super::eventually;

type Booked = Arc<Mutex<BTreeMap<(String, u64), UsageEntry>>>;

/// Takes usage at `address`.
pub(crate) struct Billing {
    pub(crate) address: SocketAddr,
    booked: Booked,
}

impl Billing {
    pub(crate) async fn start() -> Self {
        let booked = Booked::default();
        let router = Router::new().route(BATCH_PATH, post(book)).with_state(Arc::clone(&booked));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, booked }
    }

    /// Requests of a tenant that were booked so far, in the order of their streams.
    pub(crate) fn records(&self, tenant: TenantId) -> Vec<UsageRecord> {
        let booked = self.booked.lock().unwrap();
        let requests = booked.values().filter_map(|entry| match entry {
            UsageEntry::Request(record) => Some(record.clone()),
            UsageEntry::Refusals(_) | UsageEntry::Void | UsageEntry::Lost | UsageEntry::End => None,
        });
        requests.filter(|record| record.tenant == tenant).collect()
    }

    /// Refusals of a tenant that were booked so far.
    pub(crate) fn refusals(&self, tenant: TenantId) -> Vec<RefusalCount> {
        let booked = self.booked.lock().unwrap();
        let refusals = booked.values().filter_map(|entry| match entry {
            UsageEntry::Request(_) | UsageEntry::Void | UsageEntry::Lost | UsageEntry::End => None,
            UsageEntry::Refusals(refusals) => Some(refusals.clone()),
        });
        refusals.filter(|refusals| refusals.tenant == tenant).collect()
    }

    /// Waits until at least `count` requests of a tenant are booked.
    pub(crate) async fn wait_for(&self, tenant: TenantId, count: usize) -> Vec<UsageRecord> {
        eventually("usage booked", || async {
            let records = self.records(tenant);
            (records.len() >= count).then_some(records)
        })
        .await
    }
}

async fn book(State(booked): State<Booked>, body: Bytes) -> Json<Value> {
    let batch = UsageBatch::decode(&body).unwrap();
    let next_seq = batch.end_seq();
    let stream = batch.stream.to_string();
    let mut booked = booked.lock().unwrap();
    let count = batch.entries.len();
    for (seq, entry) in (batch.first_seq..).zip(batch.entries) {
        booked.entry((stream.clone(), seq)).or_insert(entry);
    }
    Json(json!({ "next_seq": next_seq, "booked": count, "replayed": 0, "gap": 0, "unknown_tenants": [] }))
}
