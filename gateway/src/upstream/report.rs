//! The state of an upstream for operators: `/health/ready`, metrics and the log.

use std::net::SocketAddr;

use serde::Serialize;

use super::{Upstream, breaker::BreakerState, pool::Rank, standing::Verdict, window::now_ms};

/// State of an upstream as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Every server answers.
    Up,
    /// Some servers answer.
    Degraded,
    /// No server answers. Requests are tried on all of them.
    Down,
    /// Nothing is known yet.
    Unknown,
}

/// State of an upstream and its servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UpstreamHealth {
    /// As a whole.
    pub status: Status,
    /// True if the gateway is not ready without it.
    pub essential: bool,
    /// Servers that answer and are not ejected.
    pub healthy: usize,
    /// Servers in all; a name without addresses counts as one.
    pub servers: usize,
    /// State of its breaker, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breaker: Option<BreakerState>,
    /// Faults of its servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<ServerProblem>,
}

/// A fault of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerProblem {
    /// `host:port`, as the configuration says it.
    pub server: String,
    /// The address at fault; none if the server's name does not resolve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// The reason for which the last check or look-up failed.
    pub reason: String,
}

/// One address of a server, for metrics.
pub(super) struct AddressState {
    pub(super) server: String,
    pub(super) address: SocketAddr,
    pub(super) up: bool,
    pub(super) ejected: bool,
}

impl Upstream {
    /// Returns its state. A server that no check has reached yet is not healthy.
    pub fn health(&self) -> UpstreamHealth {
        let (pool, found, now_ms) = (self.pool(), self.known(), now_ms());
        let names = self.settings().servers.iter().zip(&found);
        let unresolved = names.filter_map(|(server, found)| {
            let reason = format!("name does not resolve: {}", found.failure.as_ref()?);
            Some(ServerProblem { server: server.address.to_string(), address: None, reason })
        });
        let failing = pool.servers.iter().filter_map(|server| {
            let reason = server.standing().failure.or_else(|| server.condition().ejected_for(now_ms))?;
            Some(ServerProblem { server: server.configured.to_string(), address: Some(server.address), reason })
        });
        let missing = found.iter().filter(|found| found.endpoints.is_empty()).count();
        let (healthy, servers) = (pool.count(Rank::Up), pool.servers.len() + missing);
        let undecided = pool.count(Rank::Unknown) > 0
            || found.iter().any(|found| found.endpoints.is_empty() && found.failure.is_none());
        let status = match healthy {
            0 if undecided => Status::Unknown,
            0 => Status::Down,
            healthy if healthy == servers => Status::Up,
            _ => Status::Degraded,
        };
        let problems = unresolved.chain(failing).collect();
        let breaker = self.settings().breaker.as_ref().map(|_| self.shared().breaker.state(now_ms));
        UpstreamHealth { status, essential: self.settings().essential, healthy, servers, breaker, problems }
    }

    /// Names without a current answer of the resolver.
    pub(super) fn unresolved_names(&self) -> usize {
        self.known().iter().filter(|found| found.failure.is_some()).count()
    }

    pub(super) fn address_states(&self) -> Vec<AddressState> {
        let now_ms = now_ms();
        let state = |server: &std::sync::Arc<super::Server>| AddressState {
            server: server.configured.to_string(),
            address: server.address,
            up: server.verdict() == Verdict::Up,
            ejected: server.condition().is_ejected(now_ms),
        };
        self.pool().servers.iter().map(state).collect()
    }
}
