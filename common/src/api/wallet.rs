//! Wallets: money that a tenant has in advance. Amounts are whole minor units (cents) of a currency.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::instant::Instant;
use crate::{
    id::{TenantId, WalletGrantId, WalletTopUpId},
    money::{Currency, Money},
    wallet::{AutoTopUp, GrantKind, TopUpStatus, WalletBalance, WalletGrant, WalletPolicy, WalletTopUp},
};

/// The wallets of a tenant.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Wallets)]
pub struct WalletsDocument {
    /// The instant that the balances are of.
    pub as_of: Instant,
    /// A wallet for each issuer and currency.
    pub wallets: Vec<WalletDocument>,
}

/// One currency of a tenant with the issuer of its invoices.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Wallet)]
pub struct WalletDocument {
    /// The issuer of the invoices that the money is for.
    #[schema(value_type = String)]
    pub issuer: TenantId,
    /// Its currency.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
    /// The money in it; below zero, the tenant owes it.
    pub balance: i64,
    /// The money that invoices can use.
    pub available: i64,
    /// Lowest that invoices may take it below zero.
    pub overdraft: i64,
    /// When a top-up is asked for; null if never.
    #[schema(required = true)]
    pub top_up: Option<AutoTopUpDocument>,
}

/// When a top-up is asked for, and of how much.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AutoTopUp)]
pub struct AutoTopUpDocument {
    /// A balance below this asks for one.
    #[schema(minimum = 0, maximum = 10_000_000_000_000_i64)]
    pub threshold: i64,
    /// The balance that it fills up to.
    #[schema(minimum = 1, maximum = 10_000_000_000_000_i64)]
    pub target: i64,
    /// Most within 24 hours.
    #[schema(minimum = 1, maximum = 100)]
    pub per_day: u8,
}

/// Rules of a wallet.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WalletPolicy)]
pub struct WalletPolicyBody {
    /// The issuer; the tenant above unless stated, and a root itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub issuer: Option<TenantId>,
    /// Currency of the wallet.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
    /// Lowest that invoices may take it below zero; nothing unless stated.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 10_000_000_000_000_i64)]
    pub overdraft: i64,
    /// When a top-up is asked for; never unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_up: Option<AutoTopUpDocument>,
}

/// Money to be granted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWalletGrant)]
pub struct NewWalletGrantBody {
    /// The issuer; the tenant above unless stated, and a root itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub issuer: Option<TenantId>,
    /// The money, in minor units.
    #[schema(minimum = 1, maximum = 10_000_000_000_000_i64, example = 2500)]
    pub amount: i64,
    /// Its currency.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
    /// Paid or promotional.
    pub kind: GrantKind,
    /// Place in the order of use: 0 is used first; 50 unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100)]
    pub priority: Option<u8>,
    /// From this instant on it cannot be used; never expires unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Instant>,
    /// Reference of the payment, 1 to 200 characters: the same reference grants once. Generated
    /// unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200, example = "order-4711")]
    pub reference: Option<String>,
    /// Reason, 1 to 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub reason: Option<String>,
}

/// A top-up that a tenant asks for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWalletTopUp)]
pub struct NewWalletTopUpBody {
    /// The issuer; the tenant above unless stated, and a root itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub issuer: Option<TenantId>,
    /// The money, in minor units.
    #[schema(minimum = 1, maximum = 10_000_000_000_000_i64, example = 5000)]
    pub amount: i64,
    /// Its currency.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
}

/// Money that was granted.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WalletGrant)]
pub struct WalletGrantDocument {
    /// Its id.
    #[schema(value_type = String)]
    pub id: WalletGrantId,
    /// The issuer of the invoices that the money is for.
    #[schema(value_type = String)]
    pub issuer: TenantId,
    /// Its currency.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
    /// The money, in minor units.
    pub amount: i64,
    /// The rest of it.
    pub left: i64,
    /// Paid or promotional.
    pub kind: GrantKind,
    /// Place in the order of use: 0 is used first.
    pub priority: u8,
    /// Time of the grant.
    pub granted_at: Instant,
    /// From this instant on it cannot be used.
    #[schema(required = true)]
    pub expires_at: Option<Instant>,
    /// Reference of the payment.
    pub reference: String,
    /// Reason, if one was given.
    #[schema(required = true)]
    pub reason: Option<String>,
    /// Time at which it was taken back.
    #[schema(required = true)]
    pub voided_at: Option<Instant>,
    /// Reason for which it was taken back.
    #[schema(required = true)]
    pub void_reason: Option<String>,
}

/// A grant that is to be taken back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WalletVoid)]
pub struct VoidGrantBody {
    /// Reason, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    pub reason: String,
}

/// A top-up that a wallet has asked for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = WalletTopUp)]
pub struct WalletTopUpDocument {
    /// Its id, which is the reference of the grant once it is paid.
    #[schema(value_type = String)]
    pub id: WalletTopUpId,
    /// The issuer of the invoices that the money is for.
    #[schema(value_type = String)]
    pub issuer: TenantId,
    /// Its currency.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
    /// The money, in minor units.
    pub amount: i64,
    /// Its status.
    pub status: TopUpStatus,
    /// Time of the request.
    pub requested_at: Instant,
    /// Time at which it was confirmed or cancelled.
    #[schema(required = true)]
    pub decided_at: Option<Instant>,
}

impl WalletPolicyBody {
    /// The rules, in the currency of the wallet.
    pub fn policy(&self) -> WalletPolicy {
        let money = |minor| Money::from_minor(minor, self.currency);
        let top_up = self.top_up.map(|top_up| AutoTopUp {
            threshold: money(top_up.threshold),
            target: money(top_up.target),
            per_day: top_up.per_day,
        });
        WalletPolicy { overdraft: money(self.overdraft), top_up }
    }
}

impl From<WalletBalance> for WalletDocument {
    fn from(wallet: WalletBalance) -> Self {
        let WalletBalance { issuer, tenant: _, balance, available, policy } = wallet;
        let top_up = policy.top_up.map(|AutoTopUp { threshold, target, per_day }| AutoTopUpDocument {
            threshold: threshold.minor(),
            target: target.minor(),
            per_day,
        });
        Self {
            issuer,
            currency: balance.currency(),
            balance: balance.minor(),
            available: available.minor(),
            overdraft: policy.overdraft.minor(),
            top_up,
        }
    }
}

impl From<WalletGrant> for WalletGrantDocument {
    fn from(grant: WalletGrant) -> Self {
        Self {
            id: grant.id,
            issuer: grant.issuer,
            currency: grant.amount.currency(),
            amount: grant.amount.minor(),
            left: grant.left.minor(),
            kind: grant.kind,
            priority: grant.priority,
            granted_at: grant.granted_at.into(),
            expires_at: grant.expires_at.map(Into::into),
            reference: grant.reference,
            reason: grant.reason,
            voided_at: grant.voided_at.map(Into::into),
            void_reason: grant.void_reason,
        }
    }
}

impl From<WalletTopUp> for WalletTopUpDocument {
    fn from(top_up: WalletTopUp) -> Self {
        let WalletTopUp { id, issuer, tenant: _, amount, status, requested_at, decided_at } = top_up;
        let (currency, amount) = (amount.currency(), amount.minor());
        let (requested_at, decided_at) = (requested_at.into(), decided_at.map(Into::into));
        Self { id, issuer, currency, amount, status, requested_at, decided_at }
    }
}
