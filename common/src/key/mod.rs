//! API keys: their format, the keyed hash that is stored of them, and the record that says what they may do.
//!
//! The secret exists in two places only: in the customer's hands and, for the moment of its creation, in
//! [`Secret`]. Everything else works on [`KeyHash`].

mod hash;
mod secret;

use std::{fmt, str::FromStr};

pub use hash::{IngestToken, KeyHash, Pepper, PepperError};
pub use secret::{Secret, SecretError};
use serde::{Deserialize, Serialize};

use crate::{
    id::{KeyId, TenantId},
    tenant::UnknownWord,
    time::Micros,
};

/// Longest grace that a rotated key may live on, in seconds.
pub const ROTATION_GRACE_MAX_SECONDS: u32 = 86_400;

/// A key as it stands in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its public identifier.
    pub id: KeyId,
    /// Whose usage it is.
    pub tenant: TenantId,
    /// What people call it.
    pub name: String,
    /// Live usage is billed, test usage is metered only.
    pub mode: Mode,
    /// Keyed hash of the secret; never shown.
    #[serde(skip)]
    pub hash: KeyHash,
    /// Which pepper the hash was made with.
    pub pepper_id: String,
    /// The secret's last four characters, so that people can tell keys apart.
    pub hint: String,
    /// When it was created.
    pub created_at: Micros,
    /// From this instant on it is refused.
    pub expires_at: Option<Micros>,
    /// When it was revoked; refused from then on.
    pub revoked_at: Option<Micros>,
    /// The key that this one replaced by rotation.
    pub replaces: Option<KeyId>,
}

/// Whether the usage of a key is billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Metered and billed.
    Live,
    /// Metered, never billed.
    Test,
}

/// How a key stands at some instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyStatus {
    /// Served.
    Active,
    /// Past its expiry.
    Expired,
    /// Revoked by an admin.
    Revoked,
}

impl Key {
    /// How the key stands at `now`.
    pub fn status(&self, now: Micros) -> KeyStatus {
        if self.revoked_at.is_some() {
            KeyStatus::Revoked
        } else if self.expires_at.is_some_and(|expiry| expiry <= now) {
            KeyStatus::Expired
        } else {
            KeyStatus::Active
        }
    }
}

// === impl Mode ===

impl Mode {
    /// The word used in the store, in files and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "live" => Ok(Self::Live),
            "test" => Ok(Self::Test),
            _ => Err(UnknownWord::new("key mode", "live, test", word)),
        }
    }
}

// === impl KeyStatus ===

impl fmt::Display for KeyStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        })
    }
}
