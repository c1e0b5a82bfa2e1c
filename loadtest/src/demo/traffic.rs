//! The demo's client: sends requests through the gateway and counts what it fully received.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use common::id::TenantId;
use tokio::time::{MissedTickBehavior, interval};

use super::cast::Customer;

/// What the client saw, for one tenant.
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

/// What scripts see: everything that is answered is billable.
const BILLABLE_ONLY: &[Kind] = &[HELLO, BULK, NOT_FOUND, HELLO];

/// What people see: some of everything.
const MIXED: &[Kind] = &[HELLO, BULK, HELLO, HELLO, NOT_FOUND, HELLO, SANDBOX, HELLO, BROKEN, HELLO];

/// Sends and counts.
#[derive(Clone)]
pub struct Traffic {
    client: reqwest::Client,
    gateway: String,
    counted: Arc<Mutex<HashMap<TenantId, Counted>>>,
}

impl Traffic {
    /// Traffic for the gateway at `gateway`, as in `http://127.0.0.1:8080`.
    pub fn new(gateway: String) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { client, gateway, counted: Arc::default() })
    }

    /// Sends `count` requests of billable kinds, one after the other.
    pub async fn send(&self, customer: &Customer, count: u64) {
        for kind in BILLABLE_ONLY.iter().cycle().take(usize::try_from(count).unwrap_or(usize::MAX)) {
            self.request(customer, kind).await;
        }
    }

    /// Sends requests of every kind at a steady pace until dropped.
    pub async fn keep_sending(&self, customer: &Customer, per_second: u32) {
        let mut pace = interval(Duration::from_secs(1) / per_second);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for kind in MIXED.iter().cycle() {
            pace.tick().await;
            self.request(customer, kind).await;
        }
    }

    /// What was counted for a tenant so far.
    pub fn counted(&self, tenant: TenantId) -> Counted {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner).get(&tenant).copied().unwrap_or_default()
    }

    async fn request(&self, customer: &Customer, kind: &Kind) {
        self.count(customer, |counted| counted.sent += 1);
        let key = if kind.test_key { &customer.test } else { &customer.live };
        let answer = self.client.get(format!("{}{}", self.gateway, kind.path)).bearer_auth(&key.secret).send().await;
        let Ok(answer) = answer else { return };
        let status = answer.status().as_u16();
        // Only the gateway's own refusals are problem documents here; the demo upstream sends plain JSON.
        let refused = answer.headers().get("content-type").is_some_and(|kind| kind == "application/problem+json");
        if answer.bytes().await.is_err() {
            return;
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

    fn count(&self, customer: &Customer, change: impl FnOnce(&mut Counted)) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        change(counted.entry(customer.tenant).or_default());
    }
}
