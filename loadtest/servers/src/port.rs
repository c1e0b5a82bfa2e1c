//! Ports that nobody listens on.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    ops::Range,
};

use rand::RngExt as _;

use crate::error::ServerError;

/// Below the ports that Linux gives to outgoing connections: a server that is down for a moment
/// finds its port again.
const RANGE: Range<u16> = 12_000..32_000;

/// Attempts before giving up; each hits a free port unless the machine is full of servers.
const ATTEMPTS: usize = 200;

/// A port of 127.0.0.1 that nobody listens on now.
pub fn free_port() -> Result<u16, ServerError> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..ATTEMPTS {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, rand::rng().random_range(RANGE))) {
            Ok(listener) => {
                return listener
                    .local_addr()
                    .map(|address| address.port())
                    .map_err(ServerError::io("find a free port"));
            }
            Err(error) => last = error,
        }
    }
    Err(ServerError::io("find a free port")(last))
}
