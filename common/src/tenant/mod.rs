//! Tenants: the companies and people who use the API, in a tree of root, resellers and customers.

pub mod lifecycle;
mod list;
mod parents;
mod place;
pub(crate) mod row;
mod update;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use self::{
    list::{TenantAccount, TenantFilter},
    parents::TenantParent,
    update::TenantUpdate,
};
use crate::{
    dunning::Unpaid,
    id::TenantId,
    time::{Micros, Zone},
    word::UnknownWord,
};

/// Longest chain from a root down to a tenant, both counted.
pub const TENANT_DEPTH_MAX: i64 = 5;

/// A tenant as it stands in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its identifier.
    pub id: TenantId,
    /// The tenant above; only a root has none.
    pub parent: Option<TenantId>,
    /// Its place in the tree.
    pub kind: TenantKind,
    /// Name shown to people.
    pub name: String,
    /// Status that decides whether its keys are served.
    pub status: TenantStatus,
    /// The clock on which its billing periods start and end; fixed at creation, as usage is already
    /// filed by it.
    pub zone: Zone,
    /// Time of creation.
    pub created_at: Micros,
    /// Counts its changes, from 1.
    pub revision: i64,
    /// The invoice because of which it is refused until that is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpaid: Option<Unpaid>,
}

/// A tenant's place in the tree: a root sells the API, a reseller sells it on, a customer uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum TenantKind {
    /// The company that sells the API.
    Root,
    /// Sells it on to customers of its own.
    Reseller,
    /// Uses it.
    Customer,
}

/// Status of a tenant. A suspended tenant's whole subtree is refused; a deleted tenant is kept for
/// its bills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum TenantStatus {
    /// Served.
    Active,
    /// Refused until resumed.
    Suspended,
    /// Refused for good. What it used stays on the books.
    Deleted,
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
