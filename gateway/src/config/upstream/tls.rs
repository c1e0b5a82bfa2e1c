//! TLS with servers: the authorities that the gateway trusts, and the certificate that it shows.
//!
//! Files are read and proved when the configuration is read, so that a wrong one is refused with
//! its name instead of failing every request.

use std::{
    collections::hash_map::DefaultHasher,
    fmt,
    hash::{Hash as _, Hasher as _},
    path::Path,
    sync::Arc,
};

use common::tls::pem;
use pingora_core::{
    protocols::tls::CaType,
    utils::tls::{CertKey, WrappedX509, parse_x509},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{PrivateKeyDer, ServerName},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::file::TlsFile;

/// TLS with the servers of an upstream.
#[derive(Clone, Default)]
pub struct TlsSettings {
    /// Authorities that vouch for the servers; those that the system trusts if none.
    pub ca: Option<Arc<CaType>>,
    /// Certificate and key with which the gateway proves who it is, if servers ask.
    pub identity: Option<Arc<CertKey>>,
    /// The name that is asked for and that the certificate must carry, instead of the server's own.
    pub server_name: Option<String>,
    /// The parts of a certificate that are verified.
    pub verify: Verify,
    /// Stands for the content of all files.
    digest: u64,
}

/// The parts of a server's certificate that are verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, JsonSchema, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// A trusted authority vouches for it, and it carries the server's name.
    #[default]
    Full,
    /// A trusted authority vouches for it, under whatever name.
    Ca,
    /// Nothing.
    Off,
}

/// A file that cannot be used, and the setting that names it.
pub(in crate::config) struct TlsFault {
    pub(in crate::config) setting: &'static str,
    pub(in crate::config) value: String,
    pub(in crate::config) reason: String,
}

impl TlsSettings {
    /// A number that differs wherever connections must not be shared: other authorities, another
    /// identity, another verification.
    pub fn connection_group(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.digest, &self.server_name, self.verify).hash(&mut hasher);
        hasher.finish()
    }

    /// Reads and proves the files.
    pub(super) fn read(file: &TlsFile) -> Result<Self, TlsFault> {
        let mut hasher = DefaultHasher::new();
        let ca = match &file.ca_file {
            Some(path) => Some(authorities(path, &mut hasher)?),
            None => None,
        };
        let identity = match (&file.client_certificate_file, &file.client_key_file) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(Arc::new(identity(certificate, key, &mut hasher)?)),
            (Some(alone), None) => {
                return Err(TlsFault::new("client_certificate_file", alone, "needs `client_key_file` beside it"));
            }
            (None, Some(alone)) => {
                return Err(TlsFault::new("client_key_file", alone, "needs `client_certificate_file` beside it"));
            }
        };
        if let Some(name) = file.server_name.as_ref().filter(|name| ServerName::try_from(name.as_str()).is_err()) {
            let reason = "is not a name that a certificate can carry: write it as in api.example.com";
            return Err(TlsFault::new("server_name", Path::new(name), reason));
        }
        Ok(Self { ca, identity, server_name: file.server_name.clone(), verify: file.verify, digest: hasher.finish() })
    }
}

impl PartialEq for TlsSettings {
    fn eq(&self, other: &Self) -> bool {
        (self.digest, &self.server_name, self.verify) == (other.digest, &other.server_name, other.verify)
    }
}

impl Eq for TlsSettings {}

impl fmt::Debug for TlsSettings {
    /// Nothing of the files: one of them holds a private key.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TlsSettings")
            .field("ca", &self.ca.is_some())
            .field("identity", &self.identity.is_some())
            .field("server_name", &self.server_name)
            .field("verify", &self.verify)
            .finish_non_exhaustive()
    }
}

impl TlsFault {
    fn new(setting: &'static str, value: &Path, reason: impl Into<String>) -> Self {
        Self { setting, value: value.display().to_string(), reason: reason.into() }
    }
}

fn authorities(path: &Path, hasher: &mut DefaultHasher) -> Result<Arc<CaType>, TlsFault> {
    let fault = |reason: String| TlsFault::new("ca_file", path, reason);
    let text = pem::read(path).map_err(fault)?;
    text.hash(hasher);
    let certificates = pem::certificates(&text).map_err(fault)?;
    let mut store = RootCertStore::empty();
    for (index, certificate) in certificates.iter().enumerate() {
        store.add(certificate.clone()).map_err(|error| {
            fault(format!("holds a certificate that is no authority's (number {}): {error}", index + 1))
        })?;
    }
    Ok(certificates.into_iter().map(|certificate| WrappedX509::new(certificate.to_vec(), parse_x509)).collect())
}

fn identity(certificate: &Path, key: &Path, hasher: &mut DefaultHasher) -> Result<CertKey, TlsFault> {
    let of_certificate = |reason: String| TlsFault::new("client_certificate_file", certificate, reason);
    let of_key = |reason: String| TlsFault::new("client_key_file", key, reason);
    let (certificate_pem, key_pem) = (pem::read(certificate).map_err(of_certificate)?, pem::read(key).map_err(of_key)?);
    (&certificate_pem, &key_pem).hash(hasher);
    let chain = pem::certificates(&certificate_pem).map_err(of_certificate)?;
    let private = pem::key(&key_pem).map_err(of_key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            let builder = builder.with_root_certificates(RootCertStore::empty());
            builder.with_client_auth_cert(chain.clone(), private.clone_key())
        })
        .map_err(|error| of_key(format!("does not go with the certificate in {}: {error}", certificate.display())))?;
    let private = private.secret_der().to_vec();
    // Pingora keeps the bare bytes, and guesses the form of the key from them with each connection.
    if let Err(error) = PrivateKeyDer::try_from(private.as_slice()) {
        return Err(of_key(format!("holds a key of an unknown form: {error}")));
    }
    let chain = chain.into_iter().map(|certificate| certificate.to_vec()).collect();
    Ok(CertKey::new(chain, private))
}
