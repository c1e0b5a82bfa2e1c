//! The servers of a Redis Cluster: finds the server of a shard.
//!
//! Invariant: a connection leads to one server for as long as it lives. A promoted replica may have
//! missed the last calls, so the bank must learn that another server answers. A server that
//! redirects a call (`MOVED`) therefore ends the connection, and the next call says that its
//! connection is new.

use std::{
    future::Future,
    pin::Pin,
    sync::Mutex,
    time::{Duration, Instant},
};

use futures_util::future::select_ok;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, RedisError, TlsCertificates, Value};

use super::error::BankError;
use crate::lock::locked;

/// Slots of a Redis Cluster.
const SLOTS: u16 = 16_384;

/// Time for which a layout is used for all shards.
const LAYOUT_AGE: Duration = Duration::from_secs(1);

/// The servers of a cluster.
pub(super) struct Cluster {
    /// The configured servers. Each can be asked for the layout.
    seeds: Vec<ConnectionInfo>,
    certificates: Option<TlsCertificates>,
    layout: Mutex<Known>,
}

/// The last known layout, and all known servers: after a failover they may be others than the
/// configured ones.
#[derive(Default)]
struct Known {
    layout: Option<(Instant, Layout)>,
    servers: Vec<(String, u16)>,
}

/// Slots with the server that serves them, and all servers with their replicas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Layout {
    ranges: Vec<Range>,
    servers: Vec<(String, u16)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    host: String,
    port: u16,
}

impl Cluster {
    pub(super) fn new(seeds: Vec<ConnectionInfo>, certificates: Option<TlsCertificates>) -> Self {
        Self { seeds, certificates, layout: Mutex::default() }
    }

    /// Client for the server of a shard: the server at `hint`, if a redirect has just named it.
    pub(super) async fn server(
        &self,
        shard: usize,
        hint: Option<&str>,
        config: &AsyncConnectionConfig,
    ) -> Result<Client, BankError> {
        let slot = slot(shard);
        let (host, port) = match hint.and_then(|hint| hint.rsplit_once(':')) {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                (host.to_owned(), port.parse().unwrap_or_default())
            }
            _ => {
                let layout = self.layout(config).await?;
                let range = layout.ranges.into_iter().find(|range| (range.first..=range.last).contains(&slot));
                let range = range.ok_or_else(|| BankError::Foreign(format!("no server serves slot {slot}")))?;
                (range.host, range.port)
            }
        };
        self.client(self.at(&host, port)?).map_err(BankError::from)
    }

    /// Forgets the layout, which may have changed.
    pub(super) fn forget_layout(&self) {
        locked(&self.layout).layout = None;
    }

    async fn layout(&self, config: &AsyncConnectionConfig) -> Result<Layout, BankError> {
        let servers = {
            let known = locked(&self.layout);
            if let Some((learned_at, layout)) = &known.layout
                && learned_at.elapsed() < LAYOUT_AGE
            {
                return Ok(layout.clone());
            }
            known.servers.clone()
        };
        // All known servers are asked at once: some may be down, and some may have joined since the
        // start.
        let others = servers.iter().map(|(host, port)| self.at(host, *port));
        let infos = self.seeds.iter().cloned().map(Ok).chain(others).collect::<Result<Vec<_>, BankError>>()?;
        let asked = infos.into_iter().map(|info| Box::pin(self.ask(info, config)) as Pin<Box<dyn Asked<'_>>>);
        let (layout, _) = select_ok(asked).await?;
        let mut known = locked(&self.layout);
        known.servers.clone_from(&layout.servers);
        known.layout = Some((Instant::now(), layout.clone()));
        drop(known);
        Ok(layout)
    }

    /// Asks one server for the layout.
    async fn ask(&self, info: ConnectionInfo, config: &AsyncConnectionConfig) -> Result<Layout, BankError> {
        let asked = host_of(info.addr());
        let client = self.client(info)?;
        let mut connection = client.get_multiplexed_async_connection_with_config(config).await?;
        let slots = redis::cmd("CLUSTER").arg("SLOTS").query_async::<Value>(&mut connection).await?;
        let layout = Layout::read(&slots, &asked);
        layout.ok_or_else(|| BankError::Foreign(format!("CLUSTER SLOTS returned {slots:?}")))
    }

    fn client(&self, info: ConnectionInfo) -> Result<Client, RedisError> {
        match &self.certificates {
            Some(certificates) => Client::build_with_tls(info, certificates.clone()),
            None => Client::open(info),
        }
    }

    /// Connection settings for a server of the cluster, the same as for the configured ones.
    fn at(&self, host: &str, port: u16) -> Result<ConnectionInfo, BankError> {
        let seed = self.seeds.first().ok_or_else(|| BankError::Address("no URL".into()))?;
        let address = match seed.addr().clone() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure, tls_params }
            }
            _ => ConnectionAddr::Tcp(host.to_owned(), port),
        };
        Ok(seed.clone().set_addr(address))
    }
}

/// A question to one server.
trait Asked<'a>: Future<Output = Result<Layout, BankError>> + Send + 'a {}

impl<'a, T: Future<Output = Result<Layout, BankError>> + Send + 'a> Asked<'a> for T {}

impl Layout {
    /// Parses the answer to `CLUSTER SLOTS`: for each range the first slot, the last slot and the
    /// servers, the master first. A server that does not know its own host leaves it out: it is the
    /// server that was `asked`.
    fn read(value: &Value, asked: &str) -> Option<Self> {
        let mut layout = Self::default();
        for range in list(value)? {
            let [first, last, servers @ ..] = list(range)? else {
                return None;
            };
            let servers = servers.iter().map(|one| server(one, asked)).collect::<Option<Vec<_>>>()?;
            let (host, port) = servers.first()?.clone();
            layout.ranges.push(Range { first: number(first)?, last: number(last)?, host, port });
            layout.servers.extend(servers);
        }
        Some(layout)
    }
}

/// Host and port of a server.
fn server(value: &Value, asked: &str) -> Option<(String, u16)> {
    let [host, port, ..] = list(value)? else {
        return None;
    };
    let host = if *host == Value::Nil { String::new() } else { text(host)? };
    Some((if host.is_empty() || host == "?" { asked.to_owned() } else { host }, number(port)?))
}

fn list(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u16> {
    match value {
        Value::Int(number) => u16::try_from(*number).ok(),
        _ => None,
    }
}

fn host_of(address: &ConnectionAddr) -> String {
    match address {
        ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => host.clone(),
        _ => String::new(),
    }
}

/// Slot of all keys of a shard, computed from the part of their names in braces.
fn slot(shard: usize) -> u16 {
    crc16(shard.to_string().as_bytes()) % SLOTS
}

/// CRC16 as Redis Cluster uses it (XMODEM).
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_match_redis_cluster() {
        // From the specification of Redis Cluster, and by CLUSTER KEYSLOT.
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!((slot(0), slot(1), slot(15)), (13_907, 9_842, 4_178));
    }

    #[test]
    fn layout_names_the_master_of_each_range() {
        let server = |host: Value, port| Value::Array(vec![host, Value::Int(port), Value::BulkString(b"id".to_vec())]);
        let named = |host: &str| Value::BulkString(host.as_bytes().to_vec());
        let range = |first, last, servers: Vec<Value>| {
            Value::Array([Value::Int(first), Value::Int(last)].into_iter().chain(servers).collect())
        };
        let slots = Value::Array(vec![
            range(0, 5_460, vec![server(named("10.0.0.1"), 7_000), server(named("10.0.0.4"), 7_003)]),
            range(5_461, 16_383, vec![server(Value::Nil, 7_001)]),
        ]);
        let range = |first, last, host: &str, port| Range { first, last, host: host.into(), port };
        let servers = [("10.0.0.1", 7_000), ("10.0.0.4", 7_003), ("asked", 7_001)];
        let expected = Layout {
            ranges: vec![range(0, 5_460, "10.0.0.1", 7_000), range(5_461, 16_383, "asked", 7_001)],
            servers: servers.map(|(host, port)| (host.to_owned(), port)).into(),
        };
        assert_eq!(Layout::read(&slots, "asked"), Some(expected));
        for wrong in [Value::Okay, Value::Array(vec![Value::Int(1)]), Value::Array(vec![Value::Array(vec![])])] {
            assert_eq!(Layout::read(&wrong, "asked"), None, "{wrong:?}");
        }
    }
}
