//! The connections to the bank: one Redis, or a Redis Cluster.
//!
//! Invariant: one call at a time for each shard, and no call is repeated, except when the server
//! answers that it does not know the script.

use std::{sync::Arc, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, Script, ServerErrorKind, Value,
    aio::MultiplexedConnection,
};
use tokio::time::timeout;

use super::{RESTORE_SCRIPT, SCRIPT, address::BankAddress, cluster::Cluster, draw::Argument, error::BankError};

/// Longest time to establish a connection. No request waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The answer of a script.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Numbers about the limits of the call.
    Numbers(Vec<i64>),
    /// The call arrived after a later one.
    Late,
}

/// The servers of the bank, shared by the connections of all shards.
pub(super) struct RedisServers {
    topology: Topology,
    script: NamedScript,
    restore: NamedScript,
    /// Longest duration of a call.
    timeout: Duration,
}

/// A script, with the name by which a server knows it.
struct NamedScript {
    text: &'static str,
    hash: String,
}

enum Topology {
    Single(Box<Client>),
    Cluster(Box<Cluster>),
}

/// The connection of one shard to its server.
pub(super) struct RedisConnection {
    servers: Arc<RedisServers>,
    shard: usize,
    connection: Option<MultiplexedConnection>,
    /// The server that a redirect named.
    moved_to: Option<String>,
}

impl RedisServers {
    pub(super) fn new(address: &BankAddress, timeout: Duration) -> Result<Self, BankError> {
        Ok(Self {
            topology: Topology::new(address)?,
            script: NamedScript::new(SCRIPT),
            restore: NamedScript::new(RESTORE_SCRIPT),
            timeout,
        })
    }

    /// Connects to the server of a shard: the server at `hint`, if a redirect has just named it.
    async fn connect(&self, shard: usize, hint: Option<&str>) -> Result<MultiplexedConnection, BankError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(CONNECT_TIMEOUT));
        let of_cluster;
        let client = match &self.topology {
            Topology::Single(client) => client,
            Topology::Cluster(cluster) => {
                of_cluster = cluster.server(shard, hint, &config).await?;
                &of_cluster
            }
        };
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        // A server that wants a password says so to a short command only.
        redis::cmd("PING").query_async::<()>(&mut connection).await?;
        Ok(connection)
    }

    /// Forgets the layout of a cluster after a failure: other servers may serve the shard by now.
    fn forget_layout(&self) {
        if let Topology::Cluster(cluster) = &self.topology {
            cluster.forget_layout();
        }
    }
}

impl Topology {
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

impl RedisConnection {
    pub(super) const fn new(servers: Arc<RedisServers>, shard: usize) -> Self {
        Self { servers, shard, connection: None, moved_to: None }
    }

    /// Connects, unless there is a connection.
    pub(super) async fn connect(&mut self) -> Result<(), BankError> {
        if self.connection.is_none() {
            let hint = self.moved_to.take();
            let connection = timeout(CONNECT_TIMEOUT, self.servers.connect(self.shard, hint.as_deref())).await;
            let connection = connection.unwrap_or(Err(BankError::Silent(CONNECT_TIMEOUT)));
            if connection.is_err() {
                self.servers.forget_layout();
            }
            self.connection = Some(connection?);
        }
        Ok(())
    }

    /// Runs the script that draws. An error ends the connection: a delayed answer must not count
    /// for a later call, and the next server may be another one.
    pub(super) async fn draw(&mut self, keys: &[String], arguments: &[Argument<'_>]) -> Result<Reply, BankError> {
        let servers = Arc::clone(&self.servers);
        self.run(&servers.script, keys, arguments).await
    }

    /// Runs the script that restores lost data.
    pub(super) async fn restore(&mut self, keys: &[String], arguments: &[Argument<'_>]) -> Result<Reply, BankError> {
        let servers = Arc::clone(&self.servers);
        self.run(&servers.restore, keys, arguments).await
    }

    async fn run(
        &mut self,
        script: &NamedScript,
        keys: &[String],
        arguments: &[Argument<'_>],
    ) -> Result<Reply, BankError> {
        let Some(mut connection) = self.connection.take() else {
            return Err(BankError::Foreign("no connection".into()));
        };
        let limit = self.servers.timeout;
        let reply = match timeout(limit, evaluate(&mut connection, script, keys, arguments)).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => {
                if error.kind() == ErrorKind::Server(ServerErrorKind::Moved) {
                    self.moved_to = error.redirect_node().map(|(address, _)| address.to_owned());
                }
                self.servers.forget_layout();
                return Err(error.into());
            }
            Err(_) => {
                self.servers.forget_layout();
                return Err(BankError::Silent(limit));
            }
        };
        self.connection = Some(connection);
        read(&reply)
    }
}

impl NamedScript {
    fn new(text: &'static str) -> Self {
        Self { text, hash: Script::new(text).get_hash().to_owned() }
    }
}

/// Runs a script by its name, and by its text if the server does not know the name.
async fn evaluate(
    connection: &mut MultiplexedConnection,
    script: &NamedScript,
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
    fn reply_is_numbers_or_late() {
        let numbers = Value::Array(vec![Value::Int(1), Value::Int(20)]);
        assert_eq!(read(&numbers).unwrap(), Reply::Numbers(vec![1, 20]));
        let late = Value::Array(vec![Value::BulkString(b"late".to_vec())]);
        assert_eq!(read(&late).unwrap(), Reply::Late);
        for wrong in [Value::Okay, Value::Int(1), Value::Array(vec![Value::Nil])] {
            assert!(matches!(read(&wrong), Err(BankError::Foreign(_))), "{wrong:?}");
        }
    }
}
