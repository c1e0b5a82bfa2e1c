//! The section `upstreams` as it is written: types and defaults, nothing checked beyond them.

use std::{fmt, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap as _};

use super::{
    Protocol, Verify, balance::BalanceFile, breaker::BreakerFile, budget::BudgetFile, dns::DnsFile,
    ejection::EjectionFile, health::HealthFile,
};

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct UpstreamFile {
    /// `host:port` or a URL each, or `{ address, weight }`, or `{ srv }`.
    pub(super) servers: Vec<ServerFile>,
    /// Longest wait for a connection.
    #[serde(default = "default_connect_timeout_ms")]
    pub(super) connect_timeout_ms: u64,
    /// Longest silence of a server.
    #[serde(default = "default_read_timeout_ms")]
    pub(super) read_timeout_ms: u64,
    /// The version of HTTP that the servers are spoken with.
    #[serde(default)]
    pub(super) protocol: Protocol,
    /// The rule by which a request finds its server.
    #[serde(default)]
    pub(super) balance: BalanceFile,
    /// Time for which idle connections are kept.
    #[serde(default = "default_idle_seconds")]
    pub(super) idle_seconds: u64,
    /// True if the gateway is not ready while none of the servers answers.
    #[serde(default)]
    pub(super) essential: bool,
    /// Checks of the servers.
    #[serde(default)]
    pub(super) health: HealthFile,
    /// Servers that fail are left out for a while.
    #[serde(default)]
    pub(super) ejection: EjectionFile,
    /// The circuit that opens when the whole upstream fails.
    pub(super) breaker: Option<BreakerFile>,
    /// Most retries.
    #[serde(default)]
    pub(super) retry_budget: BudgetFile,
    /// Look-ups of names.
    #[serde(default)]
    pub(super) dns: DnsFile,
    /// TLS to servers at `https://`.
    pub(super) tls: Option<TlsFile>,
}

/// A server: its address alone, `{ address: a:80, weight: 3 }`, or `{ srv: _http._tcp.a }`.
pub(in crate::config) struct ServerFile {
    /// The address, or the name of the service.
    pub(super) address: String,
    pub(super) is_service: bool,
    pub(super) weight: Option<u32>,
}

#[derive(Default, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TlsFile {
    /// Authorities that vouch for the servers; those of the system unless set.
    pub(super) ca_file: Option<PathBuf>,
    /// Certificate that is shown to the servers.
    pub(super) client_certificate_file: Option<PathBuf>,
    /// Its key.
    pub(super) client_key_file: Option<PathBuf>,
    /// Name that the servers are asked for; each server's own unless set.
    pub(super) server_name: Option<String>,
    /// Checks of a certificate: `full`, `ca` or `off`.
    pub(super) verify: Verify,
}

impl Serialize for ServerFile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = if self.is_service { "srv" } else { "address" };
        let mut entries = serializer.serialize_map(None)?;
        entries.serialize_entry(name, &self.address)?;
        if let Some(weight) = self.weight {
            entries.serialize_entry("weight", &weight)?;
        }
        entries.end()
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
