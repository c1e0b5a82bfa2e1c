//! The life of a request on a route: what happens when its client leaves, when it is billed, and
//! which protocols its connection may be upgraded to.

use std::{num::NonZeroU64, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bytes of an answer that are read for a client that is gone, unless the route says otherwise.
pub(crate) const ABORT_BYTES: u64 = 1024 * 1024;

/// Seconds for which an upgraded connection may be idle, unless the route says otherwise.
pub(crate) const UPGRADE_IDLE_SECONDS: u64 = 300;

/// The life of a request on a route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lifecycle {
    /// The end of a request whose client leaves.
    pub on_abort: OnAbort,
    /// The moment at which its usage is recorded.
    pub bill: Bill,
    /// Protocols that its connection may be upgraded to.
    pub upgrade: Upgrade,
}

/// The end of a request whose client leaves before the answer is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnAbort {
    /// The request ends: the connection to the upstream is closed.
    Cancel,
    /// The upstream's answer is waited for and read to its end.
    Finish(Patience),
}

/// Bounds on a request that goes on without its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For how long.
    pub time: Duration,
    /// For how many bytes of the answer.
    pub bytes: u64,
}

/// The moment at which a request's usage is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bill {
    /// Once the header of the upstream's answer is there, before the client sees any of it.
    #[default]
    OnAnswer,
    /// Once the upstream has accepted the connection, before it sees any of the request.
    OnDispatch,
}

/// Protocols that a connection may be upgraded to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// Names of protocols, in lower case.
    pub protocols: Box<[Box<str>]>,
    /// Longest time without a byte on an upgraded connection.
    pub idle: Duration,
    /// The units of what passes on a WebSocket; none if a connection is billed as one request.
    pub units: Option<UpgradeUnits>,
}

/// The units of what passes on a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpgradeUnits {
    /// The things that are counted.
    pub count: UpgradeCount,
    /// The sides whose things are counted.
    pub from: Side,
}

/// The things that are counted on a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpgradeCount {
    /// One unit for each message.
    Messages,
    /// Payload bytes.
    Bytes {
        /// One unit stands for as many.
        per: NonZeroU64,
    },
}

/// The sides of a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Messages or bytes of the client.
    Client,
    /// Messages or bytes of the server.
    Server,
    /// Messages or bytes of both.
    Both,
}

impl Side {
    /// Returns true if what the client sends is counted.
    pub(crate) const fn includes_client(self) -> bool {
        matches!(self, Self::Client | Self::Both)
    }

    /// Returns true if what the server sends is counted.
    pub(crate) const fn includes_server(self) -> bool {
        matches!(self, Self::Server | Self::Both)
    }
}

impl Default for OnAbort {
    fn default() -> Self {
        Self::Finish(Patience { time: Duration::from_mins(1), bytes: ABORT_BYTES })
    }
}

impl Default for Upgrade {
    fn default() -> Self {
        Self { protocols: Box::default(), idle: Duration::from_secs(UPGRADE_IDLE_SECONDS), units: None }
    }
}
