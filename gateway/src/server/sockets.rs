//! Taking the addresses before anything else, so that a taken one is told at once and by its
//! setting.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    path::Path,
};

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (setting `{setting}` in {file}): {reason}")]
pub struct BindError {
    address: SocketAddr,
    setting: &'static str,
    file: String,
    reason: String,
}

/// A listener on the address that `setting` of the file names.
pub(super) fn bind(setting: &'static str, address: SocketAddr, file: &Path) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).map_err(|error| {
        let reason = match error.kind() {
            ErrorKind::AddrInUse => "address already in use".into(),
            ErrorKind::AddrNotAvailable => "this machine does not have that address".into(),
            ErrorKind::PermissionDenied => "permission denied (ports below 1024 need a privilege)".into(),
            _ => error.to_string(),
        };
        BindError { address, setting, file: file.display().to_string(), reason }
    })
}

/// The listener of the process that is taken over, if it listens where `setting` says; else a new
/// one.
pub(super) fn keep_or_bind(
    setting: &'static str,
    address: SocketAddr,
    file: &Path,
    inherited: TcpListener,
) -> Result<TcpListener, BindError> {
    if is_meant(&inherited, address) { Ok(inherited) } else { bind(setting, address, file) }
}

/// Listeners on all addresses of clients, in their order: those of the process that is taken over
/// where it listens there, and new ones.
pub(super) fn keep_or_bind_all(
    addresses: &[SocketAddr],
    file: &Path,
    mut inherited: Vec<TcpListener>,
) -> Result<Vec<TcpListener>, BindError> {
    // An address with a port goes before one that takes any.
    let mut order: Vec<usize> = (0..addresses.len()).collect();
    order.sort_by_key(|index| addresses[*index].port() == 0);
    let mut found: Vec<Option<TcpListener>> = addresses.iter().map(|_| None).collect();
    for index in &order {
        let position = inherited.iter().position(|listener| is_meant(listener, addresses[*index]));
        found[*index] = position.map(|position| inherited.remove(position));
    }
    let listeners = found.into_iter().zip(addresses);
    listeners.map(|(found, address)| found.map_or_else(|| bind("listen", *address, file), Ok)).collect()
}

/// Returns true if this listener is on the address; port 0 stands for any.
fn is_meant(listener: &TcpListener, address: SocketAddr) -> bool {
    let found = listener.local_addr();
    found.is_ok_and(|found| found.ip() == address.ip() && (address.port() == 0 || found.port() == address.port()))
}

/// The same for a listener that either process may do without.
pub(super) fn keep_or_bind_if(
    setting: &'static str,
    address: Option<SocketAddr>,
    file: &Path,
    inherited: Option<TcpListener>,
) -> Result<Option<TcpListener>, BindError> {
    let Some(address) = address else {
        return Ok(None);
    };
    let listener = match inherited {
        Some(inherited) => keep_or_bind(setting, address, file, inherited),
        None => bind(setting, address, file),
    };
    listener.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_address_is_told_with_its_setting_and_file() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = holder.local_addr().unwrap();
        let told = bind("listen", address, Path::new("gateway.yaml")).unwrap_err().to_string();
        assert_eq!(
            told,
            format!("cannot listen on {address} (setting `listen` in gateway.yaml): address already in use")
        );
    }

    #[test]
    fn inherited_listener_is_kept_only_where_the_file_wants_it() {
        let kept = |address: &str| {
            let inherited = TcpListener::bind("127.0.0.1:0").unwrap();
            let before = inherited.local_addr().unwrap();
            let address = address.replace("SAME", &before.port().to_string()).parse().unwrap();
            keep_or_bind("listen", address, Path::new("gateway.yaml"), inherited).unwrap().local_addr().unwrap()
                == before
        };
        assert!(kept("127.0.0.1:0") && kept("127.0.0.1:SAME"));
        assert!(!kept("127.0.0.2:0") && !kept("127.0.0.2:SAME"));
    }

    #[test]
    fn each_address_gets_its_inherited_listener_whatever_the_order() {
        let before = keep_or_bind_all(&["127.0.0.1:0".parse().unwrap(); 3], Path::new("gateway.yaml"), Vec::new());
        let before = before.unwrap();
        let addresses: Vec<SocketAddr> = before.iter().map(|listener| listener.local_addr().unwrap()).collect();
        let wanted = [addresses[2], "127.0.0.1:0".parse().unwrap(), addresses[0], "127.0.0.2:0".parse().unwrap()];
        let after = keep_or_bind_all(&wanted, Path::new("gateway.yaml"), before).unwrap();
        let found: Vec<SocketAddr> = after.iter().map(|listener| listener.local_addr().unwrap()).collect();
        assert_eq!(found[..3], [addresses[2], addresses[1], addresses[0]]);
        assert_eq!(found[3].ip(), wanted[3].ip());
    }
}
