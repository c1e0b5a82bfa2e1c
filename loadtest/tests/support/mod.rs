//! A house to test in: the real binaries on a store of their own, with an upstream that counts.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    future::Future,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use common::{
    id::TenantId,
    key::Mode,
    time::{Clock, Period, SystemClock, Zone},
};
use loadtest::{
    demo::{BillReader, Invoice, Keyctl},
    fleet::{self, BillingProcess, GatewayOptions, GatewayProcess},
    upstream::{self, Upstream},
};
use serde_json::json;
use tokio::{task::JoinSet, time::Instant};

/// How long a state may take to come about; generous, as machines may be busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// Everything that runs.
pub(crate) struct House {
    pub(crate) gateway: GatewayProcess,
    pub(crate) billing: BillingProcess,
    pub(crate) upstream: Upstream,
    pub(crate) keys: Keyctl,
    root: TenantId,
    bills: BillReader,
    client: reqwest::Client,
    directory: tempfile::TempDir,
    _postgres: Option<stack::Postgres>,
}

/// A customer with its keys.
pub(crate) struct Customer {
    pub(crate) tenant: TenantId,
    pub(crate) key: String,
    pub(crate) test_key: String,
}

impl House {
    /// A house on a SQLite file.
    pub(crate) async fn on_sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = format!("sqlite://{}/tollgate.db", directory.path().display());
        Self::build(directory, store, None).await
    }

    /// A house on a PostgreSQL server of its own.
    pub(crate) async fn on_postgres() -> Self {
        let postgres = tokio::task::spawn_blocking(stack::Postgres::start).await.unwrap().unwrap();
        let store = postgres.url("postgres");
        Self::build(tempfile::tempdir().unwrap(), store, Some(postgres)).await
    }

    async fn build(directory: tempfile::TempDir, store: String, postgres: Option<stack::Postgres>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let path = directory.path();
        let upstream = upstream::spawn("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let billing = BillingProcess::start(path, &store, 0).await.unwrap();
        let keys = Keyctl {
            binary: fleet::binary("keyctl").unwrap(),
            store: store.clone(),
            pepper: fleet::pepper(path).unwrap(),
        };
        let plans = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/plans.yaml");
        keys.apply_plans(&plans).await.unwrap();
        let root = keys.create_tenant("Root", "root", None, None).await.unwrap();
        let gateway = GatewayProcess::start(GatewayOptions {
            threads: 2,
            routes: json!([
                { "name": "api", "path_prefix": "/v1", "strip_prefix": true, "upstream": "demo" },
                {
                    "name": "bulk", "path_prefix": "/bulk", "strip_prefix": true, "upstream": "demo",
                    "units": { "header": "X-Usage-Units", "default": 1 },
                },
            ]),
            ..GatewayOptions::new(path, &store, &billing.url(), upstream.address())
        })
        .await
        .unwrap();
        let bills = BillReader { binary: fleet::binary("billing").unwrap(), store };
        let client = reqwest::Client::builder().timeout(super::REQUEST_TIMEOUT).build().unwrap();
        Self { gateway, billing, upstream, keys, root, bills, client, directory, _postgres: postgres }
    }

    /// A customer of the root that the gateway serves already.
    pub(crate) async fn customer(&self, name: &str, plan: &str) -> Customer {
        let tenant = self.keys.create_tenant(name, "customer", Some(self.root), Some(plan)).await.unwrap();
        let live = self.keys.create_key(tenant, "live", Mode::Live).await.unwrap();
        let test = self.keys.create_key(tenant, "test", Mode::Test).await.unwrap();
        let customer = Customer { tenant, key: live.secret, test_key: test.secret };
        // No route is there, so nothing is metered; once both keys are known, the refusal is about the route.
        for key in [&customer.key, &customer.test_key] {
            eventually("the gateway knows the key", async || self.get("/nowhere", key).await == 404).await;
        }
        customer
    }

    /// The status of one request through the gateway, received in full.
    pub(crate) async fn get(&self, path: &str, key: &str) -> u16 {
        let answer = self.client.get(self.gateway.url() + path).bearer_auth(key).send().await.unwrap();
        let status = answer.status().as_u16();
        answer.bytes().await.unwrap();
        status
    }

    /// Runs a command of `keyctl` that must succeed.
    pub(crate) async fn keyctl(&self, arguments: &[&str]) {
        self.keys.call(arguments).await.unwrap();
    }

    /// The customer's invoice draft, once it is as expected.
    pub(crate) async fn invoice_once(&self, customer: &Customer, expected: impl Fn(&Invoice) -> bool) -> Invoice {
        let period = Period::containing(SystemClock.now(), &Zone::utc()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let bill = self.bills.read(period).await.unwrap();
            let invoice = bill.of(customer.tenant).expect("the customer has an invoice").clone();
            if expected(&invoice) {
                return invoice;
            }
            assert!(
                Instant::now() < deadline,
                "not the invoice expected: {invoice:?}\n{}\n{}\nlogs were in {}",
                self.gateway.process.log_tail(),
                self.billing.process.log_tail(),
                self.directory.path().display(),
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A client on several connections that sends until stopped and counts the 200s that it received in full.
    pub(crate) fn client_that_counts(&self, key: &str, path: &str, connections: usize) -> CountingClient {
        let (received, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut tasks = JoinSet::new();
        for _ in 0..connections {
            let (received, stop) = (Arc::clone(&received), Arc::clone(&stop));
            let request = self.client.get(self.gateway.url() + path).bearer_auth(key).build().unwrap();
            let client = self.client.clone();
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let Some(again) = request.try_clone() else { return };
                    let Ok(answer) = client.execute(again).await else { continue };
                    if answer.status() == 200 && answer.bytes().await.is_ok() {
                        received.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        CountingClient { received, stop, tasks }
    }
}

/// See [`House::client_that_counts`].
pub(crate) struct CountingClient {
    received: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl CountingClient {
    /// Waits until so many answers were received.
    pub(crate) async fn received_at_least(&self, count: u64) {
        eventually("answers are received", async || self.received.load(Ordering::Relaxed) >= count).await;
    }

    /// Stops sending and returns how many answers were received.
    pub(crate) async fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
        self.received.load(Ordering::Relaxed)
    }
}

/// Waits until `condition` holds.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
