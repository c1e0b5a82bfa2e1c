//! The demo's client: sends requests through the gateway and counts what it fully received.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use common::id::TenantId;
use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval};

use super::tenants::Customer;

/// The client's counts for one tenant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Requests sent.
    pub sent: u64,
    /// Answers received in full.
    pub received: u64,
    /// Answers from the upstream that should be on the bill: 2xx and 4xx under a live key.
    pub billable_requests: u64,
    /// Units that should be on the bill.
    pub billable_units: u64,
    /// Answers from the upstream under a test key.
    pub test_requests: u64,
    /// Answers by which the gateway itself refused.
    pub refused: u64,
}

/// One kind of request and what it should cost.
struct Kind {
    path: &'static str,
    units: u64,
    test_key: bool,
}

const HELLO: Kind = Kind { path: "/v1/hello", units: 1, test_key: false };
const NOT_FOUND: Kind = Kind { path: "/v1/status/404", units: 1, test_key: false };
const BULK: Kind = Kind { path: "/bulk/units/25000", units: 25_000, test_key: false };
const BROKEN: Kind = Kind { path: "/v1/status/503", units: 1, test_key: false };
const SANDBOX: Kind = Kind { path: "/v1/hello", units: 1, test_key: true };

/// Requests of a single run: each answer is billable.
const BILLABLE_ONLY: &[Kind] = &[HELLO, BULK, NOT_FOUND, HELLO];

/// Requests of the live demo: some of everything.
const MIXED: &[Kind] = &[HELLO, BULK, HELLO, HELLO, NOT_FOUND, HELLO, SANDBOX, HELLO, BROKEN, HELLO];

/// Requests of the trial customer: each is small, and there are too many of them.
const TRIAL: &[Kind] = &[HELLO, HELLO, NOT_FOUND, HELLO];

/// The fields of the gateway's refusal that the demo reads.
#[derive(Deserialize)]
struct Refusal {
    status: u16,
    code: String,
}

/// Sends and counts.
#[derive(Clone)]
pub struct Traffic {
    client: reqwest::Client,
    gateway: String,
    counted: Arc<Mutex<HashMap<TenantId, Counted>>>,
    last_refusal: Arc<Mutex<Option<String>>>,
}

impl Traffic {
    /// Traffic for the gateway at `gateway`, as in `http://127.0.0.1:8080`.
    pub fn new(gateway: String) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { client, gateway, counted: Arc::default(), last_refusal: Arc::default() })
    }

    /// Sends `count` requests of billable kinds, one after the other.
    pub async fn send(&self, customer: &Customer, count: u64) {
        for kind in BILLABLE_ONLY.iter().cycle().take(usize::try_from(count).unwrap_or(usize::MAX)) {
            self.request(customer, kind).await;
        }
    }

    /// Sends requests of every kind at a steady pace until dropped.
    pub async fn keep_sending(&self, customer: &Customer, per_second: u32) {
        self.keep_sending_kinds(MIXED, customer, per_second).await;
    }

    /// Sends small requests at a steady pace until dropped.
    pub async fn keep_trying(&self, customer: &Customer, per_second: u32) {
        self.keep_sending_kinds(TRIAL, customer, per_second).await;
    }

    async fn keep_sending_kinds(&self, kinds: &[Kind], customer: &Customer, per_second: u32) {
        let mut pace = interval(Duration::from_secs(1) / per_second);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for kind in kinds.iter().cycle() {
            pace.tick().await;
            self.request(customer, kind).await;
        }
    }

    /// Counts for a tenant so far.
    pub fn counted(&self, tenant: TenantId) -> Counted {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant).copied().unwrap_or_default()
    }

    /// The last refusal by the gateway, with the name of the customer.
    pub fn last_refusal(&self) -> Option<String> {
        self.last_refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn request(&self, customer: &Customer, kind: &Kind) {
        self.count(customer, |counted| counted.sent += 1);
        let key = if kind.test_key { &customer.test } else { &customer.live };
        let answer = self.client.get(format!("{}{}", self.gateway, kind.path)).bearer_auth(&key.secret).send().await;
        let Ok(answer) = answer else { return };
        let status = answer.status().as_u16();
        // Only the gateway's own refusals are problem documents here; the demo upstream sends plain
        // JSON.
        let refused = answer.headers().get("content-type").is_some_and(|kind| kind == "application/problem+json");
        let wait = answer.headers().get("retry-after").and_then(|wait| wait.to_str().ok()).map(ToOwned::to_owned);
        let Ok(body) = answer.bytes().await else { return };
        if refused {
            self.note_refusal(customer, &body, wait);
        }
        self.count(customer, |counted| {
            counted.received += 1;
            match status {
                _ if refused => counted.refused += 1,
                _ if kind.test_key => counted.test_requests += 1,
                200..300 | 400..500 => {
                    counted.billable_requests += 1;
                    counted.billable_units += kind.units;
                }
                _ => {}
            }
        });
    }

    fn note_refusal(&self, customer: &Customer, body: &[u8], wait: Option<String>) {
        let Ok(Refusal { status, code }) = serde_json::from_slice(body) else { return };
        let wait = wait.map_or_else(String::new, |seconds| format!(", Retry-After: {seconds}"));
        let told = format!("{}, {status} {code}{wait}", customer.name);
        *self.last_refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
    }

    fn count(&self, customer: &Customer, change: impl FnOnce(&mut Counted)) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        change(counted.entry(customer.tenant).or_default());
    }
}
