//! The section `dns` of an upstream: how the names of its servers are looked up.

use std::{net::SocketAddr, time::Duration};

use common::config::ConfigError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::check::Check;

/// The port of DNS.
const DNS_PORT: u16 = 53;

/// Look-ups of the names of an upstream's servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSettings {
    /// Servers that are asked, instead of the system's resolver, `/etc/hosts` included.
    pub servers: Vec<SocketAddr>,
    /// Time from the end of one look-up to the next, instead of the time to live of the answer.
    pub interval: Option<Duration>,
    /// Time for which the last known addresses of a name serve on while it does not resolve.
    pub keep: Duration,
    /// Family of the addresses that are used.
    pub family: AddressFamily,
}

/// Family of the addresses of a name that are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
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

/// The section as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DnsFile {
    /// DNS servers; those of the system unless set.
    servers: Vec<String>,
    /// Time between two look-ups, instead of the life of the answers.
    interval_seconds: Option<u64>,
    /// Time for which a name that does not resolve any more keeps its addresses.
    keep_seconds: u64,
    /// Addresses that are used: `any`, `ipv4` or `ipv6`.
    family: AddressFamily,
}

impl Default for DnsFile {
    fn default() -> Self {
        Self { servers: Vec::new(), interval_seconds: None, keep_seconds: 3_600, family: AddressFamily::default() }
    }
}

impl AddressFamily {
    /// Returns true if addresses of this one's family are used.
    pub const fn includes(self, address: &SocketAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Ipv4 => address.is_ipv4(),
            Self::Ipv6 => address.is_ipv6(),
        }
    }
}

impl Check<'_> {
    pub(super) fn dns(&self, file: &DnsFile) -> Result<DnsSettings, ConfigError> {
        let interval = file.interval_seconds.map(|seconds| self.within("interval_seconds", seconds, 1, 3_600));
        let server = |text: &String| {
            let address = text.parse().or_else(|_| text.parse().map(|address| SocketAddr::new(address, DNS_PORT)));
            let told = |_| {
                let reason =
                    format!("`servers`: `{text}` is not a DNS server: write it as in 10.0.0.53 or 127.0.0.1:8600");
                self.note(self.about_value("servers", text, reason));
            };
            address.map_err(told).ok()
        };
        Ok(DnsSettings {
            servers: file.servers.iter().filter_map(server).collect(),
            interval: interval.transpose()?.map(Duration::from_secs),
            keep: self.within("keep_seconds", file.keep_seconds, 0, 604_800).map(Duration::from_secs)?,
            family: file.family,
        })
    }
}
