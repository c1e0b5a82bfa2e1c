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
    let is_meant = inherited
        .local_addr()
        .is_ok_and(|found| found.ip() == address.ip() && (address.port() == 0 || found.port() == address.port()));
    if is_meant { Ok(inherited) } else { bind(setting, address, file) }
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
}
