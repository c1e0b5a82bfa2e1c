//! The authorities whose client certificates are accepted.

use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore,
    crypto::ring,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use super::{TlsFault, pem};

/// The authorities of a file that vouch for clients.
#[derive(Debug, Clone)]
pub struct ClientAuthority(Arc<RootCertStore>);

impl ClientAuthority {
    /// Reads the file, which `setting` names.
    pub fn load(setting: &'static str, path: &Path) -> Result<Self, TlsFault> {
        roots(setting, path).map(|roots| Self(Arc::new(roots)))
    }

    /// A verifier of clients' certificates. `required`: clients without one are refused.
    pub(super) fn verifier(&self, required: bool) -> Result<Arc<dyn ClientCertVerifier>, String> {
        let provider = Arc::new(ring::default_provider());
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.0), provider);
        let builder = if required { builder } else { builder.allow_unauthenticated() };
        builder.build().map_err(|error| error.to_string())
    }
}

/// The authorities in a file, at least one.
pub(super) fn roots(setting: &'static str, path: &Path) -> Result<RootCertStore, TlsFault> {
    let fault = |reason: String| TlsFault::new(setting, path, reason);
    let certificates = pem::read(path).and_then(|pem| pem::certificates(&pem)).map_err(fault)?;
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates.into_iter().enumerate() {
        roots.add(certificate).map_err(|error| {
            fault(format!("holds a certificate that is no authority's (number {}): {error}", index + 1))
        })?;
    }
    Ok(roots)
}
