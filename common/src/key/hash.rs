//! Keyed hashes of secrets: HMAC-SHA-256 under a pepper that the store never sees.
//!
//! A copy of the database is then useless for finding keys, and whoever can only write to the
//! database cannot plant a key that works.

use std::{
    fmt,
    hash::{Hash, Hasher},
    path::Path,
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::secret::Secret;

/// Shortest pepper that is accepted, in bytes.
const PEPPER_MIN_BYTES: usize = 16;

/// The reason why there is no usable pepper.
#[derive(Debug, thiserror::Error)]
pub enum PepperError {
    /// Too short to protect anything.
    #[error(
        "pepper has {0} bytes; at least {PEPPER_MIN_BYTES} are needed (32 random ones are best: `openssl rand -hex 32`)"
    )]
    TooShort(usize),
    /// The file that should hold it cannot be read.
    #[error(
        "cannot read the pepper from {path}: {source}; set `pepper_file` or the environment variable TOLLGATE_PEPPER"
    )]
    Unreadable {
        /// The file named in the configuration.
        path: String,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// Neither a file nor the environment names one.
    #[error("no pepper is configured: set `pepper_file` or the environment variable TOLLGATE_PEPPER")]
    Missing,
}

/// The secret under which keys are hashed. It never leaves the process.
#[derive(Clone)]
pub struct Pepper {
    id: String,
    keyed: Hmac<Sha256>,
}

/// The keyed hash of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyHash([u8; 32]);

/// Tells whether something was written by a holder of the pepper, and not changed since.
#[derive(Clone)]
pub struct Seal(Hmac<Sha256>);

/// The bearer token with which a gateway hands usage to `billing`, derived from the pepper that
/// both hold.
#[derive(Clone)]
pub struct IngestToken(String);

impl Pepper {
    /// A pepper from its bytes; surrounding white space (a file's last newline) does not count.
    pub fn new(bytes: &[u8]) -> Result<Self, PepperError> {
        let bytes = bytes.trim_ascii();
        if bytes.len() < PEPPER_MIN_BYTES {
            return Err(PepperError::TooShort(bytes.len()));
        }
        let Ok(keyed) = Hmac::<Sha256>::new_from_slice(bytes) else {
            return Err(PepperError::TooShort(bytes.len()));
        };
        let mut unnamed = Self { id: String::new(), keyed };
        let fingerprint = unnamed.mac(b"tollgate pepper id");
        unnamed.id = hex(&fingerprint[..4]);
        Ok(unnamed)
    }

    /// The pepper from the environment variable's value if there is one, else from the file.
    pub fn load(environment: Option<&str>, file: Option<&Path>) -> Result<Self, PepperError> {
        match (environment, file) {
            (Some(value), _) => Self::new(value.as_bytes()),
            (None, Some(path)) => {
                let bytes = std::fs::read(path)
                    .map_err(|source| PepperError::Unreadable { path: path.display().to_string(), source })?;
                Self::new(&bytes)
            }
            (None, None) => Err(PepperError::Missing),
        }
    }

    /// Eight hex digits that tell peppers apart without revealing any.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The keyed hash of a secret.
    pub fn hash(&self, secret: &Secret) -> KeyHash {
        self.hash_bytes(secret.as_bytes())
    }

    /// The keyed hash of the bytes of a secret of any kind.
    pub(crate) fn hash_bytes(&self, secret: &[u8]) -> KeyHash {
        KeyHash(self.mac(secret))
    }

    /// The token that gateways and `billing` derive alike.
    pub fn ingest_token(&self) -> IngestToken {
        IngestToken(hex(&self.mac(b"tollgate usage ingest")))
    }

    /// A secret of its own for each label. A label begins with `tollgate`, as no secret of a key does.
    pub(crate) fn derive(&self, label: &str) -> [u8; 32] {
        self.mac(label.as_bytes())
    }

    /// Seals and checks the files from which gateways start while the store is down.
    pub fn snapshot_seal(&self) -> Seal {
        let mut keyed = self.keyed.clone();
        keyed.update(b"tollgate catalog snapshot");
        // An HMAC accepts keys of every length; the pepper itself is the one that is taken if this
        // one did not.
        Seal(Hmac::new_from_slice(&keyed.clone().finalize().into_bytes()).unwrap_or(keyed))
    }

    fn mac(&self, message: &[u8]) -> [u8; 32] {
        let mut keyed = self.keyed.clone();
        keyed.update(message);
        keyed.finalize().into_bytes().into()
    }
}

impl Seal {
    /// Puts more under the seal.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The seal over all that was put under it.
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into_bytes().into()
    }

    /// Returns true if `seal` is that seal, in constant time.
    pub fn fits(self, seal: &[u8; 32]) -> bool {
        self.finish().ct_eq(seal).into()
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Seal(..)")
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Pepper({})", self.id)
    }
}

impl Hash for KeyHash {
    /// Hands on its first 8 bytes: without the pepper nobody can choose them, so they spread as
    /// well as any hash of them.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [first, ..] = self.0.as_chunks::<8>().0 else {
            return;
        };
        state.write_u64(u64::from_le_bytes(*first));
    }
}

impl KeyHash {
    /// The hash from its 64 hex digits, as stored.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The hash from its bytes, as a snapshot holds them.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 hex digits, for the store.
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// Returns true if two hashes are equal, in a time that does not depend on where they differ.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyHash(..)")
    }
}

impl IngestToken {
    /// The token itself, for the `Authorization` header.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns true if `presented` is this token, in constant time.
    pub fn matches(&self, presented: &str) -> bool {
        self.0.as_bytes().ct_eq(presented.as_bytes()).into()
    }
}

impl fmt::Debug for IngestToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("IngestToken(..)")
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Mode;

    #[test]
    fn hash_depends_on_pepper() {
        let secret = Secret::generate(Mode::Live);
        let one = Pepper::new(b"0123456789abcdef").unwrap();
        let other = Pepper::new(b"0123456789abcdeg").unwrap();
        assert!(one.hash(&secret).matches(&one.hash(&secret)));
        assert!(!one.hash(&secret).matches(&other.hash(&secret)));
        assert_ne!(one.id(), other.id());
        assert_eq!(KeyHash::from_hex(&one.hash(&secret).to_hex()), Some(one.hash(&secret)));
    }

    #[test]
    fn trailing_newline_of_pepper_file_is_ignored() {
        assert_eq!(Pepper::new(b"0123456789abcdef\n").unwrap().id(), Pepper::new(b"0123456789abcdef").unwrap().id());
    }

    #[test]
    fn weak_or_missing_pepper_is_refused() {
        assert!(matches!(Pepper::new(b"short"), Err(PepperError::TooShort(5))));
        assert!(matches!(Pepper::load(None, None), Err(PepperError::Missing)));
        let unreadable = Pepper::load(None, Some(Path::new("/nowhere/pepper"))).unwrap_err();
        assert!(unreadable.to_string().contains("/nowhere/pepper"));
    }
}
