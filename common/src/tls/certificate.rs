//! A server's certificate with its key, read from files and checked: the key belongs to the
//! certificate, and the chain is in order.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    crypto::ring,
    pki_types::CertificateDer,
    sign::{CertifiedKey, SigningKey},
};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::{TlsFault, ocsp, pem};

const CERTIFICATE: &str = "certificate_file";
const KEY: &str = "key_file";
const OCSP: &str = "ocsp_file";

/// The files of a certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// The certificate, and behind it those of the authorities between it and a root.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// The authority's answer about the certificate's revocation (OCSP, DER), for clients that ask.
    pub ocsp: Option<PathBuf>,
    /// The order that the files come from; none if somebody else writes them.
    pub order: Option<CertificateOrder>,
}

/// An order of a certificate. Its files are missing until the authority has issued it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateOrder {
    /// Name of the authority.
    pub authority: Arc<str>,
    /// Names that the certificate is to be valid for, in lower case.
    pub hosts: Vec<String>,
}

/// A certificate that a server can prove itself with.
#[derive(Debug, Clone)]
pub struct ServerCertificate {
    /// The files that it comes from.
    pub files: CertificateFiles,
    /// Names that it is valid for, in lower case; a wildcard is written `*.example.com`.
    pub names: Vec<String>,
    /// The begin of its validity, in seconds since 1970.
    pub not_before: i64,
    /// The end of its validity, in seconds since 1970.
    pub not_after: i64,
    pub(super) key: Arc<CertifiedKey>,
}

impl CertificateFiles {
    /// Each of the files, in a fixed order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.certificate), Some(&self.key), self.ocsp.as_ref()].into_iter().flatten().map(PathBuf::as_path)
    }
}

impl ServerCertificate {
    /// Reads and checks the files.
    pub fn load(files: &CertificateFiles) -> Result<Self, TlsFault> {
        let of_certificate = |reason: String| TlsFault::new(CERTIFICATE, &files.certificate, reason);
        let of_key = |reason: String| TlsFault::new(KEY, &files.key, reason);
        let chain = pem::read(&files.certificate).and_then(|pem| pem::certificates(&pem)).map_err(of_certificate)?;
        let key = pem::read(&files.key).and_then(|pem| pem::key(&pem)).map_err(of_key)?;
        let key = ring::sign::any_supported_type(&key)
            .map_err(|error| of_key(format!("holds a key of a kind that is not supported: {error}")))?;
        check_key(&chain, &key, &files.certificate).map_err(of_key)?;
        check_order(&chain).map_err(of_certificate)?;
        let Leaf { names, not_before, not_after } = read_leaf(&chain[0]).map_err(of_certificate)?;
        let mut key = CertifiedKey::new(chain, key);
        if let Some(ocsp) = &files.ocsp {
            key.ocsp = Some(ocsp::read(ocsp).map_err(|reason| TlsFault::new(OCSP, ocsp, reason))?);
        }
        Ok(Self { files: files.clone(), names, not_before, not_after, key: Arc::new(key) })
    }

    /// The certificate without those of its issuers.
    pub fn leaf(&self) -> &CertificateDer<'static> {
        &self.key.cert[0]
    }

    /// Returns true if its validity has ended by `now`, in seconds since 1970.
    pub const fn has_expired(&self, now: i64) -> bool {
        self.not_after < now
    }
}

/// Checks that the key belongs to the first certificate.
fn check_key(chain: &[CertificateDer<'static>], key: &Arc<dyn SigningKey>, certificate: &Path) -> Result<(), String> {
    let belongs_to = |certificate: &CertificateDer<'static>| {
        CertifiedKey::new(vec![certificate.clone()], Arc::clone(key)).keys_match().is_ok()
    };
    match chain.iter().position(belongs_to) {
        Some(0) => Ok(()),
        Some(index) => Err(format!(
            "belongs to certificate number {} in {}: the chain is in the wrong order, put that certificate first",
            index + 1,
            certificate.display()
        )),
        None => Err(format!("does not belong to the certificate in {}", certificate.display())),
    }
}

/// Checks that each certificate is followed by that of its issuer.
fn check_order(chain: &[CertificateDer<'static>]) -> Result<(), String> {
    for (index, pair) in chain.windows(2).enumerate() {
        let (lower, upper) = (parse(&pair[0])?, parse(&pair[1])?);
        if lower.issuer().as_raw() != upper.subject().as_raw() {
            return Err(format!(
                "has its certificates in the wrong order: number {} is not the issuer of number {}. Put each \
                 certificate before that of its issuer",
                index + 2,
                index + 1
            ));
        }
    }
    Ok(())
}

/// The names of a certificate and its validity, in seconds since 1970.
struct Leaf {
    names: Vec<String>,
    not_before: i64,
    not_after: i64,
}

fn read_leaf(certificate: &CertificateDer<'static>) -> Result<Leaf, String> {
    let parsed = parse(certificate)?;
    let names = parsed.subject_alternative_name().map_err(|error| format!("has names that cannot be read: {error}"))?;
    let names = names.iter().flat_map(|names| &names.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    let validity = parsed.validity();
    Ok(Leaf {
        names: names.collect(),
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
    })
}

fn parse<'a>(certificate: &'a CertificateDer<'static>) -> Result<X509Certificate<'a>, String> {
    let parsed = X509Certificate::from_der(certificate);
    parsed.map(|(_, parsed)| parsed).map_err(|error| format!("holds a certificate that cannot be read: {error}"))
}
