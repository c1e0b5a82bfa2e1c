//! TLS of listeners: certificates from files, chosen by the name that a client asks for, and
//! replaced while the process runs.
//!
//! | module | what it does |
//! |---|---|
//! | [`pem`] | certificates and keys from PEM files |
//! | [`certificate`] | a server's certificate with its key, checked |
//! | [`ocsp`] | answers of authorities that certificates are handed out with |
//! | [`names`] | the certificate for a name |
//! | [`challenge`] | answers to authorities that ask whether a name is ours |
//! | [`clients`] | the authorities whose client certificates are accepted |
//! | [`subject`] | a client's certificate in words |
//! | [`server`] | all of that as the settings of a listener |
//! | [`follow`] | reads the files again when they change |
//! | [`listener`] | a listener that has one set of settings for as long as the process |
//! | [`file`](mod@file) | those settings as configuration files write them |
//! | [`client`] | a client's own certificate and the authorities that it trusts |
//! | [`metrics`] | expiry times |
//!
//! Invariant: a listener always has certificates that were checked. Files that cannot be used are
//! told, and the certificates in force stay.

pub mod certificate;
pub mod challenge;
pub mod client;
pub mod clients;
pub mod file;
pub mod follow;
pub mod listener;
pub mod metrics;
pub mod names;
mod ocsp;
pub mod pem;
pub mod server;
pub mod subject;
#[cfg(test)]
mod tests;

pub use certificate::{CertificateFiles, CertificateOrder, ServerCertificate};
pub use client::{ClientFiles, ClientTls};
pub use clients::ClientAuthority;
pub use file::TlsFile;
pub use follow::Following;
pub use listener::ListenerTls;
pub use server::{Clients, MinVersion, ServerTls, TlsSettings};
pub use subject::ClientCertificate;

/// A setting of TLS that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}`: `{value}` {reason}")]
pub struct TlsFault {
    /// Index of the certificate that it is about, if it is about one.
    pub certificate: Option<usize>,
    /// Name of the setting, as in `key_file`.
    pub setting: &'static str,
    /// Value of the setting.
    pub value: String,
    /// The reason, which continues a sentence that begins with the value.
    pub reason: String,
}

impl TlsFault {
    pub(crate) fn new(setting: &'static str, value: &std::path::Path, reason: impl Into<String>) -> Self {
        Self { certificate: None, setting, value: value.display().to_string(), reason: reason.into() }
    }
}
