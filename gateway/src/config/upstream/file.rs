//! The section `upstreams` as it is written: types and defaults, nothing checked beyond them.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Deserializer, de};

use super::{
    AddressFamily, Verify, balance::BalanceFile, breaker::BreakerFile, budget::BudgetFile, ejection::EjectionFile,
    health::HealthFile,
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

/// A server: its address alone, or `{ address: a:80, weight: 3 }`.
pub(super) struct ServerFile {
    pub(super) address: String,
    pub(super) weight: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DnsFile {
    pub(super) interval_seconds: u64,
    pub(super) keep_seconds: u64,
    pub(super) family: AddressFamily,
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

impl Default for DnsFile {
    fn default() -> Self {
        Self { interval_seconds: 10, keep_seconds: 3_600, family: AddressFamily::default() }
    }
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
        Ok(ServerFile { address: address.to_owned(), weight: default_weight() })
    }

    fn visit_map<A: de::MapAccess<'de>>(self, entries: A) -> Result<ServerFile, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Entries {
            address: String,
            #[serde(default = "default_weight")]
            weight: u32,
        }
        let Entries { address, weight } = Entries::deserialize(de::value::MapAccessDeserializer::new(entries))?;
        Ok(ServerFile { address, weight })
    }
}

const fn default_weight() -> u32 {
    1
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
