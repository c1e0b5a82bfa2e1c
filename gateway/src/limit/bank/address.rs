//! The address of the bank: URLs of one Redis or of a Redis Cluster, and the certificates to trust.

use std::fmt;

use redis::{ConnectionInfo, IntoConnectionInfo as _, TlsCertificates, io::tcp::TcpSettings};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use super::error::BankError;

/// The address of the bank.
#[derive(Clone, PartialEq, Eq)]
pub struct BankAddress {
    urls: Vec<String>,
    pub(super) is_cluster: bool,
    /// Certificates of the authority that signs those of the servers, in PEM. None: the system's
    /// authorities.
    authority: Option<Vec<u8>>,
}

impl BankAddress {
    /// Parses URLs with commas between them. Several URLs are nodes of a cluster; a single one is
    /// if `is_cluster` is true.
    pub fn parse(text: &str, is_cluster: bool) -> Result<Self, BankError> {
        let urls: Vec<String> = text.split(',').map(|url| url.trim().to_owned()).collect();
        let address = Self { is_cluster: is_cluster || urls.len() > 1, urls, authority: None };
        address.nodes()?;
        Ok(address)
    }

    /// The same address, with only servers trusted whose certificates these authorities (in PEM)
    /// signed. All URLs must use TLS.
    pub fn vouched_for_by(self, authority: Vec<u8>) -> Result<Self, BankError> {
        if let Some(url) = self.urls.iter().find(|url| !url.starts_with("rediss://")) {
            let scheme = url.split("://").next().unwrap_or_default();
            return Err(BankError::Address(format!("{scheme}:// shows no certificate to check")));
        }
        // Without a certificate nobody would be trusted, and that would show only when a connection
        // is made.
        if CertificateDer::pem_slice_iter(&authority).next().is_none_or(|first| first.is_err()) {
            return Err(BankError::Address("holds no certificate in PEM".into()));
        }
        Ok(Self { authority: Some(authority), ..self })
    }

    pub(super) fn certificates(&self) -> Option<TlsCertificates> {
        self.authority.clone().map(|root_cert| TlsCertificates { client_tls: None, root_cert: Some(root_cert) })
    }

    pub(super) fn nodes(&self) -> Result<Vec<ConnectionInfo>, BankError> {
        let settings = TcpSettings::default().set_nodelay(true);
        let node = |url: &String| {
            // The error does not show the URL, which may hold a password.
            let info = url.as_str().into_connection_info().map_err(|error| BankError::Address(error.to_string()))?;
            Ok(info.set_tcp_settings(settings.clone()))
        };
        self.urls.iter().map(node).collect()
    }
}

impl fmt::Debug for BankAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, is_cluster) = (self.urls.len(), self.is_cluster);
        write!(formatter, "BankAddress {{ nodes: {nodes}, is_cluster: {is_cluster} }}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_one_server_or_a_cluster() {
        let parse = |text, is_cluster| BankAddress::parse(text, is_cluster).map(|address| address.is_cluster);
        assert!(matches!(parse("redis://127.0.0.1:6379", false), Ok(false)));
        assert!(matches!(parse("rediss://user:secret@redis.example.com", true), Ok(true)));
        assert!(matches!(parse("redis://a:1, redis://b:2", false), Ok(true)));
        for wrong in ["", "127.0.0.1:6379", "http://a:1", "redis://a:1,", "redis://a:port"] {
            assert!(matches!(parse(wrong, false), Err(BankError::Address(_))), "{wrong}");
        }
    }

    #[test]
    fn password_is_not_shown() {
        let address = BankAddress::parse("redis://:hidden@127.0.0.1:6379", false).unwrap();
        assert!(!format!("{address:?}").contains("hidden"));
        let error = BankAddress::parse("redis://:hidden@127.0.0.1:port", false).unwrap_err();
        assert!(!error.to_string().contains("hidden"), "{error}");
    }
}
