//! The bootstrap token, for setting up the first tenant and its first owner. It is refused once
//! there was an owner: an admin key with this role, or a person whose token names it.

use std::{fmt, path::Path};

use subtle::ConstantTimeEq as _;

use super::{Access, Principal, credential::Refused};

/// Shortest token that is accepted, in bytes.
const MIN_BYTES: usize = 16;

/// Reason why the bootstrap token is unusable.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapTokenError {
    /// The token is too short to be safe.
    #[error(
        "the bootstrap token has {0} bytes; at least {MIN_BYTES} are needed (`openssl rand -hex 32` makes a good one)"
    )]
    TooShort(usize),
    /// The token has characters that no header can have.
    #[error("the bootstrap token may only contain visible ASCII characters")]
    NotVisible,
    /// The file of the token cannot be read.
    #[error("cannot read the bootstrap token from {path}: {source}; set `access.bootstrap_token_file` to another file")]
    Unreadable {
        /// The file named in the settings.
        path: String,
        /// Error of the operating system.
        source: std::io::Error,
    },
}

/// The secret of the first admin, before there is an admin key.
#[derive(Clone, PartialEq, Eq)]
pub struct BootstrapToken(String);

impl BootstrapToken {
    /// Parses a token; surrounding white space (a file's last newline) does not count.
    pub fn new(bytes: &[u8]) -> Result<Self, BootstrapTokenError> {
        let bytes = bytes.trim_ascii();
        if bytes.len() < MIN_BYTES {
            return Err(BootstrapTokenError::TooShort(bytes.len()));
        }
        match std::str::from_utf8(bytes) {
            Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Self(text.to_owned())),
            _ => Err(BootstrapTokenError::NotVisible),
        }
    }

    /// Loads the token from the value of the environment variable, else from the file; none if
    /// neither is set.
    pub fn load(environment: Option<&str>, file: Option<&Path>) -> Result<Option<Self>, BootstrapTokenError> {
        match (environment, file) {
            (Some(value), _) => Self::new(value.as_bytes()).map(Some),
            (None, Some(path)) => {
                let bytes = std::fs::read(path)
                    .map_err(|source| BootstrapTokenError::Unreadable { path: path.display().to_string(), source })?;
                Self::new(&bytes).map(Some)
            }
            (None, None) => Ok(None),
        }
    }

    fn matches(&self, presented: &str) -> bool {
        self.0.as_bytes().ct_eq(presented.as_bytes()).into()
    }
}

impl fmt::Debug for BootstrapToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("BootstrapToken(..)")
    }
}

impl Access {
    /// Returns the bootstrap principal if the token matches and no owner exists yet.
    pub(super) async fn bootstrap_token(&self, presented: &str) -> Result<Principal, Refused> {
        if !self.bootstrap.as_ref().is_some_and(|token| token.matches(presented)) {
            return Err(Refused::unknown("not a credential of this interface"));
        }
        if self.store.has_owner().await? {
            return Err(Refused::known("the bootstrap token has served its purpose: there is an owner, act as one"));
        }
        Ok(Principal::bootstrap())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_token_is_refused_and_trailing_newline_is_ignored() {
        assert!(matches!(BootstrapToken::new(b"short"), Err(BootstrapTokenError::TooShort(5))));
        assert!(matches!(BootstrapToken::new(b"0123456789 abcdef"), Err(BootstrapTokenError::NotVisible)));
        let token = BootstrapToken::new(b"0123456789abcdef\n").unwrap();
        assert!(token.matches("0123456789abcdef") && !token.matches("0123456789abcdeg") && !token.matches(""));
        assert!(!format!("{token:?}").contains("0123"));
    }

    #[test]
    fn missing_token_file_is_named_and_no_setting_is_no_token() {
        let error = BootstrapToken::load(None, Some(Path::new("/nowhere/token"))).unwrap_err().to_string();
        assert!(error.contains("/nowhere/token") && error.contains("bootstrap_token_file"), "{error}");
        assert_eq!(BootstrapToken::load(None, None).unwrap(), None);
    }
}
