//! A limiter that asks Redis about every request: what most do, done well, for the gateway's
//! decisions to be compared with. The binary `redis_limiter` runs it.
//!
//! `POST /check` with a key in `X-Api-Key` is one EVALSHA over the limits of that key and of its
//! tenant, on a connection that all requests share. The command is made once for each key. Who the
//! keys belong to is kept in memory; nothing is recorded, and nothing is reconnected: it lives no
//! longer than a comparison.

mod answer;
mod server;
mod terms;

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use common::plan::PlanLimits;
use http::HeaderValue;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo as _, RedisError, Script, ServerErrorKind,
    aio::MultiplexedConnection, io::tcp::TcpSettings,
};
use serde::{Deserialize, Serialize};
pub use server::{HEALTH_PATH, serve};
use terms::Terms;

/// The limits of one request, taken from all of them or from none.
const SCRIPT: &str = include_str!("script.lua");

/// Commands that may wait to be written: more than there are connections, so that none waits for
/// room.
const PIPELINE_COMMANDS: usize = 1_024;

/// Settings of the limiter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// URL of the Redis.
    pub redis: String,
    /// The limits of every key and of every tenant.
    pub limits: PlanLimits,
    /// The keys and their tenants.
    pub callers: Vec<Caller>,
}

/// A key and its tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Caller {
    /// The secret that clients send.
    pub secret: String,
    /// The key's id.
    pub key: String,
    /// The id of its tenant.
    pub tenant: String,
}

/// The limiter cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum LimiterError {
    /// The settings cannot be read.
    #[error("{file}: {source}")]
    Settings {
        /// The file.
        file: String,
        /// The reason.
        source: io::Error,
    },
    /// No Redis.
    #[error("Redis: {0}")]
    Redis(#[from] RedisError),
    /// The address cannot be listened on.
    #[error("cannot listen: {0}")]
    Listen(#[from] io::Error),
}

/// Decides, by asking Redis.
pub struct Limiter {
    connection: MultiplexedConnection,
    script: Script,
    terms: Vec<Terms>,
    /// The header `RateLimit-Policy`, which is the same for all.
    policy: HeaderValue,
    /// For each secret, the command that decides.
    commands: HashMap<Box<[u8]>, Cmd>,
    allowed: AtomicU64,
    denied: AtomicU64,
}

/// The decision about a request.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The key is unknown.
    Unknown,
    Known {
        /// Microseconds until it may pass; 0 if it may.
        wait: u64,
        /// For each limit, microseconds until its bucket is full.
        missing: Vec<u64>,
    },
}

impl Settings {
    /// Reads them from a file in JSON.
    pub fn read(file: &Path) -> Result<Self, LimiterError> {
        let failed = |source| LimiterError::Settings { file: file.display().to_string(), source };
        let text = std::fs::read(file).map_err(failed)?;
        serde_json::from_slice(&text).map_err(|error| failed(error.into()))
    }
}

impl Limiter {
    /// Connects to Redis and leaves the script there.
    pub async fn connect(settings: &Settings) -> Result<Self, LimiterError> {
        let address = settings.redis.as_str().into_connection_info()?;
        let client = Client::open(address.set_tcp_settings(TcpSettings::default().set_nodelay(true)))?;
        let config = AsyncConnectionConfig::new().set_pipeline_buffer_size(PIPELINE_COMMANDS);
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let script = Script::new(SCRIPT);
        script.load_async(&mut connection).await?;
        let terms = Terms::of(&settings.limits);
        let command = |caller: &Caller| (caller.secret.as_bytes().into(), command(&script, &terms, caller));
        let commands = settings.callers.iter().map(command).collect();
        let policy = answer::policy(&terms);
        Ok(Self { connection, script, policy, commands, terms, allowed: AtomicU64::new(0), denied: AtomicU64::new(0) })
    }

    /// Decides about a request with this key.
    async fn decide(&self, secret: &[u8]) -> Result<Verdict, RedisError> {
        let Some(command) = self.commands.get(secret) else {
            self.denied.fetch_add(1, Ordering::Relaxed);
            return Ok(Verdict::Unknown);
        };
        let mut connection = self.connection.clone();
        let reply: Result<Vec<u64>, _> = command.query_async(&mut connection).await;
        let reply = match reply {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.script.load_async(&mut connection).await?;
                command.query_async(&mut connection).await?
            }
            reply => reply?,
        };
        let (wait, missing) = match reply.split_first() {
            Some((wait, missing)) if missing.len() == self.terms.len() => (*wait, missing.to_owned()),
            _ => return Err((ErrorKind::UnexpectedReturnType, "not an answer of the script").into()),
        };
        let count = if wait == 0 { &self.allowed } else { &self.denied };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(Verdict::Known { wait, missing })
    }
}

fn command(script: &Script, terms: &[Terms], caller: &Caller) -> Cmd {
    let mut command = redis::cmd("EVALSHA");
    command.arg(script.get_hash()).arg(terms.len());
    for terms in terms {
        command.arg(terms.redis_key(caller));
    }
    for terms in terms {
        command.arg(terms.interval_us).arg(terms.depth_us);
    }
    command
}

#[cfg(test)]
mod tests;
