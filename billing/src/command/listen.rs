//! Listening on an address that the settings name.

use std::{net::SocketAddr, path::Path};

use tokio::net::TcpListener;

use super::CommandError;

/// Listens on `address`, which stands as `setting` in `file`.
pub(super) async fn listen(
    address: SocketAddr,
    setting: &'static str,
    file: &Path,
) -> Result<TcpListener, CommandError> {
    TcpListener::bind(address).await.map_err(|source| CommandError::Listen {
        port: address.port(),
        address,
        setting,
        file: file.display().to_string(),
        source,
    })
}
