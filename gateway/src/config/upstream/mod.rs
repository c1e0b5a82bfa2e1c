//! The section `upstreams`: groups of servers that answer alike, how they are found, checked and
//! spoken with.
//!
//! Names are not looked up here: what a name stands for changes while the file stays as it is, so
//! that [`crate::upstream`] asks again and again. A name that does not resolve is no fault of the
//! file.

mod address;
pub(super) mod file;
mod tls;

use std::{sync::Arc, time::Duration};

pub use address::{Host, ServerAddress};
use common::config::{ConfigError, quoted};
use rustls::pki_types::ServerName;
use serde::Deserialize;
pub use tls::{TlsSettings, Verify};

use self::file::{DnsFile, HealthFile, ServerFile, UpstreamFile};
use super::check::{Check, NAME_RULE, TIMEOUT_MAX_MS, is_name, is_path};

/// Most of the requests that one server may take compared with another.
const WEIGHT_MAX: u32 = 100;

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
    /// True if the gateway is not ready while none of the servers answers.
    pub essential: bool,
    /// Health checks of the servers.
    pub health: HealthSettings,
    /// Look-ups of the servers' names.
    pub dns: DnsSettings,
    /// TLS with the servers.
    pub tls: TlsSettings,
}

/// A server: one address, or a name with all addresses behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Address of the server.
    pub address: ServerAddress,
    /// Its part of the requests, compared with that of the others. Each address of a name counts by
    /// itself.
    pub weight: u32,
}

/// Health checks of the servers of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSettings {
    /// Time from the end of one check to the next.
    pub interval: Duration,
    /// Longest time for one check.
    pub timeout: Duration,
    /// Checks in a row that fail until a server counts as down.
    pub unhealthy_after: u32,
    /// Checks in a row that succeed until a server that was down counts as up.
    pub healthy_after: u32,
    /// The path that must answer 2xx; without one, a connection is enough, and a handshake if the
    /// server speaks TLS.
    pub path: Option<String>,
    /// The header `Host` of checks, instead of the server's own.
    pub host: Option<String>,
}

/// Look-ups of the names of an upstream's servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSettings {
    /// Time from the end of one look-up to the next.
    pub interval: Duration,
    /// Time for which the last known addresses of a name serve on while it does not resolve.
    pub keep: Duration,
    /// Family of the addresses that are used.
    pub family: AddressFamily,
}

/// Family of the addresses of a name that are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AddressFamily {
    /// All of them.
    #[default]
    Any,
    /// IPv4 (A).
    Ipv4,
    /// IPv6 (AAAA).
    Ipv6,
}

impl UpstreamSettings {
    /// The name that a server's certificate must carry, and that is sent as SNI unless it is an
    /// address.
    pub fn tls_name(&self, server: &ServerSettings) -> String {
        self.tls.server_name.clone().unwrap_or_else(|| server.address.host.to_string())
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
            essential: file.essential,
            health: self.inside("health", || self.health(&file.health))?,
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
        if !(1..=WEIGHT_MAX).contains(&file.weight) {
            refuse("weight", format!("`weight` is {}; it must be between 1 and {WEIGHT_MAX}", file.weight));
        }
        let address = ServerAddress::parse(&file.address).map_err(|reason| refuse("address", reason)).ok()?;
        if earlier.first().is_some_and(|first| first.address.tls != address.tls) {
            refuse("address", "mixes http and https servers: split it in two".into());
        }
        if earlier.iter().any(|server| server.address == address) {
            refuse("address", format!("has {address} twice: to send it more requests, give it a `weight`"));
        }
        if address.tls && !is_named_by_upstream {
            let host = address.host.to_string();
            if ServerName::try_from(host.as_str()).is_err() {
                let host = quoted(&host);
                refuse("address", format!("no certificate can carry the name {host}: set `tls.server_name`"));
            }
        }
        Some(ServerSettings { address, weight: file.weight })
    }

    fn health(&self, file: &HealthFile) -> Result<HealthSettings, ConfigError> {
        if let Some(path) = file.path.as_ref().filter(|path| !is_path(path)) {
            self.note(self.at("path", path, "is not a path: write it as in /health"));
        }
        let is_authority = |host: &str| !host.contains('@') && host.parse::<http::uri::Authority>().is_ok();
        if let Some(host) = file.host.as_ref().filter(|host| !is_authority(host)) {
            self.note(self.at("host", host, "is not a host: write it as in api.example.com or api.example.com:8080"));
        }
        if file.host.is_some() && file.path.is_none() && !self.is_unusable() {
            self.note(self.about("host", "`health.host` needs `health.path`: without it, no request is sent"));
        }
        Ok(HealthSettings {
            interval: self.within("interval_seconds", file.interval_seconds, 1, 3_600).map(Duration::from_secs)?,
            timeout: self.within("timeout_ms", file.timeout_ms, 1, 60_000).map(Duration::from_millis)?,
            unhealthy_after: self.within("unhealthy_after", file.unhealthy_after, 1, 100)?,
            healthy_after: self.within("healthy_after", file.healthy_after, 1, 100)?,
            path: file.path.clone(),
            host: file.host.clone(),
        })
    }

    fn dns(&self, file: &DnsFile) -> Result<DnsSettings, ConfigError> {
        Ok(DnsSettings {
            interval: self.within("interval_seconds", file.interval_seconds, 1, 3_600).map(Duration::from_secs)?,
            keep: self.within("keep_seconds", file.keep_seconds, 0, 604_800).map(Duration::from_secs)?,
            family: file.family,
        })
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
