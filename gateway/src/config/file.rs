//! `gateway.yaml` as it is written: types and defaults, nothing checked beyond them.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use common::{kafka::Scalar, plan::RateLimits, tls::TlsFile};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

use super::{
    client::FailedCredentialsFile,
    connections::ConnectionsFile,
    cors::CorsFile,
    credentials::CredentialsFile,
    decision::DecisionFile,
    destination::{RedirectFile, RespondFile, ShareFile},
    header_edits::HeaderEditsFile,
    http2::Http2File,
    lifecycle::OnAbortFile,
    listener::ListenerFile,
    matching::WantedFile,
    retries::RetriesFile,
    rewrite::RewriteFile,
    timeouts::TimeoutsFile,
    token_issuer::TokenIssuerFile,
    upstream::file::UpstreamFile,
    usage::SinkTlsFile,
};
use crate::{meter::WhenFull, route::Bill};

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GatewayFile {
    pub(super) name: Option<String>,
    pub(super) listen: Option<String>,
    pub(super) listeners: Option<Vec<ListenerFile>>,
    #[serde(default = "default_admin")]
    pub(super) admin: String,
    pub(super) admin_tls: Option<TlsFile>,
    pub(super) threads: Option<usize>,
    #[serde(default = "default_store")]
    pub(super) store: String,
    pub(super) pepper_file: Option<PathBuf>,
    pub(super) upgrade_socket: Option<PathBuf>,
    pub(super) snapshot: Option<PathBuf>,
    #[serde(default = "default_idle_connections")]
    pub(super) idle_connections: usize,
    #[serde(default = "default_upgrade_drain_seconds")]
    pub(super) upgrade_drain_seconds: u64,
    #[serde(default)]
    pub(super) drain_delay_seconds: u64,
    #[serde(default)]
    pub(super) usage: UsageFile,
    #[serde(default)]
    pub(super) trusted_proxies: Vec<String>,
    pub(super) decision: Option<DecisionFile>,
    #[serde(default)]
    pub(super) connections: ConnectionsFile,
    #[serde(default)]
    pub(super) http2: Http2File,
    #[serde(default)]
    pub(super) limits: LimitsFile,
    #[serde(default)]
    pub(super) token_issuers: BTreeMap<String, TokenIssuerFile>,
    pub(super) upstreams: BTreeMap<String, UpstreamFile>,
    pub(super) routes: Vec<RouteFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UsageFile {
    pub(super) sink: Option<String>,
    pub(super) sink_tls: Option<SinkTlsFile>,
    pub(super) kafka: Option<KafkaFile>,
    pub(super) journal: PathBuf,
    pub(super) journal_budget_mib: u64,
    pub(super) when_full: WhenFull,
    pub(super) batch_entries: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KafkaFile {
    pub(super) brokers: Option<String>,
    #[serde(default = "default_topic")]
    pub(super) topic: String,
    pub(super) create_topic: Option<NewTopicFile>,
    #[serde(default)]
    pub(super) properties: BTreeMap<String, Scalar>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTopicFile {
    pub(super) partitions: u16,
    #[serde(default = "default_replication")]
    pub(super) replication: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsFile {
    pub(super) header_bytes: usize,
    pub(super) header_value_bytes: usize,
    pub(super) path_bytes: usize,
    pub(super) body_bytes: Option<u64>,
    pub(super) redis: Option<RedisFile>,
    pub(super) failed_credentials: FailedCredentialsFile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RedisFile {
    pub(super) url: Option<String>,
    pub(super) cluster: bool,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) tick_ms: u64,
    pub(super) timeout_ms: u64,
    pub(super) gateways: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteFile {
    pub(super) name: String,
    #[serde(default)]
    pub(super) hosts: Vec<String>,
    pub(super) path: Option<String>,
    pub(super) path_prefix: Option<String>,
    #[serde(default)]
    pub(super) methods: Vec<String>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, WantedFile>,
    #[serde(default)]
    pub(super) query: BTreeMap<String, WantedFile>,
    pub(super) upstream: Option<String>,
    pub(super) split: Option<Vec<ShareFile>>,
    pub(super) split_by: Option<String>,
    pub(super) redirect: Option<RedirectFile>,
    pub(super) respond: Option<RespondFile>,
    pub(super) rewrite: Option<RewriteFile>,
    pub(super) request_headers: Option<HeaderEditsFile>,
    pub(super) response_headers: Option<HeaderEditsFile>,
    #[serde(default)]
    pub(super) allow_addresses: Vec<String>,
    #[serde(default)]
    pub(super) deny_addresses: Vec<String>,
    #[serde(default = "default_meter")]
    pub(super) meter: String,
    #[serde(default)]
    pub(super) units: UnitsFile,
    pub(super) billable: Option<Vec<String>>,
    #[serde(default)]
    pub(super) strip_prefix: bool,
    pub(super) timeout_ms: Option<u64>,
    pub(super) timeouts: Option<TimeoutsFile>,
    pub(super) body_bytes: Option<u64>,
    #[serde(default)]
    pub(super) on_abort: OnAbortFile,
    pub(super) abort_timeout_ms: Option<u64>,
    pub(super) abort_bytes: Option<u64>,
    #[serde(default)]
    pub(super) bill: Bill,
    #[serde(default)]
    pub(super) upgrade: Vec<String>,
    pub(super) upgrade_idle_seconds: Option<u64>,
    pub(super) scope: Option<String>,
    #[serde(default)]
    pub(super) allow_in_path: Vec<String>,
    #[serde(default)]
    pub(super) limits: RateLimits,
    #[serde(default)]
    pub(super) client_certificates: bool,
    #[serde(default)]
    pub(super) public: bool,
    pub(super) public_per_minute: Option<u64>,
    pub(super) cors: Option<CorsFile>,
    pub(super) retries: Option<RetriesFile>,
    pub(super) credentials: Option<CredentialsFile>,
}

/// A text, or a list of texts.
#[derive(Default)]
pub(super) struct OneOrMore(Vec<String>);

/// `{ fixed: 1 }` or `{ header: X-Usage-Units, default: 1 }`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitsFile {
    pub(super) fixed: Option<u64>,
    pub(super) header: Option<String>,
    pub(super) default: Option<u64>,
}

impl OneOrMore {
    pub(super) fn items(&self) -> &[String] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items;

        impl<'de> Visitor<'de> for Items {
            type Value = OneOrMore;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text, or a list of texts")
            }

            fn visit_str<E>(self, text: &str) -> Result<OneOrMore, E> {
                Ok(OneOrMore(vec![text.to_owned()]))
            }

            /// A number is what stands in for a value that is missing.
            fn visit_u64<E>(self, _number: u64) -> Result<OneOrMore, E> {
                Ok(OneOrMore::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<OneOrMore, A::Error> {
                let mut all = Vec::new();
                while let Some(item) = items.next_element()? {
                    all.push(item);
                }
                Ok(OneOrMore(all))
            }
        }

        deserializer.deserialize_any(Items)
    }
}

impl Default for UsageFile {
    fn default() -> Self {
        Self {
            sink: None,
            sink_tls: None,
            kafka: None,
            journal: "data/journal".into(),
            journal_budget_mib: 4_096,
            when_full: WhenFull::default(),
            batch_entries: 512,
        }
    }
}

impl Default for KafkaFile {
    fn default() -> Self {
        Self { brokers: None, topic: default_topic(), create_topic: None, properties: BTreeMap::new() }
    }
}

impl Default for LimitsFile {
    fn default() -> Self {
        Self {
            header_bytes: 64 * 1024,
            header_value_bytes: 16 * 1024,
            path_bytes: 8 * 1024,
            body_bytes: None,
            redis: None,
            failed_credentials: FailedCredentialsFile::default(),
        }
    }
}

impl Default for RedisFile {
    fn default() -> Self {
        Self { url: None, cluster: false, ca_file: None, tick_ms: 10, timeout_ms: 50, gateways: 1 }
    }
}

fn default_admin() -> String {
    "127.0.0.1:9901".into()
}

fn default_store() -> String {
    "sqlite://data/tollgate.db".into()
}

fn default_topic() -> String {
    "usage.events".into()
}

const fn default_replication() -> u16 {
    1
}

const fn default_idle_connections() -> usize {
    1_024
}

const fn default_upgrade_drain_seconds() -> u64 {
    60
}

fn default_meter() -> String {
    common::plan::REQUESTS_METER.into()
}
