//! The section `ingest`: where `billing ingest` finds usage in Kafka, and how it books it.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
};

use common::{
    kafka::{filled, properties_except, topic},
    tls::{ServerTls, TlsFile},
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::{listen_address, tls};

/// Properties of the Kafka client that are not free: booking exactly once rests on them, or a
/// setting stands for them.
const RESERVED_PROPERTIES: [(&str, &str); 7] = [
    ("bootstrap.servers", "set `ingest.brokers` instead"),
    ("metadata.broker.list", "set `ingest.brokers` instead"),
    ("group.id", "set `ingest.group` instead"),
    ("group.instance.id", "set `ingest.name` instead"),
    ("auto.offset.reset", "positions are kept in the store"),
    ("enable.auto.commit", "positions are kept in the store"),
    ("enable.auto.offset.store", "positions are kept in the store"),
];

/// Most entries that one transaction may be set to book.
const BATCH_ENTRIES_MAX: usize = 1_000_000;

/// Longest that the first of a transaction's messages may be set to wait for others.
const BATCH_WAIT_MAX_MS: u64 = 60_000;

/// Longest name of a process within the group, as brokers accept it.
const NAME_MAX_BYTES: usize = 249;

/// Most days that usage may be set to be late by.
const LATE_DAYS_MAX: u32 = 36_500;

/// The `ingest` section: how `billing ingest` takes usage from Kafka. No `Debug`: properties may
/// hold passwords.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IngestConfig {
    /// Address that `/metrics` and `/health` of `billing ingest` are served on.
    #[serde(deserialize_with = "listen_address")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// TLS on that address, if it is spoken.
    #[serde(deserialize_with = "tls")]
    #[schemars(with = "Option<TlsFile>")]
    pub tls: Option<ServerTls>,
    /// Addresses of Kafka's brokers: `host:port`, several separated by commas.
    #[serde(deserialize_with = "filled")]
    pub brokers: String,
    /// The topic that gateways send usage to.
    #[serde(deserialize_with = "topic")]
    pub topic: String,
    /// The consumer group.
    #[serde(deserialize_with = "filled")]
    pub group: String,
    /// Name of this process within the group. A process that comes back under its name gets its
    /// partitions back at once. Without a setting: the host's name and the port of `listen`.
    #[serde(deserialize_with = "name")]
    pub name: Option<String>,
    /// Further properties of librdkafka, such as `security.protocol`.
    #[serde(deserialize_with = "properties")]
    #[schemars(with = "BTreeMap<String, common::kafka::Scalar>")]
    pub properties: BTreeMap<String, String>,
    /// Keeps a record of every request, and not only the rollups.
    pub keep_raw: bool,
    /// Usage is booked without being asked for that is of this many days before its tenant's
    /// current month, or later.
    #[serde(deserialize_with = "late_days")]
    pub late_days: u32,
    /// A transaction is closed once it holds this many entries.
    #[serde(deserialize_with = "batch_entries")]
    pub batch_entries: usize,
    /// Longest that a message waits for others to fill its transaction.
    #[serde(deserialize_with = "batch_wait_ms")]
    pub batch_wait_ms: u64,
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8091)),
            tls: None,
            brokers: "127.0.0.1:9092".into(),
            topic: "usage.events".into(),
            group: "tollgate-billing".into(),
            name: None,
            properties: BTreeMap::new(),
            keep_raw: true,
            late_days: 40,
            batch_entries: 20_000,
            batch_wait_ms: 200,
        }
    }
}

impl IngestConfig {
    /// The name under which this process joins the group: the setting, else the host's name and the
    /// port of `listen`. None if that port is left to the system, because such a name would not
    /// come back after a restart.
    pub fn member_name(&self) -> Option<String> {
        let port = self.listen.port();
        self.name.clone().or_else(|| (port != 0).then(|| Some(format!("{}-{port}", host_name()?))).flatten())
    }
}

/// The host's name, as far as it can be part of a name; none where the system does not tell.
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name: String = name.trim().chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).collect();
    (!name.is_empty()).then_some(name)
}

fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = filled(deserializer)?;
    let is_name =
        name.len() <= NAME_MAX_BYTES && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if is_name {
        return Ok(Some(name));
    }
    Err(de::Error::custom(format!("`name` must be up to {NAME_MAX_BYTES} letters, digits, `.`, `_` and `-`")))
}

fn properties<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    properties_except(deserializer, &RESERVED_PROPERTIES)
}

fn batch_entries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    let entries = usize::deserialize(deserializer)?;
    if (1..=BATCH_ENTRIES_MAX).contains(&entries) {
        return Ok(entries);
    }
    Err(de::Error::custom(format!("`batch_entries` must be between 1 and {BATCH_ENTRIES_MAX}")))
}

fn late_days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let days = u32::deserialize(deserializer)?;
    if days <= LATE_DAYS_MAX {
        return Ok(days);
    }
    Err(de::Error::custom(format!("`late_days` must be at most {LATE_DAYS_MAX}")))
}

fn batch_wait_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let milliseconds = u64::deserialize(deserializer)?;
    if milliseconds <= BATCH_WAIT_MAX_MS {
        return Ok(milliseconds);
    }
    Err(de::Error::custom(format!("`batch_wait_ms` must be at most {BATCH_WAIT_MAX_MS}")))
}

#[cfg(test)]
mod tests {
    use common::config;

    use super::*;

    fn parse(text: &str) -> Result<IngestConfig, String> {
        config::parse(text, "billing.yaml").map_err(|error| error.to_string())
    }

    #[test]
    fn properties_reach_the_client_as_text() {
        let config = parse("properties: { security.protocol: ssl, session.timeout.ms: 6000, debug: all, x.y: false }");
        let properties = config.ok().unwrap().properties;
        let written: Vec<_> = properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(written, ["debug=all", "security.protocol=ssl", "session.timeout.ms=6000", "x.y=false"]);
    }

    #[test]
    fn properties_that_booking_once_rests_on_cannot_be_set() {
        for (name, _) in RESERVED_PROPERTIES {
            let error = parse(&format!("properties:\n  {name}: x\n")).err().unwrap();
            assert!(error.starts_with("billing.yaml:") && error.contains(name), "{error}");
        }
    }

    #[test]
    fn member_name_defaults_to_host_and_port_and_is_absent_without_a_fixed_port() {
        let name = |text| parse(text).ok().unwrap().member_name();
        assert_eq!(name("name: ingest-1").as_deref(), Some("ingest-1"));
        assert!(name("listen: 127.0.0.1:8091").unwrap().ends_with("-8091"));
        assert_eq!(name("listen: 127.0.0.1:0"), None);
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for text in [
            "batch_entries: 0",
            "batch_entries: 1000001",
            "batch_wait_ms: 60001",
            "late_days: 36501",
            "late_days: -1",
            "topic: ''",
            "topic: a/b",
            "group: ''",
            "name: ''",
            "name: a/b",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
