//! Tenants: the companies and people who use the API, in a tree of root, resellers and customers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    id::TenantId,
    time::{Micros, Zone},
};

/// Longest name of a tenant or a key, in characters.
pub const NAME_MAX_CHARS: usize = 200;

/// A tenant as it stands in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its identifier.
    pub id: TenantId,
    /// The tenant above; only a root has none.
    pub parent: Option<TenantId>,
    /// Its place in the tree.
    pub kind: TenantKind,
    /// What people call it.
    pub name: String,
    /// Whether its keys are served.
    pub status: TenantStatus,
    /// The clock on which its billing periods start and end; fixed at creation, as usage is already filed by it.
    pub zone: Zone,
    /// When it was created.
    pub created_at: Micros,
    /// Counts its changes, from 1.
    pub revision: i64,
}

/// A tenant's place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TenantKind {
    /// The company that sells the API.
    Root,
    /// Sells it on to customers of its own.
    Reseller,
    /// Uses it.
    Customer,
}

/// Whether a tenant is served. A suspended tenant's whole subtree is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TenantStatus {
    /// Served.
    Active,
    /// Refused until resumed.
    Suspended,
    /// Refused for good. What it used stays on the books.
    Deleted,
}

/// The word is not one of those that are known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not a {what}: expected one of {expected}")]
pub struct UnknownWord {
    what: &'static str,
    expected: &'static str,
    word: String,
}

impl UnknownWord {
    /// `word` was read where a `what`, one of `expected`, had to stand.
    pub fn new(what: &'static str, expected: &'static str, word: &str) -> Self {
        Self { what, expected, word: word.chars().take(64).collect() }
    }
}

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing but white space.
    #[error("name is empty")]
    Empty,
    /// More than [`NAME_MAX_CHARS`] characters.
    #[error("name has {0} characters; at most {NAME_MAX_CHARS} are allowed")]
    TooLong(usize),
    /// A control character, which could forge log lines and terminal output.
    #[error("name contains the control character {0:?}")]
    ControlCharacter(char),
}

/// Checks a name that people give to a tenant or a key.
pub fn validate_name(name: &str) -> Result<(), NameError> {
    if name.trim().is_empty() {
        return Err(NameError::Empty);
    }
    let length = name.chars().count();
    if length > NAME_MAX_CHARS {
        return Err(NameError::TooLong(length));
    }
    name.chars()
        .find(|character| character.is_control())
        .map_or(Ok(()), |control| Err(NameError::ControlCharacter(control)))
}

// === impl TenantKind ===

impl TenantKind {
    /// The word used in the store, in files and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Reseller => "reseller",
            Self::Customer => "customer",
        }
    }
}

impl fmt::Display for TenantKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for TenantKind {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "root" => Ok(Self::Root),
            "reseller" => Ok(Self::Reseller),
            "customer" => Ok(Self::Customer),
            _ => Err(UnknownWord::new("tenant kind", "root, reseller, customer", word)),
        }
    }
}

// === impl TenantStatus ===

impl TenantStatus {
    /// The word used in the store, in files and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }
}

impl fmt::Display for TenantStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for TenantStatus {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "active" => Ok(Self::Active),
            "suspended" => Ok(Self::Suspended),
            "deleted" => Ok(Self::Deleted),
            _ => Err(UnknownWord::new("tenant status", "active, suspended, deleted", word)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_forge_output_are_refused() {
        assert_eq!(validate_name("Acme GmbH"), Ok(()));
        assert_eq!(validate_name("  "), Err(NameError::Empty));
        assert_eq!(validate_name("a\u{1b}[2J"), Err(NameError::ControlCharacter('\u{1b}')));
        assert_eq!(validate_name(&"x".repeat(10_000)), Err(NameError::TooLong(10_000)));
    }
}
