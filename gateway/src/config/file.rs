//! `gateway.yaml` as it is written: types and defaults, nothing checked beyond them.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use common::{kafka::Scalar, plan::RateLimits, tls::TlsFile};
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{SeqAccess, Visitor},
};

use super::{
    acme::AuthorityFile,
    client::FailedCredentialsFile,
    connections::ConnectionsFile,
    cors::CorsFile,
    credentials::CredentialsFile,
    decision::DecisionFile,
    destination::ShareFile,
    header_edits::HeaderEditsFile,
    http2::Http2File,
    lifecycle::OnAbortFile,
    listener::ListenerFile,
    matching::WantedFile,
    reply::{RedirectFile, RespondFile},
    retries::RetriesFile,
    rewrite::RewriteFile,
    timeouts::TimeoutsFile,
    token_issuer::TokenIssuerFile,
    units::{UnitsFile, UpgradeUnitsFile},
    upstream::file::UpstreamFile,
    usage::SinkTlsFile,
};
use crate::{meter::WhenFull, route::Bill};

/// The file.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GatewayFile {
    /// Name of this gateway in usage streams, unique in the fleet; the host's name unless set.
    /// (restart)
    pub(super) name: Option<String>,
    /// Address for clients: IP and port. Short for one listener. (restart)
    pub(super) listen: Option<String>,
    /// Addresses for clients, instead of `listen`.
    pub(super) listeners: Option<Vec<ListenerFile>>,
    /// Address for metrics and health. (restart)
    #[serde(default = "default_admin")]
    pub(super) admin: String,
    /// TLS on the address for metrics and health.
    pub(super) admin_tls: Option<TlsFile>,
    /// Worker threads; one per core unless set. (restart)
    pub(super) threads: Option<usize>,
    /// URL of the store: `sqlite://..` or `postgres://..`; `TOLLGATE_STORE` overrides it. (restart)
    #[serde(default = "default_store")]
    pub(super) store: String,
    /// File with the secret under which keys are hashed; `TOLLGATE_PEPPER` overrides it. (restart)
    pub(super) pepper_file: Option<PathBuf>,
    /// Socket through which the next process takes over; NAME.upgrade in the journal unless set.
    /// (restart)
    pub(super) upgrade_socket: Option<PathBuf>,
    /// File from which the gateway starts while the store is down; NAME.snapshot in the journal
    /// unless set. (restart)
    pub(super) snapshot: Option<PathBuf>,
    /// Most idle connections to servers that are kept. (restart)
    #[serde(default = "default_idle_connections")]
    pub(super) idle_connections: usize,
    /// Longest wait of a process that was taken over for its clients. (restart)
    #[serde(default = "default_upgrade_drain_seconds")]
    pub(super) upgrade_drain_seconds: u64,
    /// Time for which a process that is told to end serves on after it says that it is not ready.
    /// (restart)
    #[serde(default)]
    pub(super) drain_delay_seconds: u64,
    /// The journal, and where usage goes. (restart)
    #[serde(default)]
    pub(super) usage: UsageFile,
    /// Proxies before this gateway whose X-Forwarded-* headers are believed.
    #[serde(default)]
    pub(super) trusted_proxies: Vec<String>,
    /// Decisions for those who keep their own proxy. (restart)
    pub(super) decision: Option<DecisionFile>,
    /// Connections of clients, and how long clients may take.
    #[serde(default)]
    pub(super) connections: ConnectionsFile,
    /// HTTP/2 with clients.
    #[serde(default)]
    pub(super) http2: Http2File,
    /// Sizes of requests, shared limits, failed credentials.
    #[serde(default)]
    pub(super) limits: LimitsFile,
    /// Authorities that certificates of listeners are ordered from (ACME), by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) acme: BTreeMap<String, AuthorityFile>,
    /// Issuers of tokens (JWT) that routes accept, by name.
    #[serde(default)]
    pub(super) token_issuers: BTreeMap<String, TokenIssuerFile>,
    /// Groups of servers that answer alike, by name.
    pub(super) upstreams: BTreeMap<String, UpstreamFile>,
    /// The requests that are served, and where they go.
    pub(super) routes: Vec<RouteFile>,
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UsageFile {
    /// URL of `billing`, which takes usage over HTTP.
    pub(super) sink: Option<String>,
    /// TLS to `billing`.
    pub(super) sink_tls: Option<SinkTlsFile>,
    /// Kafka instead of `sink`.
    pub(super) kafka: Option<KafkaFile>,
    /// Directory of the journal; must survive restarts.
    pub(super) journal: PathBuf,
    /// Largest size of the journal on disk.
    pub(super) journal_budget_mib: u64,
    /// Policy for requests while usage cannot be recorded.
    pub(super) when_full: WhenFull,
    /// Most requests in one batch.
    pub(super) batch_entries: usize,
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KafkaFile {
    /// `host:port`, several with commas between; `TOLLGATE_KAFKA` overrides it.
    pub(super) brokers: Option<String>,
    /// The topic.
    #[serde(default = "default_topic")]
    pub(super) topic: String,
    /// Makes the topic if it is missing; it is never made without this.
    pub(super) create_topic: Option<NewTopicFile>,
    /// Further properties of librdkafka.
    #[serde(default)]
    pub(super) properties: BTreeMap<String, Scalar>,
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTopicFile {
    /// Partitions of the new topic.
    pub(super) partitions: u16,
    /// Copies of each partition.
    #[serde(default = "default_replication")]
    pub(super) replication: u16,
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LimitsFile {
    /// Most bytes of all header lines; beyond it, 431.
    pub(super) header_bytes: usize,
    /// Most bytes of one header value; beyond it, 431.
    pub(super) header_value_bytes: usize,
    /// Most bytes of path and query; beyond it, 414.
    pub(super) path_bytes: usize,
    /// Most bytes of a body, where the route says nothing else; beyond it, 413. Any size unless
    /// set.
    pub(super) body_bytes: Option<u64>,
    /// The Redis through which gateways share the rates of plans. (restart)
    pub(super) redis: Option<RedisFile>,
    /// The throttle on addresses whose keys fail.
    pub(super) failed_credentials: FailedCredentialsFile,
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RedisFile {
    /// `redis://host:port` or `rediss://user:password@host:port`; nodes of a cluster with commas
    /// between. `TOLLGATE_REDIS` overrides it.
    pub(super) url: Option<String>,
    /// True if the only URL is that of a Redis Cluster.
    pub(super) cluster: bool,
    /// Authorities that vouch for servers at `rediss://`; those of the system unless set.
    pub(super) ca_file: Option<PathBuf>,
    /// Time between two draws of tokens ahead of demand.
    pub(super) tick_ms: u64,
    /// Longest wait for an answer, before the gateway goes on without Redis.
    pub(super) timeout_ms: u64,
    /// Gateways that share the rates while Redis is away, unless it saw more.
    pub(super) gateways: u64,
}

#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteFile {
    /// Name in usage, logs and metrics.
    pub(super) name: String,
    /// Hosts that it serves, as in `api.example.com` or `*.example.com`; every host unless set.
    #[serde(default)]
    pub(super) hosts: Vec<String>,
    /// The path exactly, with parameters as in `/v1/users/{id}` and `{rest...}` at the end.
    pub(super) path: Option<String>,
    /// The path, and everything below it.
    pub(super) path_prefix: Option<String>,
    /// Methods that it serves; every method unless set.
    #[serde(default)]
    pub(super) methods: Vec<String>,
    /// Values that headers must have.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, WantedFile>,
    /// Values that query parameters must have.
    #[serde(default)]
    pub(super) query: BTreeMap<String, WantedFile>,
    /// Name of the upstream that the requests go to.
    pub(super) upstream: Option<String>,
    /// Upstreams that share the requests by weight, instead of `upstream`.
    pub(super) split: Option<Vec<ShareFile>>,
    /// The value that keeps a client on one upstream of the split: `key`, `tenant`, `header NAME` or `cookie
    /// NAME`.
    pub(super) split_by: Option<String>,
    /// A redirect that the gateway answers, instead of an upstream.
    pub(super) redirect: Option<RedirectFile>,
    /// An answer of the gateway itself, instead of an upstream.
    pub(super) respond: Option<RespondFile>,
    /// Another path, host or query for the upstream.
    pub(super) rewrite: Option<RewriteFile>,
    /// Edits of the headers that the upstream sees.
    pub(super) request_headers: Option<HeaderEditsFile>,
    /// Edits of the headers that the client sees.
    pub(super) response_headers: Option<HeaderEditsFile>,
    /// Networks that may call; all unless set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) allow_addresses: Vec<String>,
    /// Networks that may not call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) deny_addresses: Vec<String>,
    /// The meter that its requests count on.
    #[serde(default = "default_meter")]
    pub(super) meter: String,
    /// Units that an answer uses.
    #[serde(default)]
    pub(super) units: UnitsFile,
    /// Statuses that are billed, as in `2xx` or `404`; all but 3xx and 5xx unless set.
    #[schemars(with = "Option<Vec<crate::config::schema::Text>>")]
    pub(super) billable: Option<Vec<String>>,
    /// True if the upstream sees the path without `path_prefix`.
    #[serde(default)]
    pub(super) strip_prefix: bool,
    /// Longest silence of the upstream; the upstream's own setting unless set.
    pub(super) timeout_ms: Option<u64>,
    /// Time for each part of a request.
    pub(super) timeouts: Option<TimeoutsFile>,
    /// Most bytes of a body; the general limit unless set.
    pub(super) body_bytes: Option<u64>,
    /// Most header lines of a request; beyond it, 431. 256 unless set.
    pub(super) header_count: Option<u64>,
    /// Most bytes of all header lines; at most the general limit, which holds unless set.
    pub(super) header_bytes: Option<u64>,
    /// Most bytes of one header value; at most the general limit, which holds unless set.
    pub(super) header_value_bytes: Option<u64>,
    /// Policy for requests whose client leaves.
    #[serde(default)]
    pub(super) on_abort: OnAbortFile,
    /// Longest wait for the answer of a request whose client has left.
    pub(super) abort_timeout_ms: Option<u64>,
    /// Most bytes that are read of such an answer.
    pub(super) abort_bytes: Option<u64>,
    /// The moment at which a request is billed.
    #[serde(default)]
    pub(super) bill: Bill,
    /// Protocols that a connection may be upgraded to, as in `websocket`.
    #[serde(default)]
    pub(super) upgrade: Vec<String>,
    /// Longest silence of an upgraded connection.
    pub(super) upgrade_idle_seconds: Option<u64>,
    /// Units of what passes on a WebSocket; a connection is billed as one request unless set.
    pub(super) upgrade_units: Option<UpgradeUnitsFile>,
    /// The scope that keys with scopes must have.
    pub(super) scope: Option<String>,
    /// Spellings of a path that are served, though servers read them differently.
    #[serde(default)]
    pub(super) allow_in_path: Vec<String>,
    /// Rates of all callers together.
    #[serde(default)]
    pub(super) limits: RateLimits,
    /// True if a client certificate stands for a key here.
    #[serde(default)]
    pub(super) client_certificates: bool,
    /// True if the route is open to everybody, without a key.
    #[serde(default)]
    pub(super) public: bool,
    /// Requests a minute of one address, on a public route.
    pub(super) public_per_minute: Option<u64>,
    /// Pages of other origins that may call.
    pub(super) cors: Option<CorsFile>,
    /// Failed requests that are tried again.
    pub(super) retries: Option<RetriesFile>,
    /// Places of its credential in a request.
    pub(super) credentials: Option<CredentialsFile>,
}

/// A text, or a list of texts.
#[derive(Default, Serialize)]
pub(super) struct OneOrMore(Vec<String>);

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
