//! One gateway process with everything around it: store, upstream, billing stand-in, client.

pub(crate) mod billing;
pub(crate) mod edge;
pub(crate) mod faulty;
pub(crate) mod hosts;
pub(crate) mod http2;
pub(crate) mod kafka;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod setting;
pub(crate) mod tls;
pub(crate) mod tools;
pub(crate) mod upstream;
pub(crate) mod websocket;

use std::{net::SocketAddr, path::PathBuf};

use common::{
    id::{KeyId, TenantId},
    key::{Mode, NewKey, Pepper, Secret},
    plan::{Plan, PlanFile, PlanId, subscription::PlanStart},
    store::Store,
    tenant::{TenantKind, lifecycle::NewTenant},
    time::{Clock as _, Micros, SystemClock, Zone},
};
pub(crate) use servers::{DEADLINE, eventually};
use tempfile::TempDir;

use self::{billing::Billing, process::Gateway, upstream::Upstream};

pub(crate) const PEPPER: &str = "a pepper for the tests of the proxy";

const PLANS: &str = "
plans:
  - { id: roomy, name: Roomy, currency: USD, flat_fee: '0.00' }
  - id: narrow
    name: Narrow
    currency: USD
    flat_fee: '0.00'
    limits: { key: { per_minute: 3 }, tenant: { per_day: 1000 } }
  - id: capped
    name: Capped
    currency: USD
    flat_fee: '0.00'
    quotas: [{ meter: requests, per_month: 5 }]
  - { id: prepaid, name: Prepaid, currency: USD, flat_fee: '0.00', prepaid: [requests] }
  - id: lenient
    name: Lenient
    currency: USD
    flat_fee: '0.00'
    quotas: [{ meter: requests, per_month: 2, kind: soft }]
";

/// Routes of most tests; `DEMO` stands for the upstream's address.
pub(crate) const ROUTES: &str = "
upstreams:
  demo: { servers: ['DEMO'], health: { interval_seconds: 1 } }
routes:
  - { name: all, path_prefix: /, upstream: demo }
  - { name: narrow, path_prefix: /narrow, hosts: [api.example.com], upstream: demo }
  - { name: read, path_prefix: /read, methods: [GET, HEAD], upstream: demo }
  - { name: stripped, path_prefix: /v1/stripped, upstream: demo, strip_prefix: true }
  - { name: small, path_prefix: /small, upstream: demo, body_bytes: 1000 }
  - { name: fixed, path_prefix: /fixed, upstream: demo, meter: tokens, units: { fixed: 5 } }
  - { name: counted, path_prefix: /counted, upstream: demo, units: { header: X-Usage-Units, default: 3 } }
  - { name: strict, path_prefix: /strict, upstream: demo, billable: ['200', '5xx'] }
";

/// Everything around one gateway.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) upstream: Upstream,
    pub(crate) billing: Billing,
    pub(crate) root: TenantId,
    /// URL of the store, as gateways are told it.
    pub(crate) store_url: String,
    directory: TempDir,
}

/// A tenant with one key.
pub(crate) struct Customer {
    pub(crate) tenant: TenantId,
    pub(crate) key: KeyId,
    pub(crate) secret: Secret,
}

impl Fixture {
    /// A store with plans and a root, an upstream and a billing stand-in.
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("store.db").display());
        Self::on(url, directory).await
    }

    /// The same on a store of the caller's.
    pub(crate) async fn on(store_url: String, directory: TempDir) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (store, _) = Store::open_and_migrate(&store_url).await.unwrap();
        let plans: Vec<Plan> = PlanFile::parse(PLANS, "plans.yaml").unwrap().plans;
        store.apply_plans(&plans, now()).await.unwrap();
        let root =
            NewTenant { parent: None, kind: TenantKind::Root, name: "Root".into(), zone: Zone::utc(), plan: None };
        let root = store.create_tenant(&root, now()).await.unwrap().id;
        let (upstream, billing) = (Upstream::start().await, Billing::start().await);
        Self { store, upstream, billing, root, store_url, directory }
    }

    /// A customer on `plan` with a live key.
    pub(crate) async fn customer(&self, plan: Option<&str>) -> Customer {
        let plan: Option<PlanId> = plan.map(|plan| plan.parse().unwrap());
        let new = NewTenant {
            parent: Some(self.root),
            kind: TenantKind::Customer,
            name: "Customer".into(),
            zone: Zone::utc(),
            plan,
        };
        let tenant = self.store.create_tenant(&new, now()).await.unwrap().id;
        let (key, secret) = self.key(tenant, Mode::Live).await;
        Customer { tenant, key, secret }
    }

    /// Gives a customer another plan from now on.
    pub(crate) async fn change_plan(&self, customer: &Customer, plan: &str) {
        let plan = plan.parse().unwrap();
        self.store.assign_plan(customer.tenant, &plan, None, PlanStart::Now, now()).await.unwrap();
    }

    /// Another key of a tenant.
    pub(crate) async fn key(&self, tenant: TenantId, mode: Mode) -> (KeyId, Secret) {
        let pepper = Pepper::new(PEPPER.as_bytes()).unwrap();
        let secret = Secret::generate(mode);
        let new = NewKey::new(tenant, "key", &secret, &pepper);
        (self.store.create_key(&new, now()).await.unwrap().id, secret)
    }

    /// The configuration file.
    pub(crate) fn config_file(&self) -> PathBuf {
        self.directory.path().join("gateway.yaml")
    }

    /// A path among what the gateway keeps.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes the configuration; `DEMO` in `rest` becomes the upstream's address.
    pub(crate) fn configure(&self, rest: &str) {
        self.configure_at(rest, "127.0.0.1:0".parse().unwrap());
    }

    pub(crate) fn configure_at(&self, rest: &str, listen: SocketAddr) {
        self.configure_listeners(&format!("listen: '{listen}'\n"), rest);
    }

    /// Writes the configuration with these lines for its listeners.
    pub(crate) fn configure_listeners(&self, listeners: &str, rest: &str) {
        let directory = self.directory.path().display();
        let head = format!(
            "name: test\n{listeners}admin: 127.0.0.1:0\nthreads: 2\nstore: {}\n\
             usage: {{ sink: 'http://{}', journal: '{directory}/journal' }}\n",
            self.store_url, self.billing.address
        );
        let rest = rest.replace("DEMO", &self.upstream.address.to_string());
        // As careful operators do it: nobody ever reads half a file.
        let draft = self.directory.path().join("gateway.yaml.new");
        std::fs::write(&draft, head + &rest).unwrap();
        std::fs::rename(draft, self.config_file()).unwrap();
    }

    /// A gateway with the usual routes that is ready to serve.
    pub(crate) async fn gateway(&self) -> Gateway {
        self.gateway_with(ROUTES).await
    }

    /// A gateway with these routes that is ready to serve.
    pub(crate) async fn gateway_with(&self, rest: &str) -> Gateway {
        self.configure(rest);
        let gateway = Gateway::start(&self.config_file()).await;
        gateway.wait_until_ready().await;
        gateway
    }
}

pub(crate) fn now() -> Micros {
    SystemClock.now()
}
