//! The parts of an upstream that change while it runs: its servers, and their standing.

use std::sync::Arc;

use tracing::{info, warn};

use super::{
    Status, Upstream, UpstreamHealth, discovery::Found, endpoint::Endpoint, pool::Pool, server::Server, window::now_ms,
};
use crate::{
    config::{Host, ServerAddress, UpstreamSettings},
    lock::locked,
};

impl Upstream {
    /// Takes over what checks and requests have shown of the same servers.
    pub(super) fn inherit(&self, previous: Option<&Self>) {
        let before = previous.map(Self::pool).unwrap_or_default();
        let servers = endpoints(&locked(&self.known).found);
        let server = |(index, endpoint): (usize, Endpoint)| {
            let server = Server::new(&self.settings, index, endpoint);
            let is_same = |old: &&Arc<Server>| old.configured == server.configured && old.address == server.address;
            let same = before.servers.iter().find(is_same);
            let server = match same {
                Some(same) => server.after(same),
                None => server,
            };
            if self.settings.ejection.failures == 0 {
                server.condition().pardon();
            }
            Arc::new(server)
        };
        self.pool.store(Arc::new(Pool::new(servers.into_iter().map(server).collect(), now_ms())));
    }

    /// Changes what is known of servers. If `change` says so, turns are given anew; servers that
    /// stay keep their standing, and new ones are checked at once.
    pub(super) fn change_servers<T>(&self, change: impl FnOnce(&mut Vec<Found>) -> (bool, T)) -> T {
        let mut known = locked(&self.known);
        let (changed, value) = change(&mut known.found);
        if changed {
            let before = self.pool();
            let mut has_new = false;
            let servers = endpoints(&known.found).into_iter().map(|(index, endpoint)| {
                let is_same = |old: &&Arc<Server>| (old.index, old.address) == (index, endpoint.address);
                match before.servers.iter().find(is_same) {
                    Some(kept) if kept.endpoint == endpoint => Arc::clone(kept),
                    // Its weight, its priority or its name is another.
                    Some(same) => Arc::new(Server::new(&self.settings, index, endpoint).after(same)),
                    None => {
                        has_new = true;
                        Arc::new(Server::new(&self.settings, index, endpoint))
                    }
                }
            });
            let servers = servers.collect();
            self.pool.store(Arc::new(Pool::new(servers, now_ms())));
            if has_new {
                self.wake_checks.notify_one();
            }
        }
        drop(known);
        self.tell();
        value
    }

    /// One line whenever the last server goes down, and when the first is up.
    fn tell(&self) {
        let health = self.health();
        let before = std::mem::replace(&mut locked(&self.known).told, health.status);
        let is_down = |status| status == Status::Down;
        let UpstreamHealth { healthy, servers, .. } = health;
        let upstream = &*self.settings.name;
        match (before, health.status) {
            (before, Status::Down) if !is_down(before) => {
                warn!(
                    event = "upstream_down",
                    upstream,
                    healthy,
                    servers,
                    consequence = "requests are tried on every server"
                );
            }
            (Status::Down | Status::Unknown, Status::Up | Status::Degraded) => {
                info!(event = "upstream_up", upstream, healthy, servers);
            }
            _ => {}
        }
    }
}

/// Each address of each server, with the server's place in the configuration.
fn endpoints(found: &[Found]) -> Vec<(usize, Endpoint)> {
    let each = found.iter().enumerate();
    each.flat_map(|(index, found)| found.endpoints.iter().map(move |endpoint| (index, endpoint.clone()))).collect()
}

/// Returns the addresses of a server before its first look-up: those that it had in the previous
/// configuration.
pub(super) fn known_before(server: &ServerAddress, settings: &UpstreamSettings, previous: Option<&Upstream>) -> Found {
    let of_previous = previous.and_then(|previous| {
        let index = previous.settings.servers.iter().position(|old| old.address == *server)?;
        previous.known().into_iter().nth(index)
    });
    match (&server.host, of_previous) {
        (Host::Name(_) | Host::Service(_), Some(mut found)) => {
            found.endpoints.retain(|endpoint| settings.dns.family.includes(&endpoint.address));
            found
        }
        _ => Found::before_lookup(server),
    }
}
