//! The world: servers that others wrote, billing on the test's clock, and a gateway.
//!
//! Billing is what `billing serve` is made of: its API, its jobs and its outbox, by a settings file;
//! only the clock is another, and jobs and outbox look when the test tells them to.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, LazyLock},
};

use billing::{
    access::Access,
    api::{self, RequestMetrics, Services},
    config::{Config, Environment},
    document::Documents,
    ingest::{IngestMetrics, Intake},
    job::{JobKind, JobSettings, KINDS, run_due},
    outbox::{Deliverer, deliver_due, deliverers::deliverers, webhook::Reach},
};
use common::{
    admin::{AdminSecret, NewAdminKey, Role},
    id::TenantId,
    key::Pepper,
    store::Store,
    tenant::{TenantKind, lifecycle::NewTenant},
    time::{Clock, Micros},
};
use loadtest::processes;
use prometheus::Registry;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use servers::{Postgres, PostgresOptions, Smtp};
use tokio::task::spawn_blocking;

use crate::{
    calendar::{Day, TestClock},
    mailbox::Mailbox,
    receiver::Receiver,
    stripe::{self, Stripe},
    traffic::Traffic,
};

/// All jobs but the one that issues invoices.
static QUIET_KINDS: LazyLock<Vec<JobKind>> =
    LazyLock::new(|| KINDS.iter().copied().filter(|kind| kind.name != "issue_invoices").collect());

/// Everything that the year happens in.
pub(crate) struct World {
    pub(crate) clock: TestClock,
    pub(crate) store: Store,
    pub(crate) root: TenantId,
    pub(crate) reseller: TenantId,
    /// The API, for the owner of the root, and for that of the reseller.
    pub(crate) api: Api,
    pub(crate) api_of_reseller: Api,
    pub(crate) stripe: Stripe,
    pub(crate) mailbox: Mailbox,
    pub(crate) receiver: Receiver,
    pub(crate) traffic: Traffic,
    /// Tenants by name, with the secret of their key.
    pub(crate) tenants: HashMap<&'static str, Tenant>,
    settings: Arc<JobSettings>,
    deliverers: Arc<Vec<Box<dyn Deliverer>>>,
    _postgres: Postgres,
    _directory: tempfile::TempDir,
}

/// A tenant of the story.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) id: TenantId,
    pub(crate) key: String,
    /// The card that it has saved last.
    pub(crate) card: Option<String>,
}

/// The business API, for somebody.
#[derive(Clone)]
pub(crate) struct Api {
    client: Client,
    url: String,
    secret: String,
}

impl World {
    pub(crate) async fn start() -> Self {
        // A second provider would be one installed already: either serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let options = PostgresOptions { fsync: false, ..PostgresOptions::default() };
        let postgres = spawn_blocking(move || Postgres::start_with(options)).await.unwrap().unwrap();
        let url = postgres.url("postgres");
        let (store, _) = Store::open_and_migrate(&url).await.unwrap();
        let clock = TestClock::new();
        let root = tenant(&store, None, TenantKind::Root, "Root", clock.now()).await;
        let reseller = tenant(&store, Some(root), TenantKind::Reseller, "Karo", clock.now()).await;
        let stripe = Stripe::start().await;
        let mailbox = Mailbox::of(spawn_blocking(Smtp::start).await.unwrap().unwrap());
        processes::pepper(directory.path()).unwrap();
        let settings = settings(directory.path(), [root, reseller], &stripe.url, mailbox.port());
        let file = directory.path().join("billing.yaml");
        std::fs::write(&file, settings.to_string()).unwrap();
        let environment = Environment::default();
        let config = Config::load(&file, &environment).unwrap();
        let pepper = config.pepper(&environment).unwrap();
        let settings = Arc::new(JobSettings::of(&config, &environment).unwrap());
        let deliverers = deliverers(&store, &pepper, &settings.providers, &config, &environment).unwrap();
        let billing = serve(&store, &clock, &config, &pepper, &settings).await;
        let client = Client::new();
        let api = Api::of(&store, &client, &billing, &pepper, (root, clock.now())).await;
        let api_of_reseller = Api::of(&store, &client, &billing, &pepper, (reseller, clock.now())).await;
        let traffic = Traffic::start(directory.path(), &url, &billing, clock.clone()).await;
        Self {
            clock,
            store,
            root,
            reseller,
            api,
            api_of_reseller,
            stripe,
            mailbox,
            receiver: Receiver::start().await,
            traffic,
            tenants: HashMap::new(),
            settings,
            deliverers,
            _postgres: postgres,
            _directory: directory,
        }
    }

    /// Does the jobs that are due at an instant; none of them may fail. Unless `issues`, the job that
    /// issues invoices stays due.
    pub(crate) async fn do_jobs(&self, now: Micros, issues: bool) {
        self.clock.set(now);
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let kinds = if issues { KINDS } else { QUIET_KINDS.as_slice() };
        let (_, failed) = run_due(&self.store, &clock, &self.settings, kinds, "year").await.unwrap();
        if failed > 0 {
            let jobs = self.store.jobs().await.unwrap();
            let errors: Vec<_> = jobs.iter().filter_map(|job| job.error.clone()).collect();
            panic!("{now}: {failed} jobs failed: {errors:?}");
        }
    }

    /// Sends the messages that are due at an instant, and those that become due by that.
    pub(crate) async fn deliver(&self, now: Micros) {
        self.clock.set(now);
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        deliver_due(&self.store, &clock, Arc::clone(&self.deliverers), "year").await.unwrap();
    }

    /// Hands on an event of Stripe about a thing, at an instant, twice: the second time changes nothing.
    pub(crate) async fn hear(&self, thing: &str, kind: &str, now: Micros) {
        self.clock.set(now);
        let (body, signature) = self.stripe.event_of(thing, kind, now).await;
        for is_new in [true, false] {
            let receipt = self.api.tell(self.root, body.clone(), &signature).await;
            assert_eq!(receipt["new"], is_new, "{kind} of {thing}");
        }
    }

    /// Makes an endpoint of a tenant, which hears of everything below it from now on.
    pub(crate) async fn listen(&self, api: &Api, tenant: TenantId, path: &str) {
        let body = json!({ "name": path, "url": format!("{}{path}", self.receiver.url), "below": true });
        let made = api.post(&format!("/v1/tenants/{tenant}/webhook-endpoints"), body).await;
        self.receiver.expects(path, made["secret"].as_str().unwrap());
    }

    pub(crate) fn tenant(&self, name: &str) -> &Tenant {
        self.tenants.get(name).unwrap_or_else(|| panic!("{name} is not there yet"))
    }

    /// The last invoice of a tenant that was issued before a day, as its document.
    pub(crate) async fn last_invoice(&self, tenant: TenantId, day: Day) -> Value {
        let list = self.api.get(&format!("/v1/invoices?tenant={tenant}&limit=100")).await;
        let items = list["items"].as_array().unwrap();
        let before = day.at(0, 0).to_string();
        let issued = |invoice: &&Value| invoice["finalized_at"].as_str().unwrap_or_default() < before.as_str();
        items.iter().filter(issued).max_by_key(|invoice| invoice["finalized_at"].to_string()).unwrap().clone()
    }
}

impl Api {
    async fn of(store: &Store, client: &Client, url: &str, pepper: &Pepper, (tenant, now): (TenantId, Micros)) -> Self {
        let secret = AdminSecret::generate();
        let new = NewAdminKey {
            tenant,
            name: "the year".into(),
            role: Role::Owner,
            scopes: Vec::new(),
            hash: pepper.hash_admin(&secret),
            pepper_id: pepper.id().into(),
            hint: secret.hint().into(),
            expires_at: None,
        };
        store.create_admin_key(&new, now).await.unwrap();
        Self { client: client.clone(), url: url.to_owned(), secret: secret.expose().to_owned() }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.ask(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Value {
        self.ask(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) {
        self.ask(Method::DELETE, path, None).await;
    }

    /// An event of Stripe, which has a signature and no credential.
    pub(crate) async fn tell(&self, issuer: TenantId, body: String, signature: &str) -> Value {
        let url = format!("{}/v1/providers/stripe/{issuer}/events", self.url);
        let answer = self.client.post(url).header("stripe-signature", signature).body(body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "an event of Stripe: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.url)).bearer_auth(&self.secret);
        if let Some(body) = &body {
            let kind = if path == "/v1/usage/events" { "application/cloudevents+json" } else { "application/json" };
            request = request.header("content-type", kind).body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        let asked = body.unwrap_or_default();
        assert!(status.is_success(), "{method} {path} {asked}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }
}

async fn tenant(store: &Store, parent: Option<TenantId>, kind: TenantKind, name: &str, now: Micros) -> TenantId {
    let new = NewTenant { parent, kind, name: name.into(), zone: "UTC".parse().unwrap(), plan: None };
    store.create_tenant(&new, now).await.unwrap().id
}

/// The settings file: both issuers have an account with Stripe.
fn settings(directory: &Path, issuers: [TenantId; 2], stripe: &str, smtp: u16) -> Value {
    let [key, signing] = ["stripe-key", "stripe-webhook"].map(|name| directory.join(name));
    std::fs::write(&key, stripe::KEY).unwrap();
    std::fs::write(&signing, stripe::SIGNING).unwrap();
    let account = |issuer: TenantId| {
        json!({
            "issuer": issuer, "base_url": stripe, "secret_key_file": key, "webhook_secret_files": [signing],
        })
    };
    json!({
        "pepper_file": directory.join("pepper"),
        "access": { "tenant_requests_per_minute": 10_000_000 },
        "invoices": { "automatic": true },
        "webhooks": { "allow_http": true, "allow_networks": ["127.0.0.0/8"] },
        "mail": { "server": format!("localhost:{smtp}"), "tls": "none", "from": "billing@example.com" },
        "payments": { "stripe": issuers.map(account) },
    })
}

/// Serves the API on a free port, on the test's clock; gives its URL.
async fn serve(
    store: &Store,
    clock: &TestClock,
    config: &Config,
    pepper: &Pepper,
    settings: &Arc<JobSettings>,
) -> String {
    let registry = Registry::new();
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    let store = store.clone().setting_aside_later_than(Some(config.ingest.late_days));
    let metrics = IngestMetrics::register(&registry).unwrap();
    let requests = RequestMetrics::register(&registry).unwrap();
    let access = Access::new(store.clone(), pepper.clone(), Arc::clone(&clock))
        .limited_to(config.access.tenant_requests_per_minute, config.access.failed_credentials_per_minute);
    let router = api::router(Services {
        access,
        intake: Intake::new(store.clone(), Arc::clone(&clock), metrics),
        ingest_token: pepper.ingest_token(),
        pepper: pepper.clone(),
        clock,
        store,
        documents: Documents::new(config.documents.typesetter(), config.documents.languages().unwrap()),
        requests,
        reach: Reach::of(&config.webhooks),
        registry,
        providers: settings.providers.clone(),
        settings: Arc::default(),
        mails_links: false,
        pages: billing::config::PagesConfig::default(),
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}
