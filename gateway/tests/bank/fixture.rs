//! Gateways that share one tenant and its key, and a connection to their Redis.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use common::{
    change,
    id::{KeyId, TenantId},
    key::{Key, Mode, Pepper, Secret},
    plan::{BillingTerms, Plan, PlanId, PlanLimits, PlanVersion, RateLimit, RateLimits, subscription::Subscription},
    tenant::{Tenant, TenantKind, TenantStatus},
    time::{Micros, Zone},
};
use gateway::{
    auth::Authenticator,
    catalog::{Caller, Catalog},
    config::{Overrides, Settings},
    limit::{
        Admission, Denial, LimitStates, Limiter,
        bank::{Bank, BankAddress, BankSettings},
    },
    route::Route,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use servers::Redis;
use tokio::{sync::watch, task::JoinHandle};

pub(crate) const NOW: Micros = Micros(1_793_491_200_000_000);

static SECRET: LazyLock<Secret> = LazyLock::new(|| Secret::generate(Mode::Live));

/// That of a customer below.
static CUSTOMER: LazyLock<Secret> = LazyLock::new(|| Secret::generate(Mode::Live));

/// One gateway.
pub(crate) struct Gateway {
    pub(crate) limiter: Limiter,
    pub(crate) caller: Caller,
    /// A customer below the caller's tenant, with a plan of its own that limits nothing.
    pub(crate) customer: Caller,
    pub(crate) route: Arc<Route>,
    pub(crate) bank: Arc<Bank>,
    stop: watch::Sender<bool>,
    client: JoinHandle<()>,
    _catalog: Arc<Catalog>,
}

/// Settings of a gateway and the limits of its tenant.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) settings: BankSettings,
    pub(crate) is_fresh: bool,
    /// Of the key.
    pub(crate) limits: RateLimits,
    /// Of its tenant and everybody below.
    pub(crate) pool: RateLimits,
    /// Of the route, as the configuration states them.
    pub(crate) route: &'static str,
}

impl Setup {
    /// Gateways of a bank that was never kept before.
    pub(crate) fn fresh(url: &str, limits: RateLimits) -> Self {
        let settings = BankSettings {
            address: BankAddress::parse(url, false).unwrap(),
            tick: Duration::from_millis(10),
            // Longer than in earnest: the machine that tests run on is shared.
            timeout: Duration::from_millis(250),
            gateways: 1,
        };
        Self { settings, is_fresh: true, limits, pool: RateLimits::default(), route: "{}" }
    }

    /// Starts a gateway and waits until it has reached the bank, or failed to.
    pub(crate) async fn start(&self) -> Gateway {
        let catalog = Arc::new(Catalog::from_rows(rows(&self.limits, &self.pool), NOW));
        let authenticator = Authenticator { catalog: Arc::clone(&catalog), pepper: pepper() };
        let [caller, customer] = [&SECRET, &CUSTOMER].map(|secret| {
            let name = HeaderName::from_static("x-api-key");
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_str(secret.expose()).unwrap())]);
            authenticator.authenticate(&headers, NOW).unwrap_or_else(|_| panic!("the key is not known"))
        });
        let (bank, client) = Bank::open(&self.settings, self.is_fresh).unwrap();
        let (stop, stopped) = watch::channel(false);
        let client = tokio::spawn(client.run(stopped));
        bank.tried().await;
        let limiter = Limiter::with_bank(Arc::clone(&bank));
        Gateway { route: route(self.route, &limiter), limiter, caller, customer, bank, stop, client, _catalog: catalog }
    }
}

impl Gateway {
    /// One request; what is left of the key's limit after it.
    pub(crate) async fn request(&self) -> Result<u64, Denial> {
        let _under_way = self.limiter.admit(self.caller.request("requests", 1, NOW)).await?.settle(1);
        Ok(self.standing().first().map_or(0, |limit| limit.remaining))
    }

    /// State of the caller's limits.
    pub(crate) fn standing(&self) -> LimitStates {
        self.limiter.states(self.caller.request("requests", 1, NOW))
    }

    /// Begins a request of the caller, which is under way until what is returned is dropped.
    pub(crate) async fn begin(&self) -> Result<Admission, Denial> {
        self.limiter.admit(self.caller.request("requests", 1, NOW)).await
    }

    /// Begins requests until none may; those that are under way.
    pub(crate) async fn begin_all(&self) -> Vec<Admission> {
        let mut under_way = Vec::new();
        while let Ok(admission) = self.begin().await {
            under_way.push(admission);
        }
        under_way
    }

    /// Asks `times` times, one after the other; how many were admitted.
    pub(crate) async fn requests(&self, times: usize) -> u64 {
        let mut admitted = 0;
        for _ in 0..times {
            admitted += u64::from(self.request().await.is_ok());
        }
        admitted
    }

    /// Asks until all of `seconds` have passed; how many were admitted.
    pub(crate) async fn storm(&self, seconds: f64) -> u64 {
        let (start, mut admitted) = (Instant::now(), 0);
        while start.elapsed().as_secs_f64() < seconds {
            admitted += self.requests(20).await;
            tokio::task::yield_now().await;
        }
        admitted
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.bank.report().shared
    }

    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        self.client.await.unwrap();
    }

    /// Ends it as a crash would: nothing is said to the bank.
    pub(crate) fn crash(self) {
        self.client.abort();
    }

    /// The key in Redis under which the day's limit of the API key is.
    pub(crate) fn day_key(&self) -> String {
        let name = format!("{}:day", self.caller.key.id);
        format!("rb:{{{}}}:{name}", shard(&name))
    }

    /// The key in Redis under which the clock of that limit's shard is.
    pub(crate) fn day_clock(&self) -> String {
        format!("rb:{{{}}}:clock", shard(&format!("{}:day", self.caller.key.id)))
    }
}

fn shard(name: &str) -> usize {
    gateway::limit::bank::Account::new(name).shard()
}

/// One command for the server.
pub(crate) fn tell<T: redis::FromRedisValue>(redis: &Redis, words: &[&str]) -> T {
    let mut connection = redis::Client::open(redis.url()).unwrap().get_connection().unwrap();
    let mut command = redis::cmd(words[0]);
    words[1..].iter().for_each(|word| {
        command.arg(*word);
    });
    command.query(&mut connection).unwrap()
}

pub(crate) fn per_second(limit: u64, burst: u64) -> RateLimits {
    RateLimits { per_second: Some(RateLimit { limit, burst }), ..RateLimits::default() }
}

/// So little refills in a test that only the burst counts.
pub(crate) fn burst_of(burst: u64) -> RateLimits {
    RateLimits { per_day: Some(RateLimit { limit: 1, burst }), ..RateLimits::default() }
}

fn pepper() -> Pepper {
    Pepper::new(b"a pepper for tests").unwrap()
}

/// A route with these limits.
fn route(limits: &str, limiter: &Limiter) -> Arc<Route> {
    let text = format!(
        "listen: 127.0.0.1:0\n\
         upstreams: {{ demo: {{ servers: [127.0.0.1:9000] }} }}\n\
         routes: [{{ name: shared, path_prefix: /, upstream: demo, limits: {limits} }}]\n"
    );
    let settings = Settings::parse(&text, "gateway.yaml", &Overrides::default()).unwrap();
    Arc::new(Route::new(settings.routes[0].clone(), limiter))
}

/// A root and a customer below it, with a key and a plan each.
fn rows(limits: &RateLimits, pool: &RateLimits) -> change::Catalog {
    let (root, customer) = (TenantId::from_u128(1), TenantId::from_u128(2));
    let of_root = PlanLimits { key: limits.clone(), pool: pool.clone(), ..PlanLimits::default() };
    let plans = [plan("shared", of_root), plan("customer", PlanLimits::default())];
    let subscription = |tenant, plan: &Plan| Subscription {
        tenant,
        plan_owner: root,
        plan: plan.id.clone(),
        version: 1,
        starts_at: NOW,
        ends_at: None,
    };
    let version = |plan| PlanVersion { owner: Some(root), version: 1, created_at: NOW, plan };
    change::Catalog {
        seq: 1,
        tenants: vec![tenant(root, None, TenantKind::Root), tenant(customer, Some(root), TenantKind::Customer)],
        subscriptions: vec![subscription(root, &plans[0]), subscription(customer, &plans[1])],
        keys: vec![key(7, root, &SECRET), key(8, customer, &CUSTOMER)],
        plans: plans.into_iter().map(version).collect(),
    }
}

fn tenant(id: TenantId, parent: Option<TenantId>, kind: TenantKind) -> Tenant {
    Tenant {
        id,
        parent,
        kind,
        name: "one".into(),
        status: TenantStatus::Active,
        zone: Zone::utc(),
        created_at: NOW,
        revision: 1,
        unpaid: None,
    }
}

fn plan(id: &str, limits: PlanLimits) -> Plan {
    Plan {
        id: id.parse::<PlanId>().unwrap(),
        name: id.into(),
        currency: common::money::Currency::USD,
        flat_fee: "0.00".into(),
        charges: Vec::new(),
        quotas: Vec::new(),
        billing: BillingTerms::default(),
        prepaid: Vec::new(),
        limits,
    }
}

fn key(id: u128, tenant: TenantId, secret: &Secret) -> Key {
    Key {
        id: KeyId::from_u128(id),
        tenant,
        name: "shared".into(),
        mode: secret.mode(),
        hash: pepper().hash(secret),
        pepper_id: pepper().id().into(),
        hint: secret.hint().into(),
        created_at: NOW,
        expires_at: None,
        revoked_at: None,
        replaces: None,
        scopes: Vec::new(),
        allowed_ips: Vec::new(),
        last_used_at: None,
        created_by: None,
        revision: 1,
    }
}
