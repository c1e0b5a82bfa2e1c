//! The section `upstreams` as it is written: types and defaults, nothing checked beyond them.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Deserializer, de};

use super::{
    Protocol, Verify, balance::BalanceFile, breaker::BreakerFile, budget::BudgetFile, dns::DnsFile,
    ejection::EjectionFile, health::HealthFile,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct UpstreamFile {
    pub(super) servers: Vec<ServerFile>,
    #[serde(default = "default_connect_timeout_ms")]
    pub(super) connect_timeout_ms: u64,
    #[serde(default = "default_read_timeout_ms")]
    pub(super) read_timeout_ms: u64,
    #[serde(default)]
    pub(super) protocol: Protocol,
    #[serde(default)]
    pub(super) balance: BalanceFile,
    #[serde(default = "default_idle_seconds")]
    pub(super) idle_seconds: u64,
    #[serde(default)]
    pub(super) essential: bool,
    #[serde(default)]
    pub(super) health: HealthFile,
    #[serde(default)]
    pub(super) ejection: EjectionFile,
    pub(super) breaker: Option<BreakerFile>,
    #[serde(default)]
    pub(super) retry_budget: BudgetFile,
    #[serde(default)]
    pub(super) dns: DnsFile,
    pub(super) tls: Option<TlsFile>,
}

/// A server: its address alone, `{ address: a:80, weight: 3 }`, or `{ srv: _http._tcp.a }`.
pub(super) struct ServerFile {
    /// The address, or the name of the service.
    pub(super) address: String,
    pub(super) is_service: bool,
    pub(super) weight: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TlsFile {
    pub(super) ca_file: Option<PathBuf>,
    pub(super) client_certificate_file: Option<PathBuf>,
    pub(super) client_key_file: Option<PathBuf>,
    pub(super) server_name: Option<String>,
    pub(super) verify: Verify,
}

impl<'de> Deserialize<'de> for ServerFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ServerVisitor)
    }
}

struct ServerVisitor;

impl<'de> de::Visitor<'de> for ServerVisitor {
    type Value = ServerFile;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a server, as in 10.0.0.1:80 or { address: 10.0.0.1:80, weight: 2 }")
    }

    fn visit_str<E: de::Error>(self, address: &str) -> Result<ServerFile, E> {
        Ok(ServerFile { address: address.to_owned(), is_service: false, weight: None })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, entries: A) -> Result<ServerFile, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Entries {
            address: Option<String>,
            srv: Option<String>,
            weight: Option<u32>,
        }
        let Entries { address, srv, weight } = Entries::deserialize(de::value::MapAccessDeserializer::new(entries))?;
        match (address, srv) {
            (Some(address), None) => Ok(ServerFile { address, is_service: false, weight }),
            (None, Some(address)) => Ok(ServerFile { address, is_service: true, weight }),
            (None, None) => Err(de::Error::missing_field("address")),
            (Some(_), Some(_)) => {
                Err(de::Error::custom("a server is either an `address` or a `srv`: remove one of them"))
            }
        }
    }
}

const fn default_connect_timeout_ms() -> u64 {
    1_000
}

const fn default_read_timeout_ms() -> u64 {
    60_000
}

const fn default_idle_seconds() -> u64 {
    30
}
