//! Ports of the loopback interface to listen on.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use servers::free_port;

use super::ProcessError;

/// An address of the loopback interface that nobody listens on now.
pub fn free_address() -> Result<SocketAddr, ProcessError> {
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?)))
}

/// Refuses an address that somebody else listens on, naming the `setting` that chooses another.
pub fn ensure_free(address: SocketAddr, setting: &str) -> Result<(), ProcessError> {
    match TcpListener::bind(address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(ProcessError::PortTaken { port: address.port(), setting: setting.to_owned() })
        }
        // Anything else is told better by the program that is about to listen there.
        _ => Ok(()),
    }
}

/// Returns `address` if it is free, with a free port in the place of port 0. Errors name the
/// `setting` that chooses it.
pub(super) fn resolve(address: SocketAddr, setting: &str) -> Result<SocketAddr, ProcessError> {
    if address.port() == 0 {
        return free_address();
    }
    // Else whoever listens there would pass for the process that is about to start.
    ensure_free(address, setting)?;
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_port_is_refused_with_its_setting() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = taken.local_addr().unwrap();
        let error = ensure_free(address, "GATEWAY_PORT").unwrap_err().to_string();
        assert!(error.contains(&address.port().to_string()) && error.contains("GATEWAY_PORT"), "{error}");
        drop(taken);
        assert!(ensure_free(free_address().unwrap(), "GATEWAY_PORT").is_ok());
    }
}
