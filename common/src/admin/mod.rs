//! Administration: roles at tenants, and the admin keys of machines.
//!
//! A role is held at a tenant and reaches its subtree, nothing else. An admin key has a role, and
//! may be narrowed to some scopes of it. It is no API key: gateways do not know it, and its secret
//! has another prefix.

mod create;
mod list;
mod owner;
pub(crate) mod revoke;
mod rotate;
mod row;
mod secret;

use std::{fmt, str::FromStr};

pub use create::NewAdminKey;
pub use list::AdminKeyFilter;
pub use rotate::AdminKeyRotation;
pub use secret::{AdminSecret, AdminSecretError};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    acting::Creator,
    id::{AdminKeyId, TenantId},
    key::{KeyHash, KeyStatus},
    time::Micros,
    word::UnknownWord,
};

/// Role of a person or a machine at a tenant and below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything, with admin keys and deletion.
    Owner,
    /// Tenants, keys and plans.
    Admin,
    /// Subscriptions and credit.
    Billing,
    /// Looking.
    Viewer,
}

/// One thing, or kind of things, and whether it may be changed: `keys:read`, `usage:read`,
/// `tenants:write`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AdminScope {
    /// Kind of things that the scope covers.
    pub area: AdminArea,
    /// True if the scope allows changes, which includes reading.
    pub writes: bool,
}

/// Kind of things that a scope covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AdminArea {
    /// Tenants and their limits.
    Tenants,
    /// Plans on offer.
    Plans,
    /// Subscriptions of tenants to plans.
    Subscriptions,
    /// API keys.
    Keys,
    /// Prepaid credit.
    Credit,
    /// Invoices, payments, billing details and the ledger.
    Invoices,
    /// Usage reports.
    Usage,
    /// The audit log.
    Audit,
    /// Admin keys.
    AdminKeys,
    /// Webhook endpoints, settings of mail, and the outbox.
    Notifications,
}

/// An admin key as it stands in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminKey {
    /// Its public identifier.
    pub id: AdminKeyId,
    /// Tenant at which the role is held.
    pub tenant: TenantId,
    /// Name shown to people.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Scopes that narrow the role; empty: the whole role.
    pub scopes: Vec<AdminScope>,
    /// Keyed hash of the secret; never shown.
    #[serde(skip)]
    pub hash: KeyHash,
    /// Id of the pepper that the hash was made with.
    pub pepper_id: String,
    /// The secret's last four characters.
    pub hint: String,
    /// Time of creation.
    pub created_at: Micros,
    /// From this instant on it is refused.
    pub expires_at: Option<Micros>,
    /// Time of revocation; refused from then on.
    pub revoked_at: Option<Micros>,
    /// The minute in which it was last accepted.
    pub last_used_at: Option<Micros>,
    /// Creator of the key; none if it was not recorded.
    #[serde(skip)]
    pub created_by: Option<Creator>,
}

impl AdminKey {
    /// Returns the status of the key at `now`.
    pub fn status(&self, now: Micros) -> KeyStatus {
        KeyStatus::at(now, self.expires_at, self.revoked_at)
    }

    /// Returns true if its scopes include this one.
    pub fn covers(&self, scope: AdminScope) -> bool {
        self.scopes.is_empty() || self.scopes.iter().any(|held| held.includes(scope))
    }
}

impl AdminScope {
    /// To read only.
    pub const fn read(area: AdminArea) -> Self {
        Self { area, writes: false }
    }

    /// To change, and to read.
    pub const fn write(area: AdminArea) -> Self {
        Self { area, writes: true }
    }

    /// Returns true if who has this has `other`.
    pub fn includes(self, other: Self) -> bool {
        self.area == other.area && (self.writes || !other.writes)
    }
}

/// The reason why scopes of an admin key are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminScopesError {
    /// More than there are.
    #[error("{0} scopes are too many: there are {SCOPES_MAX}")]
    TooMany(usize),
    /// Named twice.
    #[error("the scope {0} is given twice")]
    Twice(AdminScope),
}

/// Scopes that there are: to read and to write each area.
pub const SCOPES_MAX: usize = 2 * AdminArea::ALL.len();

/// Checks what an admin key is narrowed to.
pub fn validate_scopes(scopes: &[AdminScope]) -> Result<(), AdminScopesError> {
    if scopes.len() > SCOPES_MAX {
        return Err(AdminScopesError::TooMany(scopes.len()));
    }
    let mut rest = scopes;
    while let Some((scope, others)) = rest.split_first() {
        if others.contains(scope) {
            return Err(AdminScopesError::Twice(*scope));
        }
        rest = others;
    }
    Ok(())
}

impl AdminArea {
    /// Every area.
    pub const ALL: [Self; 10] = [
        Self::Tenants,
        Self::Plans,
        Self::Subscriptions,
        Self::Keys,
        Self::Credit,
        Self::Invoices,
        Self::Usage,
        Self::Audit,
        Self::AdminKeys,
        Self::Notifications,
    ];

    /// The word before the colon.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenants => "tenants",
            Self::Plans => "plans",
            Self::Subscriptions => "subscriptions",
            Self::Keys => "keys",
            Self::Credit => "credit",
            Self::Invoices => "invoices",
            Self::Usage => "usage",
            Self::Audit => "audit",
            Self::AdminKeys => "admin_keys",
            Self::Notifications => "notifications",
        }
    }
}

// === impl Role ===

impl Role {
    /// Every role, the mightiest first.
    pub const ALL: [Self; 4] = [Self::Owner, Self::Admin, Self::Billing, Self::Viewer];

    /// The word used in the store, in claims and in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Billing => "billing",
            Self::Viewer => "viewer",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == word)
            .ok_or_else(|| UnknownWord::new("role", "owner, admin, billing, viewer", word))
    }
}

// === impl AdminScope ===

impl fmt::Display for AdminScope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.area.as_str(), if self.writes { "write" } else { "read" })
    }
}

impl FromStr for AdminScope {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let unknown = || {
            let expected = "read or write of tenants, plans, subscriptions, keys, credit, invoices, usage, audit, \
                            admin_keys, notifications, as in `keys:read`";
            UnknownWord::new("scope", expected, word)
        };
        let (area, access) = word.split_once(':').ok_or_else(unknown)?;
        let area = AdminArea::ALL.into_iter().find(|known| known.as_str() == area).ok_or_else(unknown)?;
        match access {
            "read" => Ok(Self::read(area)),
            "write" => Ok(Self::write(area)),
            _ => Err(unknown()),
        }
    }
}

impl Serialize for AdminScope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AdminScope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_scope_includes_read_of_same_area_only() {
        let keys = AdminScope::write(AdminArea::Keys);
        assert!(keys.includes(AdminScope::read(AdminArea::Keys)) && keys.includes(keys));
        assert!(!AdminScope::read(AdminArea::Keys).includes(keys));
        assert!(!keys.includes(AdminScope::read(AdminArea::Usage)));
    }

    #[test]
    fn scopes_and_roles_read_back() {
        for area in AdminArea::ALL {
            for scope in [AdminScope::read(area), AdminScope::write(area)] {
                assert_eq!(scope.to_string().parse(), Ok(scope));
            }
        }
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert!("keys".parse::<AdminScope>().is_err() && "keys:own".parse::<AdminScope>().is_err());
    }
}
