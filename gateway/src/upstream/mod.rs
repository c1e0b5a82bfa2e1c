//! Upstreams: which servers there are, which of them answer, and which one a request goes to.
//!
//! | module | what it does |
//! |---|---|
//! | this one | one upstream, and the tasks that keep it current |
//! | [`discovery`], [`resolver`], [`endpoint`] | names -> addresses, again and again; one look-up; one address |
//! | [`change`] | servers that come, go, and stand otherwise than before |
//! | [`probe`], [`grpc_health`], [`http2_check`], [`health`], [`standing`] | one check; all checks; what they say of a server |
//! | [`pool`] | which server a request goes to |
//! | [`ejection`] | servers whose requests fail are left out for a time |
//! | [`breaker`] | requests are refused while nearly all of them would fail |
//! | [`budget`], [`window`] | how many requests may be tried again; counts of the last seconds |
//! | [`server`] | how to connect with one address, over TLS or not |
//! | [`report`], [`metrics`], [`cause`] | what operators are told |
//!
//! Invariants: choosing a server waits for nothing, takes no lock and allocates nothing but the copy
//! of its peer; one failed check or look-up changes nothing by itself; a configuration with servers that are away is in force all the same.

mod breaker;
mod budget;
pub(crate) mod cause;
mod change;
mod discovery;
mod ejection;
mod endpoint;
mod grpc_health;
mod health;
mod http2_check;
mod metrics;
mod pool;
mod probe;
mod report;
mod resolver;
mod server;
mod standing;
mod window;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use breaker::Breaker;
pub use breaker::BreakerState;
pub(crate) use breaker::{BreakerOpen, Passage};
use budget::Budget;
use change::known_before;
use discovery::Found;
pub(crate) use ejection::Load;
pub(crate) use metrics::{ConnectFailures, register_gauges};
use pingora_core::upstreams::peer::HttpPeer;
use pool::Pool;
pub(crate) use pool::value_of;
use probe::{NetworkProbe, Probe};
pub use report::{ServerProblem, Status, UpstreamHealth};
use resolver::{NetworkResolver, Resolve};
pub use server::Server;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::timeout,
};
use tracing::warn;
use window::now_ms;

use crate::{
    config::{Balance, Host, ServerAddress, UpstreamSettings},
    lock::locked,
    route::{Bill, RouteSettings},
};

/// Longest wait of a configuration for the first look-up of its names, before it takes effect
/// without them.
const FIRST_LOOKUP_PATIENCE: Duration = Duration::from_secs(3);

/// Upstreams by name.
pub type Upstreams = BTreeMap<Arc<str>, Arc<Upstream>>;

/// One upstream.
pub struct Upstream {
    settings: Arc<UpstreamSettings>,
    pool: ArcSwap<Pool>,
    turn: AtomicUsize,
    /// The state that outlives changes of the configuration.
    shared: Arc<Shared>,
    /// The known addresses of each server of the configuration. A change of the pool holds the
    /// lock.
    known: Mutex<Known>,
    /// Servers of the configuration that were looked up at least once, or need not be.
    looked_up: watch::Sender<Vec<bool>>,
    wake_checks: Arc<Notify>,
    wake_returns: Arc<Notify>,
    wake_lookups: Vec<Arc<Notify>>,
}

/// State of an upstream that outlives changes of the configuration.
#[derive(Default)]
struct Shared {
    breaker: Breaker,
    budget: Budget,
    /// Ejections of servers.
    ejections: AtomicU64,
    /// Requests that were tried again, beside those whose connection failed.
    retries: AtomicU64,
    /// Requests that were not tried again, as the budget was used up.
    retries_denied: AtomicU64,
}

struct Known {
    found: Vec<Found>,
    /// The status that the log was last told.
    told: Status,
}

/// A server that was chosen, and how to connect with it.
pub(crate) struct Choice {
    pub(crate) server: Arc<Server>,
    pub(crate) peer: Box<HttpPeer>,
    /// Counts the request as one in progress on the server, if the upstream balances by that.
    pub(crate) load: Option<Load>,
}

/// The resolver and the prober.
#[derive(Clone)]
struct Tools {
    resolver: Arc<dyn Resolve>,
    probe: Arc<dyn Probe>,
}

/// Starts upstreams. Those that did not change since `previous` are kept, and look their names up
/// again; what is known of the servers of changed ones is kept. Must be called on a runtime, which
/// runs their checks and look-ups.
pub async fn start(settings: &[Arc<UpstreamSettings>], previous: Option<&Upstreams>) -> Upstreams {
    let upstream = |new: &Arc<UpstreamSettings>| {
        let before = previous.and_then(|previous| previous.get(&new.name));
        let upstream = match before.filter(|before| before.settings() == new) {
            Some(kept) => {
                kept.look_up_now();
                Arc::clone(kept)
            }
            None => Upstream::start(new, before.map(AsRef::as_ref), &Tools::system()),
        };
        (Arc::clone(&new.name), upstream)
    };
    let upstreams: Upstreams = settings.iter().map(upstream).collect();
    let first_lookups = async {
        for upstream in upstreams.values() {
            upstream.first_lookups().await;
        }
    };
    if timeout(FIRST_LOOKUP_PATIENCE, first_lookups).await.is_err() {
        warn!(event = "server_names_slow", consequence = "servers whose names are still looked up are down");
    }
    upstreams
}

/// The certificates of authorities that the system trusts cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the certificates that the system trusts (SSL_CERT_FILE, SSL_CERT_DIR): {0}")]
pub struct TrustError(Box<pingora_core::Error>);

/// Reads the certificates that the system trusts. Pingora reads them when it starts, and panics if
/// it cannot.
pub fn check_system_trust() -> Result<(), TrustError> {
    let mut store = rustls::RootCertStore::empty();
    pingora_rustls::load_platform_certs_incl_env_into_store(&mut store).map_err(TrustError)
}

/// Looks each name of each upstream up once, and waits a few seconds for all. Returns those that do
/// not resolve: upstream, server, and why.
pub async fn unresolved(settings: &[Arc<UpstreamSettings>]) -> Vec<(Arc<str>, ServerAddress, String)> {
    let mut lookups = JoinSet::new();
    for upstream in settings {
        for server in &upstream.servers {
            let (upstream, server) = (Arc::clone(upstream), server.address.clone());
            lookups.spawn(async move {
                let lookup = discovery::look_up(&NetworkResolver, &server, &upstream.dns);
                let answer = timeout(FIRST_LOOKUP_PATIENCE, lookup).await;
                let answer = answer.unwrap_or_else(|_| Err("the resolver did not answer in time".into()));
                answer.err().map(|reason| (Arc::clone(&upstream.name), server, reason))
            });
        }
    }
    let mut unresolved: Vec<_> = lookups.join_all().await.into_iter().flatten().collect();
    unresolved.sort_by_cached_key(|(upstream, server, _)| (Arc::clone(upstream), server.to_string()));
    unresolved
}

impl Upstream {
    fn start(settings: &Arc<UpstreamSettings>, previous: Option<&Self>, tools: &Tools) -> Arc<Self> {
        let found: Vec<Found> =
            settings.servers.iter().map(|server| known_before(&server.address, settings, previous)).collect();
        let is_name: Vec<bool> =
            settings.servers.iter().map(|server| !matches!(server.address.host, Host::Address(_))).collect();
        let upstream = Arc::new(Self {
            settings: Arc::clone(settings),
            pool: ArcSwap::default(),
            turn: AtomicUsize::new(0),
            shared: previous.map(|previous| Arc::clone(&previous.shared)).unwrap_or_default(),
            known: Mutex::new(Known { found, told: Status::Unknown }),
            looked_up: watch::Sender::new(is_name.iter().map(|is_name| !is_name).collect()),
            wake_checks: Arc::default(),
            wake_returns: Arc::default(),
            wake_lookups: is_name.iter().map(|_| Arc::default()).collect(),
        });
        upstream.inherit(previous);
        let checks = (Arc::downgrade(&upstream), Arc::clone(&tools.probe), Arc::clone(&upstream.wake_checks));
        tokio::spawn(health::keep_checking(checks.0, checks.1, checks.2));
        tokio::spawn(ejection::keep_taking_back(Arc::downgrade(&upstream), Arc::clone(&upstream.wake_returns)));
        for (index, wake) in upstream.wake_lookups.iter().enumerate().filter(|(index, _)| is_name[*index]) {
            let (weak, resolver) = (Arc::downgrade(&upstream), Arc::clone(&tools.resolver));
            tokio::spawn(discovery::keep_looking_up(weak, index, resolver, Arc::clone(wake)));
        }
        upstream
    }

    /// The settings that it was made from.
    pub const fn settings(&self) -> &Arc<UpstreamSettings> {
        &self.settings
    }

    /// The server for a request, one that is not in `tried` if possible. None if there are no
    /// servers at all. `value` leads the request to its server where the upstream hashes.
    pub(crate) fn choose(
        &self,
        route: &RouteSettings,
        tried: &[Arc<Server>],
        is_upgrade: bool,
        value: Option<u64>,
    ) -> Option<Choice> {
        let (pool, balance) = (self.pool.load(), &self.settings.balance);
        let server = pool.pick(balance, self.turn.fetch_add(1, Ordering::Relaxed), value, tried)?;
        // What is billed at dispatch must not meet a connection that the server has closed already.
        let mut peer = server.peer_for(route.lifecycle.bill == Bill::OnDispatch);
        if let Some(timeout) = route.timeout {
            peer.options.read_timeout = Some(timeout);
        }
        if is_upgrade {
            // Either side may stay silent for long; until then, the client's deadline counts.
            peer.options.read_timeout = None;
        }
        let load = (*balance == Balance::LeastLoaded).then(|| Load::on(server));
        Some(Choice { server: Arc::clone(server), peer, load })
    }

    /// Counts a request that may be tried again.
    pub(crate) fn count_retriable(&self) {
        self.shared.budget.count_request(now_ms());
    }

    /// Takes one retry out of the budget. Returns false if none is left.
    pub(crate) fn take_retry(&self) -> bool {
        let is_left = self.shared.budget.take_retry(&self.settings.retry_budget, now_ms());
        let count = if is_left { &self.shared.retries } else { &self.shared.retries_denied };
        count.fetch_add(1, Ordering::Relaxed);
        is_left
    }

    /// Longest silence of a server that answers on a route.
    pub fn silence(&self, route: &RouteSettings) -> Duration {
        route.timeout.unwrap_or(self.settings.read_timeout)
    }

    /// Returns true if there is a server that is not in `tried`.
    pub(crate) fn has_untried(&self, tried: &[Arc<Server>]) -> bool {
        self.pool.load().has_untried(tried)
    }

    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn pool(&self) -> Arc<Pool> {
        self.pool.load_full()
    }

    fn known(&self) -> Vec<Found> {
        locked(&self.known).found.clone()
    }

    /// Looks its names up at once instead of at the next interval.
    fn look_up_now(&self) {
        for wake in &self.wake_lookups {
            wake.notify_one();
        }
    }

    async fn first_lookups(&self) {
        let mut looked_up = self.looked_up.subscribe();
        // Fails only if the upstream is gone.
        let _ = looked_up.wait_for(|done| done.iter().all(|done| *done)).await;
    }

    fn looked_up(&self, index: usize) {
        self.looked_up.send_if_modified(|done| !std::mem::replace(&mut done[index], true));
    }
}

impl Tools {
    /// The system's resolver, and one connector for all checks: it reads the trusted authorities
    /// once.
    fn system() -> Self {
        static SYSTEM: OnceLock<Tools> = OnceLock::new();
        let tools = || Self { resolver: Arc::new(NetworkResolver), probe: Arc::new(NetworkProbe::new()) };
        SYSTEM.get_or_init(tools).clone()
    }
}

#[cfg(test)]
mod tests;
