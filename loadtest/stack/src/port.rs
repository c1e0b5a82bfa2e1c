//! Ports that nobody listens on.

use std::net::{Ipv4Addr, TcpListener};

use crate::StackError;

/// How often to try another port when somebody else was faster.
const START_ATTEMPTS: usize = 3;

/// A port of 127.0.0.1 that was free a moment ago; the system does not give it to others right away.
pub fn free_port() -> Result<u16, StackError> {
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr();
    free().map(|address| address.port()).map_err(StackError::io("find a free port"))
}

/// Launches a server on a free port, and on another one when somebody else was faster.
pub(crate) fn on_free_port(mut launch: impl FnMut(u16) -> Result<(), StackError>) -> Result<u16, StackError> {
    let mut attempt = 1;
    loop {
        let port = free_port()?;
        match launch(port) {
            Err(StackError::Failed { output, .. })
                if attempt < START_ATTEMPTS && output.contains("Address already in use") =>
            {
                attempt += 1;
            }
            done => return done.map(|()| port),
        }
    }
}
