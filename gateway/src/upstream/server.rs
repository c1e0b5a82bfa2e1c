//! One address of a server: how to connect with it, and how it stands.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use pingora_core::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy, Peer as _};

use super::{
    ejection::Condition,
    endpoint::Endpoint,
    pool::value_of,
    standing::{Standing, Verdict},
};
use crate::{
    config::{HealthSettings, Protocol, ServerAddress, UpstreamSettings, Verify},
    lock::locked,
};

/// Requests that one connection of HTTP/2 carries at once, unless the server allows fewer.
const STREAMS_MAX: usize = 100;

/// Time after which a server of HTTP/2 is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);

/// One address of a server.
pub struct Server {
    /// Its address in the configuration.
    pub(super) configured: ServerAddress,
    /// Its own name and port: that of the configuration, or that of a record of the service.
    pub(super) named: ServerAddress,
    /// The address behind it, as it was found.
    pub(super) endpoint: Endpoint,
    /// Address to connect to.
    pub(super) address: SocketAddr,
    /// Its part of the requests, compared with that of the others.
    pub(super) weight: u32,
    /// The peer to connect to, ready to be cloned.
    pub(super) peer: HttpPeer,
    /// Index of its server in the configuration.
    pub(super) index: usize,
    id: u64,
    /// Its place among the servers of an upstream that hashes, the same on every gateway.
    seed: u64,
    /// True if its connections are kept for further requests.
    keeps_connections: bool,
    /// Its condition, as requests have shown it.
    condition: Arc<Condition>,
    /// Group of the kept connections that may be used; others are never found again. Shared with
    /// the server that it replaces, if both connect in the same way.
    group: Arc<AtomicU64>,
    standing: Mutex<Standing>,
}

impl Server {
    /// An address of the server that `settings` has at `index`.
    pub(super) fn new(settings: &UpstreamSettings, index: usize, endpoint: Endpoint) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let server = &settings.servers[index];
        let address = endpoint.address;
        let named = match &endpoint.target {
            Some(target) => server.address.of_target(target, address.port()),
            None => server.address.clone(),
        };
        let peer = peer(settings, &named, address);
        Self {
            configured: server.address.clone(),
            named,
            address,
            weight: endpoint.weight.unwrap_or(server.weight),
            endpoint,
            index,
            group: Arc::new(new_group(&peer).into()),
            peer,
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            seed: value_of(address.to_string().as_bytes()),
            keeps_connections: !settings.idle.is_zero(),
            condition: Arc::default(),
            standing: Mutex::default(),
        }
    }

    /// The same with what checks and requests have shown of another, which it replaces, and with
    /// the connections of that one, if a new connection would be no different: those that are
    /// abandoned stay open until they have been idle for long enough.
    pub(super) fn after(self, other: &Self) -> Self {
        let group = if connect_alike(&self.peer, &other.peer) { Arc::clone(&other.group) } else { self.group };
        Self { standing: Mutex::new(other.standing()), condition: Arc::clone(&other.condition), group, ..self }
    }

    /// Tells servers apart, also those that have one address.
    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    /// Address to connect to.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `host:port`, as the configuration says it.
    pub(crate) const fn configured(&self) -> &ServerAddress {
        &self.configured
    }

    /// Returns the peer to connect to. `is_new`: over a connection that no other request has used
    /// or will use.
    pub(super) fn peer_for(&self, is_new: bool) -> Box<HttpPeer> {
        let mut peer = Box::new(self.peer.clone());
        peer.group_key =
            if is_new || !self.keeps_connections { new_group(&self.peer) } else { self.group.load(Ordering::Acquire) };
        peer
    }

    /// Uses none of the connections any more that are kept or in use now: each is closed when it is
    /// idle.
    pub(crate) fn abandon_connections(&self) {
        self.group.store(new_group(&self.peer), Ordering::Release);
    }

    pub(super) const fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn condition(&self) -> &Condition {
        &self.condition
    }

    pub(super) fn standing(&self) -> Standing {
        locked(&self.standing).clone()
    }

    pub(super) fn verdict(&self) -> Verdict {
        locked(&self.standing).verdict
    }

    /// Takes the outcome of a check. Returns the verdict before it if that has changed.
    pub(super) fn observe(&self, outcome: Result<(), String>, settings: &HealthSettings) -> Option<Verdict> {
        locked(&self.standing).observe(outcome, settings)
    }
}

/// Returns true if connections with one peer serve the other as well. Time-outs are not the
/// connection's: each request brings its own.
fn connect_alike(one: &HttpPeer, other: &HttpPeer) -> bool {
    let versions =
        |peer: &HttpPeer| (peer.options.alpn.get_min_http_version(), peer.options.alpn.get_max_http_version());
    one.reuse_hash() == other.reuse_hash() && versions(one) == versions(other)
}

/// A number that no connection has that is kept. Pingora shares the connections of peers with one
/// number.
fn new_group(peer: &HttpPeer) -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut hasher = DefaultHasher::new();
    (peer.group_key, NEXT.fetch_add(1, Ordering::Relaxed)).hash(&mut hasher);
    hasher.finish()
}

fn peer(settings: &UpstreamSettings, server: &ServerAddress, address: SocketAddr) -> HttpPeer {
    let tls = server.tls;
    let mut peer = HttpPeer::new(address, tls, if tls { settings.tls_name(server) } else { String::new() });
    let options = &mut peer.options;
    options.connection_timeout = Some(settings.connect_timeout);
    // With TLS, the handshake comes on top of the connection.
    options.total_connection_timeout = Some(settings.connect_timeout * 2);
    options.read_timeout = Some(settings.read_timeout);
    options.write_timeout = Some(settings.read_timeout);
    options.idle_timeout = Some(settings.idle);
    if settings.protocol == Protocol::Http2 {
        options.set_http_version(2, 2);
        options.max_h2_streams = STREAMS_MAX;
        options.h2_ping_interval = Some(PING_INTERVAL);
    }
    // Upgrades that a route allows are asked for where the request is rewritten.
    options.http_upstream_request_policy = HttpUpstreamRequestPolicy::deny_upgrades();
    if tls {
        options.ca.clone_from(&settings.tls.ca);
        options.verify_cert = settings.tls.verify != Verify::Off;
        options.verify_hostname = settings.tls.verify == Verify::Full;
        peer.client_cert_key.clone_from(&settings.tls.identity);
        // Pingora shares connections of equal peers and does not compare whom they trust.
        peer.group_key = settings.tls.connection_group();
    }
    peer
}
