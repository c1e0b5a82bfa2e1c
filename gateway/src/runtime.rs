//! The running gateway, which the proxy and the decision API share: its way in, and the
//! configuration in force.
//!
//! Invariant: the configuration is swapped as a whole; a request keeps the one that it started
//! with.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use crate::{
    admission::AdmissionControl,
    auth::AcceptedIssuer,
    catalog::Catalog,
    certificate::Challenge,
    config::{ClientSettings, ConnectionSettings, Http2Settings, Settings, SizeLimits},
    limit::Limiter,
    meter::Meter,
    route::{Route, Table},
    upstream::{self, Upstreams},
};

/// The way in, and the configuration in force.
pub struct Gateway {
    live: ArcSwap<Live>,
    admission: AdmissionControl,
    draining: AtomicBool,
    /// Tells those of draining who wait for it.
    drained: watch::Sender<bool>,
}

/// Routes, upstreams and bounds of one version of the configuration.
pub struct Live {
    /// Routes by host, path and method.
    pub table: Table,
    /// Upstreams by name.
    pub upstreams: Upstreams,
    /// Largest requests.
    pub sizes: SizeLimits,
    /// Proxies that are trusted to name their clients, and how often credentials may fail.
    pub clients: ClientSettings,
    /// Most connections of clients, and how long they may take.
    pub connections: ConnectionSettings,
    /// HTTP/2 with clients.
    pub http2: Http2Settings,
    /// Folders with answers to authorities that ask over HTTP whether a name is ours.
    pub(crate) challenges: Vec<PathBuf>,
    /// Issuers whose tokens routes accept, by name.
    pub(crate) token_issuers: HashMap<Arc<str>, Arc<AcceptedIssuer>>,
    /// Routes whose connections may be upgraded, by name.
    pub(crate) upgrades: HashMap<Arc<str>, Arc<Route>>,
}

impl Gateway {
    /// A gateway that admits by `admission` and serves the configuration `live`.
    pub fn new(live: Live, admission: AdmissionControl) -> Self {
        Self {
            live: ArcSwap::from_pointee(live),
            admission,
            draining: AtomicBool::new(false),
            drained: watch::Sender::new(false),
        }
    }

    /// The configuration in force.
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// The configuration in force, for the length of a look.
    pub(crate) fn look(&self) -> Guard<Arc<Live>> {
        self.live.load()
    }

    /// Puts another configuration into force for the requests to come.
    pub async fn apply(&self, settings: &Settings) {
        let live = Live::start(settings, Some(&self.live()), self.admission.limiter()).await;
        self.live.store(Arc::new(live));
    }

    /// The way in for every request, whether this gateway forwards it or another proxy does.
    pub const fn admission(&self) -> &AdmissionControl {
        &self.admission
    }

    /// The catalog that callers are looked up in.
    pub const fn catalog(&self) -> &Arc<Catalog> {
        self.admission.catalog()
    }

    /// The meter that usage is recorded with.
    pub const fn meter(&self) -> &Arc<Meter> {
        self.admission.meter()
    }

    /// From now on, answers ask clients to connect anew and the gateway is not ready.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
        self.drained.send_replace(true);
    }

    /// Turns true once the gateway is about to end.
    pub(crate) fn draining(&self) -> watch::Receiver<bool> {
        self.drained.subscribe()
    }

    /// Returns true if the gateway is about to end.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

impl Live {
    /// Puts settings into force, on the runtime that then checks the upstreams. Upstreams that did
    /// not change since `previous` keep their health, and the buckets of routes stay with
    /// `limiter`. Waits a few seconds at most for the first look-up of new names.
    pub async fn start(settings: &Settings, previous: Option<&Self>, limiter: &Limiter) -> Self {
        let routes: Vec<Arc<Route>> =
            settings.routes.iter().map(|route| Arc::new(Route::new(route.clone(), limiter))).collect();
        let with_upgrade = routes.iter().filter(|route| !route.lifecycle.upgrade.protocols.is_empty());
        let upgrades = with_upgrade.map(|route| (Arc::clone(&route.name), Arc::clone(route))).collect();
        Self {
            table: Table::new(&routes),
            upstreams: upstream::start(&settings.upstreams, previous.map(|previous| &previous.upstreams)).await,
            sizes: settings.sizes,
            clients: settings.clients.clone(),
            connections: settings.connections,
            http2: settings.http2,
            challenges: challenges(settings),
            token_issuers: token_issuers(settings, previous),
            upgrades,
        }
    }

    /// Returns true if each essential upstream has a server that answers.
    pub fn is_ready(&self) -> bool {
        self.silent().next().is_none()
    }

    /// Names of the essential upstreams of which no server answers.
    pub fn silent(&self) -> impl Iterator<Item = &str> {
        let essential = self.upstreams.iter().filter(|(_, upstream)| upstream.settings().essential);
        essential.filter(|(_, upstream)| upstream.health().healthy == 0).map(|(name, _)| &**name)
    }
}

fn challenges(settings: &Settings) -> Vec<PathBuf> {
    let ordering = settings.authorities.iter().filter(|authority| !authority.orders.is_empty());
    ordering.filter_map(|authority| authority.challenges(Challenge::Http01)).collect()
}

/// The issuers of the settings, which fetch their keys from now on. Those that did not change since
/// `previous` keep the keys and the tokens that they know.
fn token_issuers(settings: &Settings, previous: Option<&Live>) -> HashMap<Arc<str>, Arc<AcceptedIssuer>> {
    let mut issuers = HashMap::new();
    for new in &settings.token_issuers {
        let kept = previous.and_then(|previous| previous.token_issuers.get(&new.name));
        if let Some(kept) = kept.filter(|kept| kept.settings() == new) {
            issuers.insert(Arc::clone(&new.name), Arc::clone(kept));
            continue;
        }
        match AcceptedIssuer::new(Arc::clone(new)) {
            Ok(issuer) => {
                let issuer = Arc::new(issuer);
                let learning = Arc::clone(&issuer);
                tokio::spawn(async move { learning.learn().await });
                issuers.insert(Arc::clone(&new.name), issuer);
            }
            Err(error) => tracing::error!(event = "token_issuer_unusable", issuer = &*new.name, %error),
        }
    }
    issuers
}
