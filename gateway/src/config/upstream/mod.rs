//! The section `upstreams`: groups of servers that answer alike, how they are found, checked and
//! spoken with.
//!
//! Names are not looked up here: what a name stands for changes while the file stays as it is, so
//! that [`crate::upstream`] asks again and again. A name that does not resolve is no fault of the
//! file.

mod address;
pub(super) mod balance;
mod breaker;
mod budget;
mod dns;
mod ejection;
pub(super) mod file;
mod health;
mod protocol;
mod statuses;
mod tls;

use std::{sync::Arc, time::Duration};

pub use address::{Host, ServerAddress};
pub use balance::{Balance, HashBy};
pub use breaker::BreakerSettings;
pub use budget::RetryBudget;
use common::config::{ConfigError, quoted};
pub use dns::{AddressFamily, DnsSettings};
pub use ejection::EjectionSettings;
pub use health::{HealthSettings, Question};
pub use protocol::Protocol;
use rustls::pki_types::ServerName;
pub use statuses::Statuses;
pub use tls::{TlsSettings, Verify};

use self::file::{ServerFile, UpstreamFile};
use super::check::{Check, NAME_RULE, TIMEOUT_MAX_MS, is_name};

/// Most of the requests that one server may take compared with another.
const WEIGHT_MAX: u32 = 100;

/// Longest time for which an unused connection can be kept, in seconds.
const IDLE_MAX_SECONDS: u64 = 3_600;

/// A group of servers that answer alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// Its name in routes, health and metrics.
    pub name: Arc<str>,
    /// Its servers, at least one.
    pub servers: Vec<ServerSettings>,
    /// Longest time for a connection to be made.
    pub connect_timeout: Duration,
    /// Longest silence of a server.
    pub read_timeout: Duration,
    /// The version of HTTP that the servers are spoken with.
    pub protocol: Protocol,
    /// The rule by which a request finds its server.
    pub balance: Balance,
    /// Time for which an unused connection is kept; none is if it is zero.
    pub idle: Duration,
    /// True if the gateway is not ready while none of the servers answers.
    pub essential: bool,
    /// Health checks of the servers.
    pub health: HealthSettings,
    /// Ejection of servers whose requests fail.
    pub ejection: EjectionSettings,
    /// The circuit breaker, if it has one.
    pub breaker: Option<BreakerSettings>,
    /// Most tries beside the first ones.
    pub retry_budget: RetryBudget,
    /// Look-ups of the servers' names.
    pub dns: DnsSettings,
    /// TLS with the servers.
    pub tls: TlsSettings,
}

/// A server: one address, a name with all addresses behind it, or a service with all its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Address of the server.
    pub address: ServerAddress,
    /// Its part of the requests, compared with that of the others. Each address of a name counts by
    /// itself; the records of a service have weights of their own.
    pub weight: u32,
}

impl UpstreamSettings {
    /// The name that a server's certificate must carry, and that is sent as SNI unless it is an
    /// address.
    pub fn tls_name(&self, server: &ServerAddress) -> String {
        self.tls.server_name.clone().unwrap_or_else(|| server.host.to_string())
    }
}

impl Check<'_> {
    pub(super) fn upstream(&self, name: &str, file: &UpstreamFile) -> Result<UpstreamSettings, ConfigError> {
        if !is_name(name) {
            self.note(self.about("", format!("upstream {}: {NAME_RULE}", quoted(name))));
        }
        let servers = self.inside("servers", || self.servers(name, file));
        let timeout = |field, value| self.within(field, value, 1, TIMEOUT_MAX_MS).map(Duration::from_millis);
        Ok(UpstreamSettings {
            name: name.into(),
            connect_timeout: timeout("connect_timeout_ms", file.connect_timeout_ms)?,
            read_timeout: timeout("read_timeout_ms", file.read_timeout_ms)?,
            protocol: file.protocol,
            balance: self.noted(self.balance(&file.balance)).unwrap_or_default(),
            idle: self.within("idle_seconds", file.idle_seconds, 0, IDLE_MAX_SECONDS).map(Duration::from_secs)?,
            essential: file.essential,
            health: self.inside("health", || self.health(&file.health))?,
            ejection: self.inside("ejection", || self.ejection(&file.ejection))?,
            breaker: self.inside("breaker", || file.breaker.as_ref().map(|file| self.breaker(file)).transpose())?,
            retry_budget: self.inside("retry_budget", || self.retry_budget(&file.retry_budget))?,
            dns: self.inside("dns", || self.dns(&file.dns))?,
            tls: self.tls(name, file, &servers),
            servers,
        })
    }

    fn servers(&self, name: &str, file: &UpstreamFile) -> Vec<ServerSettings> {
        if file.servers.is_empty() && !self.is_unusable() {
            self.note(self.about("", format!("upstream {} has no servers", quoted(name))));
        }
        let server_name = file.tls.as_ref().and_then(|tls| tls.server_name.as_ref());
        let mut servers: Vec<ServerSettings> = Vec::new();
        for (index, file) in file.servers.iter().enumerate() {
            let server = self.inside(index, || self.server(name, file, &servers, server_name.is_some()));
            servers.extend(server);
        }
        servers
    }

    /// One server, beside the earlier ones of its upstream. Its certificate carries its own name
    /// unless the upstream says which.
    fn server(
        &self,
        name: &str,
        file: &ServerFile,
        earlier: &[ServerSettings],
        is_named_by_upstream: bool,
    ) -> Option<ServerSettings> {
        let refuse = |field: &str, reason: String| {
            self.note(self.about(field, format!("upstream {}: {reason}", quoted(name))));
        };
        let weight = file.weight.unwrap_or(1);
        if !(1..=WEIGHT_MAX).contains(&weight) {
            refuse("weight", format!("`weight` is {weight}; it must be between 1 and {WEIGHT_MAX}"));
        }
        if file.is_service && file.weight.is_some() {
            refuse("weight", "the records of a service say the weights of its servers: remove `weight`".into());
        }
        let (field, address) = if file.is_service {
            ("srv", ServerAddress::parse_service(&file.address))
        } else {
            ("address", ServerAddress::parse(&file.address))
        };
        let address = address.map_err(|reason| refuse(field, reason)).ok()?;
        if earlier.first().is_some_and(|first| first.address.tls != address.tls) {
            refuse(field, "mixes http and https servers: split it in two".into());
        }
        if earlier.iter().any(|server| server.address == address) {
            refuse(field, format!("has {address} twice: to send it more requests, give it a `weight`"));
        }
        if address.tls && !is_named_by_upstream && !file.is_service {
            let host = address.host.to_string();
            if ServerName::try_from(host.as_str()).is_err() {
                let host = quoted(&host);
                refuse("address", format!("no certificate can carry the name {host}: set `tls.server_name`"));
            }
        }
        Some(ServerSettings { address, weight })
    }

    fn tls(&self, name: &str, file: &UpstreamFile, servers: &[ServerSettings]) -> TlsSettings {
        let Some(tls) = &file.tls else { return TlsSettings::default() };
        let name = quoted(name);
        // Servers of both kinds are a fault by themselves.
        if !servers.is_empty() && servers.iter().all(|server| !server.address.tls) {
            let reason = "has a section `tls`, but its servers are not https: write them as in https://host";
            self.note(self.about("tls", format!("upstream {name} {reason}")));
        }
        if self.inside("tls", || self.is_unusable()) {
            return TlsSettings::default();
        }
        let read = TlsSettings::read(tls).map_err(|fault| {
            let reason = format!("upstream {name}: `tls.{}`: {} {}", fault.setting, quoted(&fault.value), fault.reason);
            self.inside("tls", || self.about_value(fault.setting, &fault.value, reason))
        });
        self.noted(read).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
