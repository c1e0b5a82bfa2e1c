//! Ports that nobody listens on.

use std::net::{Ipv4Addr, TcpListener};

use crate::StackError;

/// A port of 127.0.0.1 that was free a moment ago; the system does not give it to others right away.
pub fn free_port() -> Result<u16, StackError> {
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr();
    free().map(|address| address.port()).map_err(StackError::io("find a free port"))
}
