//! Ports that nobody listens on.

use std::net::{Ipv4Addr, TcpListener};

use crate::ServerError;

/// A port of 127.0.0.1 that was free a moment ago; the system does not give it to others right away.
pub fn free_port() -> Result<u16, ServerError> {
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr();
    free().map(|address| address.port()).map_err(ServerError::io("find a free port"))
}
