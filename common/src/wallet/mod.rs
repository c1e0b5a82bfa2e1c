//! Wallets: money that a tenant has in advance with the issuer of its invoices.
//!
//! Money comes into a wallet by grants, paid or promotional, and leaves it for invoices. Grants are
//! used in a stated order ([`rows`]): by priority, lowest number first; then the one that expires
//! soonest; then promotional before paid; then the oldest.
//!
//! Invariants: a movement is a row that never changes, and is posted in the ledger in its
//! transaction; a balance is the sum of movements, and equals the account `credit` of the ledger; no
//! grant goes below zero, and no wallet below its overdraft; an invoice uses credit once.

mod balance;
pub(crate) mod draw;
mod expire;
pub(crate) mod grant;
mod policy;
mod proof;
mod rows;
mod top_up;

use std::{fmt, str::FromStr};

pub use balance::WalletBalance;
pub use draw::CreditUse;
pub use expire::Expired;
pub use policy::{AutoTopUp, WalletPolicy};
pub use proof::WalletFault;
use serde::{Deserialize, Serialize};
pub use top_up::{TopUpStatus, WalletTopUp};

use crate::{
    id::{TenantId, WalletGrantId},
    money::{Currency, Money},
    time::Micros,
    word::UnknownWord,
};

/// Most of one grant, in minor units.
pub const GRANT_MINOR_MAX: i64 = 10_000_000_000_000;

/// Lowest priority of a grant.
pub const PRIORITY_MAX: u8 = 100;

/// Priority of a grant unless one is stated.
pub const PRIORITY_DEFAULT: u8 = 50;

/// The key of a wallet: one currency of a tenant with an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalletKey {
    /// The issuer of the invoices that the money is for.
    pub issuer: TenantId,
    /// The tenant that the money belongs to.
    pub tenant: TenantId,
    /// Its currency.
    pub currency: Currency,
}

/// Kind of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum GrantKind {
    /// The tenant has paid for it.
    Paid,
    /// It was given.
    Promotional,
}

/// Money to be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWalletGrant {
    /// The issuer; the tenant above unless named, and a root itself.
    pub issuer: Option<TenantId>,
    /// The tenant that the money belongs to.
    pub tenant: TenantId,
    /// The money.
    pub amount: Money,
    /// Paid or promotional.
    pub kind: GrantKind,
    /// Place in the order of use: 0 is used first.
    pub priority: u8,
    /// From this instant on it cannot be used.
    pub expires_at: Option<Micros>,
    /// Reference of the payment, unique for the tenant and its issuer: a repeated reference grants
    /// once.
    pub reference: String,
    /// Reason, if one is given.
    pub reason: Option<String>,
}

/// Money that was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WalletGrant {
    /// Its id.
    pub id: WalletGrantId,
    /// The issuer of the invoices that the money is for.
    pub issuer: TenantId,
    /// The tenant that the money belongs to.
    pub tenant: TenantId,
    /// The money.
    pub amount: Money,
    /// The rest of it.
    pub left: Money,
    /// Paid or promotional.
    pub kind: GrantKind,
    /// Place in the order of use: 0 is used first.
    pub priority: u8,
    /// Time of the grant.
    pub granted_at: Micros,
    /// From this instant on it cannot be used.
    pub expires_at: Option<Micros>,
    /// Reference of the payment.
    pub reference: String,
    /// Reason, if one was given.
    pub reason: Option<String>,
    /// Time at which it was taken back.
    pub voided_at: Option<Micros>,
    /// Reason for which it was taken back.
    pub void_reason: Option<String>,
}

impl GrantKind {
    /// The word in the store and in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Promotional => "promotional",
        }
    }
}

impl fmt::Display for GrantKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for GrantKind {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let known = [Self::Paid, Self::Promotional].into_iter().find(|kind| kind.as_str() == word);
        known.ok_or_else(|| UnknownWord::new("kind of grant", "paid, promotional", word))
    }
}

impl NewWalletGrant {
    /// A reference for a grant that has none of its own, unique without coordination.
    pub fn made_up_reference() -> String {
        ulid::Ulid::generate().to_string().to_ascii_lowercase()
    }
}
