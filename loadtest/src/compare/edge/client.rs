//! The client's settings of TLS: the same suite and group for every server, and tickets that are
//! kept or not.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use rustls::{
    ClientConfig, NamedGroup, RootCertStore,
    client::{ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue},
    crypto::ring::{cipher_suite::TLS13_AES_128_GCM_SHA256, default_provider, kx_group::X25519},
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    version::TLS13,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{compare::CompareError, lock::locked};

/// Opens connections to one server.
pub(super) struct TlsClient {
    server: SocketAddr,
    tls: TlsConnector,
    tickets: Arc<Tickets>,
}

/// The last ticket of a server.
#[derive(Debug)]
pub(super) struct Tickets {
    /// True if it is shown with the next handshake.
    shows: bool,
    last: Mutex<Option<Tls13ClientSessionValue>>,
}

impl TlsClient {
    /// A client that trusts the authority in this file, and asks for `protocol`.
    pub(super) fn new(
        server: SocketAddr,
        authority: &Path,
        protocol: &[u8],
        resumes: bool,
    ) -> Result<Self, CompareError> {
        let failed = |source| CompareError::System { what: "cannot set up the client's TLS".into(), source };
        let other = |error: rustls::Error| failed(io::Error::other(error));
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(authority).map_err(|error| failed(io::Error::other(error)))?;
        roots.add(certificate).map_err(other)?;
        let mut provider = default_provider();
        provider.cipher_suites = vec![TLS13_AES_128_GCM_SHA256];
        provider.kx_groups = vec![X25519];
        let config = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[&TLS13]);
        let mut config = config.map_err(other)?.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let tickets = Arc::new(Tickets { shows: resumes, last: Mutex::default() });
        let store: Arc<dyn ClientSessionStore> = Arc::<Tickets>::clone(&tickets);
        config.resumption = Resumption::store(store);
        Ok(Self { server, tls: TlsConnector::from(Arc::new(config)), tickets })
    }

    /// A connection after its handshake.
    pub(super) async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.server).await?;
        stream.set_nodelay(true)?;
        self.tls.connect(ServerName::from(self.server.ip()), stream).await
    }

    /// Returns true if the next handshake shows a ticket.
    pub(super) fn has_ticket(&self) -> bool {
        locked(&self.tickets.last).is_some()
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _server: ServerName<'static>, _group: NamedGroup) {}

    fn kx_hint(&self, _server: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _server: ServerName<'static>, _value: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _server: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _server: ServerName<'static>, value: Tls13ClientSessionValue) {
        *locked(&self.last) = Some(value).filter(|_| self.shows);
    }

    fn take_tls13_ticket(&self, _server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        locked(&self.last).take()
    }
}
