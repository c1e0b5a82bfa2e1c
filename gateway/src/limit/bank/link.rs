//! The way to the bank: one Redis, or a Redis Cluster. One call at a time for each shard, none of them ever repeated
//! except when the server says that it does not know the script.

use std::{fmt, sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, RedisError, Script,
    ServerErrorKind, TlsCertificates, Value, aio::MultiplexedConnection, io::tcp::TcpSettings,
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tokio::time::timeout;

use super::{Argument, RESTORE_SCRIPT, SCRIPT, cluster::Cluster};

/// How long a connection may take to stand. Nobody waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Where the bank is.
#[derive(Clone, PartialEq, Eq)]
pub struct BankAddress {
    urls: Vec<String>,
    is_cluster: bool,
    /// Certificates of the authority that vouches for the servers, in PEM; if none, those that the system trusts.
    authority: Option<Vec<u8>>,
}

/// Why the bank gives nothing.
#[derive(Debug, thiserror::Error)]
pub enum BankError {
    /// Not an address.
    #[error(
        "{0}: write it as in redis://127.0.0.1:6379 or rediss://:password@host:6380, nodes of a cluster with commas"
    )]
    Address(String),
    /// No connection, or a broken one.
    #[error("cannot be reached: {0}")]
    Unreachable(RedisError),
    /// It stays silent.
    #[error("no answer within {} ms", .0.as_millis())]
    Silent(Duration),
    /// It wants another name or password, or does not let this user do what is needed.
    #[error("refuses the user or password, or what that user may do ({0}): see `limits.redis.url` and TOLLGATE_REDIS")]
    Refused(RedisError),
    /// What answers is not a Redis, or not one that runs scripts as expected.
    #[error("what answers is not the expected Redis: {0}")]
    Foreign(String),
    /// It takes reports and grants nothing yet.
    #[error("waits for other gateways to report, after a silence or on another server")]
    Settling,
    /// It is there and cannot serve: loading, out of memory, read-only, or a script that failed.
    #[error("Redis cannot serve: {0}")]
    Unable(RedisError),
}

/// What the script returned.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Numbers about the limits of the call.
    Numbers(Vec<i64>),
    /// A newer call had been there before.
    Late,
}

/// Makes connections; shared by all shards.
pub(super) struct Directory {
    redis: Redis,
    script: Known,
    restore: Known,
    /// How long a call may take.
    timeout: Duration,
}

/// A script, with the name by which a server knows it.
struct Known {
    text: &'static str,
    hash: String,
}

enum Redis {
    Single(Box<Client>),
    Cluster(Box<Cluster>),
}

/// The connection of one shard, to one server.
pub(super) struct Link {
    directory: Arc<Directory>,
    shard: usize,
    connection: Option<MultiplexedConnection>,
    /// The server of a cluster that the last one said to ask instead.
    moved_to: Option<String>,
}

impl BankAddress {
    /// Reads URLs with commas between them. Several are nodes of a cluster; one is, if `is_cluster` says so.
    pub fn parse(text: &str, is_cluster: bool) -> Result<Self, BankError> {
        let urls: Vec<String> = text.split(',').map(|url| url.trim().to_owned()).collect();
        let address = Self { is_cluster: is_cluster || urls.len() > 1, urls, authority: None };
        address.nodes()?;
        Ok(address)
    }

    /// The same, if these certificates in PEM vouch for every server. It takes TLS.
    pub fn vouched_for_by(self, authority: Vec<u8>) -> Result<Self, BankError> {
        if let Some(url) = self.urls.iter().find(|url| !url.starts_with("rediss://")) {
            let scheme = url.split("://").next().unwrap_or_default();
            return Err(BankError::Address(format!("{scheme}:// shows no certificate to check")));
        }
        // Without one, nobody would be trusted, which shows only when a connection is made.
        if CertificateDer::pem_slice_iter(&authority).next().is_none_or(|first| first.is_err()) {
            return Err(BankError::Address("holds no certificate in PEM".into()));
        }
        Ok(Self { authority: Some(authority), ..self })
    }

    fn certificates(&self) -> Option<TlsCertificates> {
        self.authority.clone().map(|root_cert| TlsCertificates { client_tls: None, root_cert: Some(root_cert) })
    }

    fn nodes(&self) -> Result<Vec<ConnectionInfo>, BankError> {
        let settings = TcpSettings::default().set_nodelay(true);
        let node = |url: &String| {
            // The URL may hold a password: it is not shown.
            let info = url.as_str().into_connection_info().map_err(|error| BankError::Address(error.to_string()))?;
            Ok(info.set_tcp_settings(settings.clone()))
        };
        self.urls.iter().map(node).collect()
    }
}

impl fmt::Debug for BankAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, is_cluster) = (self.urls.len(), self.is_cluster);
        write!(formatter, "BankAddress {{ nodes: {nodes}, is_cluster: {is_cluster} }}")
    }
}

impl BankError {
    /// Every kind, as metrics name them.
    pub const KINDS: [&'static str; 7] =
        ["address", "unreachable", "silent", "refused", "foreign", "settling", "unable"];

    /// Its kind, as metrics name it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Address(_) => "address",
            Self::Unreachable(_) => "unreachable",
            Self::Silent(_) => "silent",
            Self::Refused(_) => "refused",
            Self::Foreign(_) => "foreign",
            Self::Settling => "settling",
            Self::Unable(_) => "unable",
        }
    }

    /// Returns true if it stays like this until somebody changes a setting.
    pub const fn is_permanent(&self) -> bool {
        matches!(self, Self::Address(_) | Self::Refused(_) | Self::Foreign(_))
    }
}

impl From<RedisError> for BankError {
    fn from(error: RedisError) -> Self {
        let refuses = |error: &RedisError| matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM" | "DENIED"));
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::Refused(error),
            _ if refuses(&error) => Self::Refused(error),
            ErrorKind::InvalidClientConfig => Self::Address(error.to_string()),
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType | ErrorKind::RESP3NotSupported => {
                Self::Foreign(error.to_string())
            }
            ErrorKind::Server(_) | ErrorKind::Extension => Self::Unable(error),
            _ => Self::Unreachable(error),
        }
    }
}

impl Directory {
    pub(super) fn new(address: &BankAddress, timeout: Duration) -> Result<Self, BankError> {
        Ok(Self {
            redis: Redis::new(address)?,
            script: Known::new(SCRIPT),
            restore: Known::new(RESTORE_SCRIPT),
            timeout,
        })
    }

    /// A connection to the server of a shard: the one at `hint`, if another server has just said so.
    async fn connect(&self, shard: usize, hint: Option<&str>) -> Result<MultiplexedConnection, BankError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(CONNECT_TIMEOUT));
        let of_cluster;
        let client = match &self.redis {
            Redis::Single(client) => client,
            Redis::Cluster(cluster) => {
                of_cluster = cluster.server(shard, hint, &config).await?;
                &of_cluster
            }
        };
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        // A server that wants a password says so to a short command only.
        redis::cmd("PING").query_async::<()>(&mut connection).await?;
        Ok(connection)
    }

    /// A server did not answer as it should: others may serve by now what it served.
    fn doubt(&self) {
        if let Redis::Cluster(cluster) = &self.redis {
            cluster.forget_layout();
        }
    }
}

impl Redis {
    fn new(address: &BankAddress) -> Result<Self, BankError> {
        let nodes = address.nodes()?;
        if address.is_cluster {
            return Ok(Self::Cluster(Box::new(Cluster::new(nodes, address.certificates()))));
        }
        let node = nodes.into_iter().next().ok_or_else(|| BankError::Address("no URL".into()))?;
        let client = match address.certificates() {
            Some(certificates) => Client::build_with_tls(node, certificates)?,
            None => Client::open(node)?,
        };
        Ok(Self::Single(Box::new(client)))
    }
}

impl Link {
    pub(super) const fn new(directory: Arc<Directory>, shard: usize) -> Self {
        Self { directory, shard, connection: None, moved_to: None }
    }

    /// Makes a connection, unless there is one.
    pub(super) async fn connect(&mut self) -> Result<(), BankError> {
        if self.connection.is_none() {
            let hint = self.moved_to.take();
            let connection = timeout(CONNECT_TIMEOUT, self.directory.connect(self.shard, hint.as_deref())).await;
            let connection = connection.unwrap_or(Err(BankError::Silent(CONNECT_TIMEOUT)));
            if connection.is_err() {
                self.directory.doubt();
            }
            self.connection = Some(connection?);
        }
        Ok(())
    }

    /// Runs the script. After an error the connection is gone: an answer that comes later must not be taken for that of
    /// a later call, and the next server may be another one.
    pub(super) async fn call(&mut self, keys: &[String], arguments: &[Argument<'_>]) -> Result<Reply, BankError> {
        let directory = Arc::clone(&self.directory);
        self.run(&directory.script, keys, arguments).await
    }

    /// Runs the script that takes what is known after a loss of data.
    pub(super) async fn tell(&mut self, keys: &[String], arguments: &[Argument<'_>]) -> Result<Reply, BankError> {
        let directory = Arc::clone(&self.directory);
        self.run(&directory.restore, keys, arguments).await
    }

    async fn run(&mut self, script: &Known, keys: &[String], arguments: &[Argument<'_>]) -> Result<Reply, BankError> {
        let Some(mut connection) = self.connection.take() else {
            return Err(BankError::Foreign("no connection".into()));
        };
        let limit = self.directory.timeout;
        let reply = match timeout(limit, evaluate(&mut connection, script, keys, arguments)).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => {
                if error.kind() == ErrorKind::Server(ServerErrorKind::Moved) {
                    self.moved_to = error.redirect_node().map(|(address, _)| address.to_owned());
                }
                self.directory.doubt();
                return Err(error.into());
            }
            Err(_) => {
                self.directory.doubt();
                return Err(BankError::Silent(limit));
            }
        };
        self.connection = Some(connection);
        read(&reply)
    }
}

impl Known {
    fn new(text: &'static str) -> Self {
        Self { text, hash: Script::new(text).get_hash().to_owned() }
    }
}

/// Runs the script by its name; by its text, where the server does not know it.
async fn evaluate(
    connection: &mut MultiplexedConnection,
    script: &Known,
    keys: &[String],
    arguments: &[Argument<'_>],
) -> Result<Value, RedisError> {
    let by_name = command("EVALSHA", &script.hash, keys, arguments);
    match by_name.query_async(connection).await {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
            command("EVAL", script.text, keys, arguments).query_async(connection).await
        }
        answer => answer,
    }
}

fn command(name: &str, script: &str, keys: &[String], arguments: &[Argument<'_>]) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(script).arg(keys.len()).arg(keys);
    for argument in arguments {
        match argument {
            Argument::Text(text) => command.arg(text),
            Argument::Number(number) => command.arg(number),
            Argument::Signed(number) => command.arg(number),
        };
    }
    command
}

fn read(reply: &Value) -> Result<Reply, BankError> {
    let foreign = || BankError::Foreign(format!("the script returned {reply:?}"));
    let Value::Array(values) = reply else {
        return Err(foreign());
    };
    if matches!(&values[..], [Value::BulkString(word)] if word == b"late") {
        return Ok(Reply::Late);
    }
    let number = |value: &Value| if let Value::Int(number) = value { Some(*number) } else { None };
    values.iter().map(number).collect::<Option<_>>().map(Reply::Numbers).ok_or_else(foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_one_server_or_a_cluster() {
        let parse = |text, is_cluster| BankAddress::parse(text, is_cluster).map(|address| address.is_cluster);
        assert!(matches!(parse("redis://127.0.0.1:6379", false), Ok(false)));
        assert!(matches!(parse("rediss://user:secret@redis.example.com", true), Ok(true)));
        assert!(matches!(parse("redis://a:1, redis://b:2", false), Ok(true)));
        for wrong in ["", "127.0.0.1:6379", "http://a:1", "redis://a:1,", "redis://a:port"] {
            assert!(matches!(parse(wrong, false), Err(BankError::Address(_))), "{wrong}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let address = BankAddress::parse("redis://:hidden@127.0.0.1:6379", false).unwrap();
        assert!(!format!("{address:?}").contains("hidden"));
        let error = BankAddress::parse("redis://:hidden@127.0.0.1:port", false).unwrap_err();
        assert!(!error.to_string().contains("hidden"), "{error}");
    }

    #[test]
    fn replies_are_numbers_or_late() {
        let numbers = Value::Array(vec![Value::Int(1), Value::Int(20)]);
        assert_eq!(read(&numbers).unwrap(), Reply::Numbers(vec![1, 20]));
        let late = Value::Array(vec![Value::BulkString(b"late".to_vec())]);
        assert_eq!(read(&late).unwrap(), Reply::Late);
        for wrong in [Value::Okay, Value::Int(1), Value::Array(vec![Value::Nil])] {
            assert!(matches!(read(&wrong), Err(BankError::Foreign(_))), "{wrong:?}");
        }
    }
}
