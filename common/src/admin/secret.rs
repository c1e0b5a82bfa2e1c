//! The secret of an admin key: `adm_`, 26 random characters, and 6 of checksum, as API keys have
//! them.

use std::fmt;

use crate::key::{
    KeyHash, Pepper,
    secret_text::{self, TextError},
};

const PREFIX: &str = "adm_";
const LENGTH: usize = PREFIX.len() + secret_text::LENGTH;

/// The reason why a text is no admin key, found without any look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdminSecretError {
    /// It does not start with `adm_`.
    #[error("admin key must start with {PREFIX}")]
    Prefix,
    /// The text after the prefix is malformed.
    #[error("admin key {0}")]
    Text(#[from] TextError),
}

/// A well-formed admin key. It shows itself once, when asked by [`AdminSecret::expose`], and never
/// in debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminSecret([u8; LENGTH]);

impl AdminSecret {
    /// A new key: 26 characters from the operating system's randomness, 134 bits.
    pub fn generate() -> Self {
        let mut bytes = [0; LENGTH];
        bytes[..PREFIX.len()].copy_from_slice(PREFIX.as_bytes());
        secret_text::fill(&mut bytes, PREFIX.len());
        Self(bytes)
    }

    /// Checks prefix, length, alphabet and checksum, in this order.
    pub fn parse(text: &[u8]) -> Result<Self, AdminSecretError> {
        if !text.starts_with(PREFIX.as_bytes()) {
            return Err(AdminSecretError::Prefix);
        }
        Ok(Self(secret_text::check(text, PREFIX.len())?))
    }

    /// The key itself, to be shown once.
    pub fn expose(&self) -> &str {
        // Every constructor admits ASCII only.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The last four characters: enough to tell keys apart, useless to guess one.
    pub fn hint(&self) -> &str {
        &self.expose()[LENGTH - 4..]
    }
}

impl Pepper {
    /// The keyed hash of an admin key's secret.
    pub fn hash_admin(&self, secret: &AdminSecret) -> KeyHash {
        self.hash_bytes(&secret.0)
    }
}

impl fmt::Debug for AdminSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AdminSecret(adm_..{})", self.hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_well_formed_admin_key_parses() {
        let secret = AdminSecret::generate();
        assert_eq!(AdminSecret::parse(secret.expose().as_bytes()), Ok(secret.clone()));
        let mut typo = secret.expose().to_owned().into_bytes();
        typo[10] = if typo[10] == b'a' { b'b' } else { b'a' };
        assert_eq!(AdminSecret::parse(&typo), Err(AdminSecretError::Text(TextError::Checksum)));
        let api_key = crate::key::Secret::generate(crate::key::Mode::Live);
        assert_eq!(AdminSecret::parse(api_key.expose().as_bytes()), Err(AdminSecretError::Prefix));
        assert!(!format!("{secret:?}").contains(&secret.expose()[..30]));
    }
}
