//! Secrets of sessions: the one in a cookie, `ses_`, and the one in a sign-in link, `lnk_`; 26 random
//! characters and 6 of checksum, as keys have them.

use std::fmt;

use crate::key::{
    KeyHash, Pepper,
    secret_text::{self, TextError},
};

const PREFIX: usize = 4;
const LENGTH: usize = PREFIX + secret_text::LENGTH;

/// Kind of secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionSecretKind {
    /// The secret in a cookie.
    Cookie,
    /// The secret in a sign-in link, which is redeemed once.
    Link,
}

/// The reason why a text is no secret of a session, found without any look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionSecretError {
    /// It starts with neither prefix.
    #[error("secret of a session must start with `{0}`")]
    Prefix(&'static str),
    /// The text after the prefix is malformed.
    #[error("secret of a session {0}")]
    Text(#[from] TextError),
}

/// A well-formed secret. It shows itself once, when asked by [`SessionSecret::expose`], and never in
/// debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionSecret([u8; LENGTH]);

impl SessionSecretKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Cookie => "ses_",
            Self::Link => "lnk_",
        }
    }
}

impl SessionSecret {
    /// A new secret: 26 characters from the operating system's randomness, 134 bits.
    pub fn generate(kind: SessionSecretKind) -> Self {
        let mut bytes = [0; LENGTH];
        bytes[..PREFIX].copy_from_slice(kind.prefix().as_bytes());
        secret_text::fill(&mut bytes, PREFIX);
        Self(bytes)
    }

    /// Checks prefix, length, alphabet and checksum, in this order.
    pub fn parse(kind: SessionSecretKind, text: &[u8]) -> Result<Self, SessionSecretError> {
        if !text.starts_with(kind.prefix().as_bytes()) {
            return Err(SessionSecretError::Prefix(kind.prefix()));
        }
        Ok(Self(secret_text::check(text, PREFIX)?))
    }

    /// The secret itself, to be shown once.
    pub fn expose(&self) -> &str {
        // Every constructor admits ASCII only.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Pepper {
    /// The keyed hash of a session's secret.
    pub fn hash_session(&self, secret: &SessionSecret) -> KeyHash {
        self.hash_bytes(&secret.0)
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::{
        SessionSecretKind::{Cookie, Link},
        *,
    };

    #[test]
    fn secret_of_a_link_is_no_secret_of_a_cookie() {
        let link = SessionSecret::generate(Link);
        assert_eq!(SessionSecret::parse(Link, link.expose().as_bytes()), Ok(link.clone()));
        assert_eq!(SessionSecret::parse(Cookie, link.expose().as_bytes()), Err(SessionSecretError::Prefix("ses_")));
        assert!(SessionSecret::parse(Link, &link.expose().as_bytes()[..20]).is_err());
        assert_eq!(format!("{link:?}"), "SessionSecret(..)");
    }
}
