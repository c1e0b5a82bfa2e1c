//! API keys: their format, the keyed hash that is stored of them, and the record that says what
//! they may do.
//!
//! The secret exists in two places only: in the customer's hands and, for the moment of its
//! creation, in [`Secret`]. Everything else works on [`KeyHash`].

mod change;
mod expiring;
mod hash;
mod list;
mod network;
mod pepper_check;
pub(crate) mod revoke;
mod rotate;
pub(crate) mod row;
mod secret;
pub(crate) mod secret_text;
mod used;

use std::{fmt, str::FromStr};

pub use change::{KeyUpdate, NewKey};
pub use expiring::NOTICE_SECONDS;
pub use hash::{IngestToken, KeyHash, Pepper, PepperError, Seal};
pub use ipnet::IpNet;
pub use list::KeyFilter;
pub use network::{NetworkError, parse_network};
pub use rotate::KeyRotation;
pub(crate) use rotate::end_of_replaced;
pub use secret::{Secret, SecretError};
pub use secret_text::TextError;
use serde::{Deserialize, Serialize};

use crate::{
    acting::Creator,
    id::{KeyId, TenantId},
    plan::is_slug,
    time::Micros,
    word::UnknownWord,
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
    /// Name shown to people.
    pub name: String,
    /// Live usage is billed, test usage is metered only.
    pub mode: Mode,
    /// Keyed hash of the secret; never shown.
    #[serde(skip)]
    pub hash: KeyHash,
    /// Id of the pepper that the hash was made with.
    pub pepper_id: String,
    /// The secret's last four characters, so that people can tell keys apart.
    pub hint: String,
    /// Time of creation.
    pub created_at: Micros,
    /// From this instant on it is refused.
    pub expires_at: Option<Micros>,
    /// Time of revocation; refused from then on.
    pub revoked_at: Option<Micros>,
    /// The key that this one replaced by rotation.
    pub replaces: Option<KeyId>,
    /// Creator of the key; none if it was not recorded.
    #[serde(skip)]
    pub created_by: Option<Creator>,
    /// Scopes; empty: the key may use every route. A route that asks for a scope is open to keys
    /// that have it.
    pub scopes: Vec<String>,
    /// Networks that may use it; empty: every address.
    pub allowed_ips: Vec<IpNet>,
    /// The minute in which a gateway last accepted it, reported once a minute.
    pub last_used_at: Option<Micros>,
    /// Counts its changes, from 1.
    pub revision: i64,
}

/// Mode of a key: `live` usage is billed, `test` usage is metered only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Metered and billed.
    Live,
    /// Metered, never billed.
    Test,
}

/// Status of a key at some instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
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
    /// Returns the status of the key at `now`.
    pub fn status(&self, now: Micros) -> KeyStatus {
        KeyStatus::at(now, self.expires_at, self.revoked_at)
    }
}

impl KeyStatus {
    /// Returns the status at `now` of a key with this expiry and this time of revocation.
    pub fn at(now: Micros, expires_at: Option<Micros>, revoked_at: Option<Micros>) -> Self {
        if revoked_at.is_some() {
            Self::Revoked
        } else if expires_at.is_some_and(|expiry| expiry <= now) {
            Self::Expired
        } else {
            Self::Active
        }
    }
}

/// The reason why scopes or networks of a key are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestrictionError {
    /// Not the name of a scope.
    #[error("`{0}` is not a scope: use 1 to 64 characters of a-z, 0-9, - and _")]
    Scope(String),
    /// Named twice.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// More than a key may carry.
    #[error("{found} {what} are too many: a key has at most {RESTRICTIONS_MAX}")]
    TooMany {
        /// `scopes` or `allowed_ips`.
        what: &'static str,
        /// Number found.
        found: usize,
    },
}

/// Most scopes, and most address ranges, of a key.
pub const RESTRICTIONS_MAX: usize = 32;

/// Checks what narrows a key.
pub fn validate_restrictions(scopes: &[String], allowed_ips: &[IpNet]) -> Result<(), RestrictionError> {
    for (what, found) in [("scopes", scopes.len()), ("allowed_ips", allowed_ips.len())] {
        if found > RESTRICTIONS_MAX {
            return Err(RestrictionError::TooMany { what, found });
        }
    }
    for (place, scope) in scopes.iter().enumerate() {
        if !is_slug(scope) {
            return Err(RestrictionError::Scope(scope.chars().take(80).collect()));
        }
        if scopes[..place].contains(scope) {
            return Err(RestrictionError::Twice(scope.clone()));
        }
    }
    Ok(())
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
