//! One address behind a server of the configuration, with what its record says of it.

use std::{net::SocketAddr, sync::Arc};

/// An address, in the order in which servers are listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    /// The server's own name, if a record of a service names it.
    pub(super) target: Option<Arc<str>>,
    /// Its weight, if a record of a service says it.
    pub(super) weight: Option<u32>,
    /// Servers with a lower number are preferred, as records of a service say it.
    pub(super) priority: u16,
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { address, target: None, weight: None, priority: 0 }
    }
}
