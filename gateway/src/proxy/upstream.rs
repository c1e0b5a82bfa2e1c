//! The servers of one upstream: which are healthy, and whose turn it is.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use pingora_core::{
    protocols::l4::socket::SocketAddr as PeerAddress,
    upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, Peer as _},
};
use pingora_load_balancing::{
    Backend, LoadBalancer,
    health_check::{HealthCheck, HttpHealthCheck, TcpHealthCheck},
    selection::RoundRobin,
};
use tokio::runtime::Handle;
use tracing::{info, warn};

use crate::config::{Route, Server, UpstreamSettings};

/// How long an unused connection is kept. Servers that close idle connections sooner are noticed by the pool.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Most steps that one choice takes before it gives up; far above the number of servers.
const CHOICE_STEPS: usize = 256;

/// One upstream.
pub struct Upstream {
    settings: Arc<UpstreamSettings>,
    balancer: LoadBalancer<RoundRobin>,
    /// What to connect to, ready to be cloned.
    peers: HashMap<SocketAddr, HttpPeer>,
    /// Whether the first round of checks is over; until then every server counts as healthy, but none as seen.
    checked: AtomicBool,
}

/// How an upstream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct UpstreamHealth {
    /// Servers that answered when last checked.
    pub healthy: usize,
    /// Servers in all.
    pub servers: usize,
}

impl Upstream {
    /// The upstream, with checks that run on `runtime` for as long as it is in use.
    pub fn start(settings: &Arc<UpstreamSettings>, runtime: &Handle) -> std::io::Result<Arc<Self>> {
        let addresses: Vec<SocketAddr> = settings.servers.iter().map(|server| server.address).collect();
        let mut balancer = LoadBalancer::try_from_iter(addresses)?;
        balancer.set_health_check(health_check(settings));
        let peers = settings.servers.iter().map(|server| (server.address, peer(server, settings))).collect();
        let upstream = Arc::new(Self { settings: Arc::clone(settings), balancer, peers, checked: false.into() });
        runtime.spawn(keep_checking(Arc::downgrade(&upstream)));
        Ok(upstream)
    }

    /// What it was made from.
    pub const fn settings(&self) -> &Arc<UpstreamSettings> {
        &self.settings
    }

    /// The next healthy server, one that is not in `tried` if possible.
    pub fn choose(&self, route: &Route, tried: &[SocketAddr], is_upgrade: bool) -> Option<Box<HttpPeer>> {
        let backend = self.untried(tried).or_else(|| self.balancer.select(b"", CHOICE_STEPS))?;
        let mut peer = Box::new(self.peers.get(backend.addr.as_inet()?)?.clone());
        if let Some(timeout) = route.timeout {
            peer.options.read_timeout = Some(timeout);
        }
        if is_upgrade {
            // Either side may stay silent for long; until then, the client's deadline counts.
            peer.options.read_timeout = None;
        }
        Some(peer)
    }

    /// How long a server may stay silent that answers on a route.
    pub fn silence(&self, route: &Route) -> Duration {
        route.timeout.unwrap_or(self.settings.read_timeout)
    }

    /// Whether there is a healthy server that is not in `tried`.
    pub fn has_untried(&self, tried: &[SocketAddr]) -> bool {
        self.untried(tried).is_some()
    }

    fn untried(&self, tried: &[SocketAddr]) -> Option<Backend> {
        self.balancer.select_with(b"", CHOICE_STEPS, |backend, healthy| {
            healthy && backend.addr.as_inet().is_some_and(|address| !tried.contains(address))
        })
    }

    /// How it stands. Before the first check is over, no server counts as healthy.
    pub fn health(&self) -> UpstreamHealth {
        let backends = self.balancer.backends();
        let all = backends.get_backend();
        let healthy = all.iter().filter(|backend| backends.ready(backend)).count();
        let checked = self.checked.load(Ordering::Acquire);
        UpstreamHealth { healthy: if checked { healthy } else { 0 }, servers: all.len() }
    }

    async fn check(&self) {
        let before = self.health();
        self.balancer.backends().run_health_check(true).await;
        let first = !self.checked.swap(true, Ordering::AcqRel);
        let after = self.health();
        let upstream = &*self.settings.name;
        if after.healthy < after.servers && (first || after != before) {
            warn!(
                upstream,
                healthy = after.healthy,
                servers = after.servers,
                "upstream has servers that do not answer"
            );
        } else if first || after != before {
            info!(upstream, healthy = after.healthy, servers = after.servers, "every server of the upstream answers");
        }
    }
}

async fn keep_checking(upstream: Weak<Upstream>) {
    while let Some(current) = upstream.upgrade() {
        current.check().await;
        let interval = current.settings.health_interval;
        drop(current);
        tokio::time::sleep(interval).await;
    }
}

fn peer(server: &Server, settings: &UpstreamSettings) -> HttpPeer {
    let mut peer =
        HttpPeer::new(server.address, server.tls, if server.tls { server.host.clone() } else { String::new() });
    peer.options.connection_timeout = Some(settings.connect_timeout);
    // With TLS, the handshake comes on top of the connection.
    peer.options.total_connection_timeout = Some(settings.connect_timeout * 2);
    peer.options.read_timeout = Some(settings.read_timeout);
    peer.options.write_timeout = Some(settings.read_timeout);
    peer.options.idle_timeout = Some(IDLE_TIMEOUT);
    // Upgrades that a route allows are asked for where the request is rewritten.
    peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
    peer
}

fn health_check(settings: &UpstreamSettings) -> Box<dyn HealthCheck + Send + Sync> {
    let (Some(server), Some(path)) = (settings.servers.first(), &settings.health_path) else {
        let mut check = TcpHealthCheck::new();
        check.peer_template.options.connection_timeout = Some(settings.connect_timeout);
        return check;
    };
    let mut check = HttpHealthCheck::new(&server.host, server.tls);
    check.peer_template.options.connection_timeout = Some(settings.connect_timeout);
    if let Ok(uri) = path.parse() {
        check.req.set_uri(uri);
    }
    check.validator = Some(Box::new(|response| {
        if response.status.is_success() {
            return Ok(());
        }
        pingora_core::Error::e_explain(pingora_core::ErrorType::HTTPStatus(response.status.as_u16()), "health check")
    }));
    Box::new(check)
}

/// The address that a peer stands for.
pub(super) fn address_of(peer: &HttpPeer) -> Option<SocketAddr> {
    match peer.address() {
        PeerAddress::Inet(address) => Some(*address),
        PeerAddress::Unix(_) => None,
    }
}
