//! A load generator that counts what it can swear to.
//!
//! An answer is received once its last byte is here; a reset, an early end, a timeout or something
//! that is not HTTP is an error and never an answer. Every request sent ends as exactly one of the
//! two. In the open loop, requests are due at a fixed rate whatever the server does, and latency
//! runs from the moment a request was due: a server that stalls shows the stall (no coordinated
//! omission). In the closed loop each connection sends as fast as it is answered: good for
//! throughput and for CPU per request, not for latency. Targets must be on the loopback interface.

mod client;
mod connection;
mod pace;
mod request;
mod stages;
mod tally;

use std::{net::SocketAddr, time::Duration};

pub(crate) use connection::{Connection, Failure, Received};
pub use pace::Pace;
pub use request::Request;
pub use stages::Stages;
pub use tally::{Exchange, Failures, Latency, LoadResult, StageResult};

/// Most connections at once.
const CONNECTIONS_MAX: usize = 10_000;

/// Highest rate of the open loop, per second.
const RATE_MAX: u32 = 1_000_000;

/// Longest run.
const DURATION_MAX: Duration = Duration::from_hours(24);

/// Longest time to wait for one answer.
const TIMEOUT_MAX: Duration = Duration::from_mins(10);

/// Requests to send, with their target, pace and duration.
#[derive(Debug, Clone)]
pub struct Load {
    /// The target; on the loopback interface.
    pub target: SocketAddr,
    /// Requests, sent in turn.
    pub requests: Vec<Request>,
    /// Connections held open, each with one request under way at most.
    pub connections: usize,
    /// Pace of the requests.
    pub pace: Pace,
    /// For how long requests are sent; those under way then are still waited for.
    pub duration: Duration,
    /// Largest number of requests.
    pub max_requests: Option<u64>,
    /// Longest time for one answer, from sending to its last byte.
    pub timeout: Duration,
    /// True if the result lists each answer by itself.
    pub traced: bool,
    /// Tells its stages apart while it runs, and may end it early.
    pub stages: Stages,
}

/// A load cannot run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Somebody else's machine.
    #[error("{0} is not on the loopback interface: load is only sent to this machine, as in 127.0.0.1:8080")]
    NotLoopback(SocketAddr),
    /// A number that makes no sense.
    #[error("{what} is {value}; allowed is {allowed}")]
    OutOfRange {
        /// Which setting.
        what: &'static str,
        /// Its value.
        value: String,
        /// Allowed values.
        allowed: String,
    },
    /// A request that cannot be put on the wire.
    #[error("request {0:?} has a line break or a space where none may be")]
    Request(String),
    /// The timer that paces the open loop.
    #[error("the open loop has no timer: {0}")]
    Timer(std::io::Error),
    /// A client task died.
    #[error("a client task failed: {0}")]
    Client(#[from] tokio::task::JoinError),
}

impl Load {
    /// A closed loop on 16 connections for 10 s, with 30 s for each answer.
    pub fn new(target: SocketAddr, requests: Vec<Request>) -> Self {
        Self {
            target,
            requests,
            connections: 16,
            pace: Pace::Closed,
            duration: Duration::from_secs(10),
            max_requests: None,
            timeout: Duration::from_secs(30),
            traced: false,
            stages: Stages::default(),
        }
    }

    /// Sends the requests and waits for the last answer.
    pub async fn run(&self) -> Result<LoadResult, LoadError> {
        self.validate()?;
        client::run(self).await
    }

    fn validate(&self) -> Result<(), LoadError> {
        if !self.target.ip().is_loopback() {
            return Err(LoadError::NotLoopback(self.target));
        }
        within("connections", self.connections, 1, CONNECTIONS_MAX)?;
        within("number of different requests", self.requests.len(), 1, usize::MAX)?;
        within("duration in ms", self.duration.as_millis(), 1, DURATION_MAX.as_millis())?;
        within("timeout in ms", self.timeout.as_millis(), 1, TIMEOUT_MAX.as_millis())?;
        if let Pace::Open { per_second } = self.pace {
            within("rate per second", per_second, 1, RATE_MAX)?;
        }
        self.requests.iter().try_for_each(Request::validate)
    }
}

fn within<N: Copy + PartialOrd + std::fmt::Display>(
    what: &'static str,
    value: N,
    low: N,
    high: N,
) -> Result<(), LoadError> {
    if (&low..=&high).contains(&&value) {
        return Ok(());
    }
    Err(LoadError::OutOfRange { what, value: value.to_string(), allowed: format!("{low} to {high}") })
}

#[cfg(test)]
mod tests;
