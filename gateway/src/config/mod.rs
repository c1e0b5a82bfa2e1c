//! The configuration: `gateway.yaml`, read and checked as a whole before any of it counts.
//!
//! [`Settings`] can only be had from a file that passed every check, so nothing behind this room
//! checks again. Every fault of a file is told at once, each as `file:line:column: reason`.
//! [`watch`] follows the file while the gateway runs.

mod acme;
mod addresses;
mod bank;
mod check;
mod client;
mod connections;
mod cors;
mod credentials;
mod decision;
mod destination;
mod effective;
mod file;
#[cfg(test)]
mod fixture;
mod header_edits;
mod http2;
mod lifecycle;
mod listener;
mod listener_tls;
mod matching;
mod public;
mod redirects;
mod reply;
mod retries;
mod rewrite;
mod route;
mod schema;
mod timeouts;
mod token_issuer;
mod units;
mod upstream;
mod usage;
pub mod watch;
mod whole;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use client::ClientSettings;
use common::{
    config::{self, ConfigError, Document, Fault},
    tls::{ClientTls, ServerTls},
};
pub use connections::ConnectionSettings;
pub use decision::{DecisionSettings, DecisionTls, Shares};
pub use effective::effective;
pub use http2::Http2Settings;
pub(crate) use listener::LISTENERS_MAX;
pub use listener::ListenerSettings;
pub use schema::schema;
pub use upstream::{
    AddressFamily, Balance, BreakerSettings, DnsSettings, EjectionSettings, HashBy, HealthSettings, Host, Protocol,
    Question, RetryBudget, ServerAddress, ServerSettings, Statuses, TlsSettings, UpstreamSettings, Verify,
};

use crate::{
    auth::TokenIssuerSettings,
    certificate::AuthoritySettings,
    limit::bank::BankSettings,
    meter::{KafkaSettings, WhenFull},
    route::RouteSettings,
};

/// A gateway's whole configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Settings that take effect at the start only.
    pub process: ProcessSettings,
    /// Addresses for clients; at least one.
    pub listeners: Vec<ListenerSettings>,
    /// Largest requests.
    pub sizes: SizeLimits,
    /// Proxies that are trusted to name their clients, and how often credentials may fail.
    pub clients: ClientSettings,
    /// Most connections of clients, and how long clients may take.
    pub connections: ConnectionSettings,
    /// HTTP/2 with clients.
    pub http2: Http2Settings,
    /// Servers that requests are forwarded to.
    pub upstreams: Vec<Arc<UpstreamSettings>>,
    /// Authorities that certificates are ordered from.
    pub authorities: Vec<Arc<AuthoritySettings>>,
    /// Issuers whose tokens routes accept.
    pub token_issuers: Vec<Arc<TokenIssuerSettings>>,
    /// Routes from requests to upstreams.
    pub routes: Vec<RouteSettings>,
    /// Findings that keep nobody from using the file, and deserve a look.
    pub warnings: Vec<Fault>,
}

/// Settings that take effect at the start only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSettings {
    /// Names this gateway in usage streams; unique in the fleet.
    pub name: String,
    /// Addresses for clients, in the order of the file.
    pub listen: Vec<SocketAddr>,
    /// Address for metrics and health.
    pub admin: SocketAddr,
    /// TLS on that address, if it is spoken.
    pub admin_tls: Option<ProcessTls>,
    /// Worker threads.
    pub threads: usize,
    /// URL of the store.
    pub store: String,
    /// File that holds the pepper.
    pub pepper_file: Option<PathBuf>,
    /// The bank that shares limits with other gateways; without one, the gateway keeps its limits
    /// alone.
    pub bank: Option<BankSettings>,
    /// Settings of the usage journal and its sink.
    pub usage: UsageSettings,
    /// Settings of the decision API, if it is switched on.
    pub decision: Option<DecisionSettings>,
    /// The socket through which the next process takes over.
    pub upgrade_socket: PathBuf,
    /// The file from which it starts while the store is down.
    pub snapshot: PathBuf,
    /// Longest time that a process that was taken over waits for its clients to go.
    pub upgrade_drain: Duration,
    /// Most idle connections that are kept open to servers, of all upstreams together.
    pub idle_connections: usize,
    /// Time between the end of readiness and that of the listener, when the process is told to end.
    pub drain_delay: Duration,
}

/// TLS on an address whose settings take effect at the start. Two are the same if their files are:
/// the content of files is followed by itself.
#[derive(Debug, Clone)]
pub struct ProcessTls(pub Arc<ServerTls>);

/// Settings of the usage journal and its sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageSettings {
    /// Receives the usage.
    pub sink: SinkSettings,
    /// Directory of the journal.
    pub journal: PathBuf,
    /// Largest size of the journal on disk, in bytes.
    pub journal_budget_bytes: u64,
    /// Requests while the journal is that large: refused, or let pass without a record.
    pub when_full: WhenFull,
    /// Most entries in one batch.
    pub batch_entries: usize,
}

/// A receiver of usage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkSettings {
    /// `billing` over HTTP.
    Http(HttpSinkSettings),
    /// A topic of Kafka.
    Kafka(KafkaSettings),
}

/// A server of `billing` that takes usage over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSinkSettings {
    /// Its base URL.
    pub url: String,
    /// TLS with it.
    pub tls: ClientTls,
}

/// Most header lines of a request; more than any client needs, and what Pingora can read.
pub const HEADER_COUNT_MAX: usize = 256;

/// Largest requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeLimits {
    /// All header names and values together, in bytes.
    pub header_bytes: usize,
    /// One header value, in bytes.
    pub header_value_bytes: usize,
    /// Path and query, in bytes.
    pub path_bytes: usize,
    /// Request body, in bytes, where the route says nothing else.
    pub body_bytes: Option<u64>,
}

/// Settings that the environment overrides.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `TOLLGATE_STORE`.
    pub store: Option<String>,
    /// `TOLLGATE_KAFKA`: brokers.
    pub kafka: Option<String>,
    /// `TOLLGATE_REDIS`: URLs of the token bank.
    pub redis: Option<String>,
}

impl Overrides {
    /// Reads them from the environment.
    pub fn from_environment() -> Self {
        Self {
            store: config::environment("TOLLGATE_STORE"),
            kafka: config::environment("TOLLGATE_KAFKA"),
            redis: config::environment("TOLLGATE_REDIS"),
        }
    }
}

impl Settings {
    /// Reads and checks a file.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Self, ConfigError> {
        Self::parse(&config::read(path)?, &path.display().to_string(), overrides)
    }

    /// Checks the text of a file; `file` names it in errors. Names of servers are not looked up.
    pub fn parse(text: &str, file: &str, overrides: &Overrides) -> Result<Self, ConfigError> {
        let mut document = Document::new(text, file);
        let read: Option<file::GatewayFile> = document.read();
        let check = check::Check::new(document.tree());
        let settings = read.and_then(|read| check.settings(read, overrides));
        let faults = check.into_faults();
        document.refuse(faults)?;
        // What is not there without a fault would be a fault of the checks.
        settings.ok_or_else(|| ConfigError::Invalid {
            file: file.to_owned(),
            line: 1,
            reason: "the file cannot be used".into(),
        })
    }
}

impl ProcessSettings {
    /// Names of the settings in which `other` differs.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let differs = [
            ("name", self.name != other.name),
            ("listen", self.listen != other.listen),
            ("admin", self.admin != other.admin),
            ("admin_tls", self.admin_tls != other.admin_tls),
            ("threads", self.threads != other.threads),
            ("store", self.store != other.store),
            ("pepper_file", self.pepper_file != other.pepper_file),
            ("limits.redis", self.bank != other.bank),
            ("usage", self.usage != other.usage),
            ("decision", self.decision != other.decision),
            ("upgrade_socket", self.upgrade_socket != other.upgrade_socket),
            ("snapshot", self.snapshot != other.snapshot),
            ("upgrade_drain_seconds", self.upgrade_drain != other.upgrade_drain),
            ("idle_connections", self.idle_connections != other.idle_connections),
            ("drain_delay_seconds", self.drain_delay != other.drain_delay),
        ];
        differs.into_iter().filter_map(|(setting, differs)| differs.then_some(setting)).collect()
    }
}

impl PartialEq for ProcessTls {
    fn eq(&self, other: &Self) -> bool {
        self.0.settings == other.0.settings
    }
}

impl Eq for ProcessTls {}

#[cfg(test)]
mod tests;
