//! An authority, and the certificates that it is asked for.

use std::{path::PathBuf, sync::Arc};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use super::Storage;

/// Most names of one certificate: what authorities accept.
pub const HOSTS_MAX: usize = 100;

/// A way to prove to an authority that a name is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// A request of the authority without TLS, on port 80.
    Http01,
    /// A handshake of the authority, on port 443 (RFC 8737).
    TlsAlpn01,
}

/// A customer of the authority to whom the account is bound (RFC 8555, section 7.3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalAccount {
    /// Identifier of the key.
    pub key_id: String,
    /// File with the key, in base64url.
    pub key_file: PathBuf,
}

/// An authority that certificates are ordered from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthoritySettings {
    /// Its name in the configuration, in logs and in metrics.
    pub name: Arc<str>,
    /// URL of its directory.
    pub directory: String,
    /// Addresses that it may write to, each as `mailto:..`.
    pub contact: Vec<String>,
    /// Folder of everything that is kept.
    pub storage: PathBuf,
    /// The way in which names are proved.
    pub challenge: Challenge,
    /// The kind of certificate that is asked for; the authority's own choice if none.
    pub profile: Option<String>,
    /// File with the authorities that vouch for its server; those that the system trusts if none.
    pub ca_file: Option<PathBuf>,
    /// The customer that the account is bound to.
    pub external_account: Option<ExternalAccount>,
    /// The certificates, each by its names in the order of the file.
    pub orders: Vec<Vec<String>>,
}

impl AuthoritySettings {
    /// The folder with the answers to pending challenges of this kind; none if the authority is asked
    /// for another kind.
    pub fn challenges(&self, kind: Challenge) -> Option<PathBuf> {
        (self.challenge == kind).then(|| Storage::new(&self.storage, &self.directory).challenges(kind))
    }
}

impl Challenge {
    /// The name of the challenge in settings and in the protocol.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

impl ExternalAccount {
    /// Reads the key; the error names the file.
    pub fn read_key(&self) -> Result<Vec<u8>, String> {
        let fault = |reason: String| format!("`{}` {reason}", self.key_file.display());
        let text =
            std::fs::read_to_string(&self.key_file).map_err(|error| fault(format!("cannot be read: {error}")))?;
        let digits = text.trim().trim_end_matches('=');
        let key = BASE64_URL_SAFE_NO_PAD
            .decode(digits)
            .map_err(|error| fault(format!("holds no key in base64url: {error}")))?;
        if key.is_empty() { Err(fault("is empty".into())) } else { Ok(key) }
    }
}
