//! Certificates and keys from PEM files.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::Path,
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Largest file that is read, in bytes.
const FILE_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// The content of a file; the error continues a sentence that begins with its path.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let length = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?.len();
    if length > FILE_MAX_BYTES {
        return Err(format!("has {length} bytes, more than the {FILE_MAX_BYTES} that a file of certificates may have"));
    }
    std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))
}

/// A number that stands for the content of files, in their order. A file that cannot be read counts
/// as another content.
pub(super) fn digest<'a>(files: impl IntoIterator<Item = &'a Path>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        read(file).ok().hash(&mut hasher);
    }
    hasher.finish()
}

/// Every certificate in a PEM text: at least one, each well-formed.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("is not PEM: {error}"))?;
    if found.is_empty() {
        return Err("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)".into());
    }
    for (index, certificate) in found.iter().enumerate() {
        X509Certificate::from_der(certificate)
            .map_err(|error| format!("holds a certificate that cannot be read (number {}): {error}", index + 1))?;
    }
    Ok(found)
}

/// The private key in a PEM text.
pub(super) fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| "holds no private key in PEM (-----BEGIN PRIVATE KEY-----) without a password".into())
}
