//! Balances and statements of the ledger.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{instant::Instant, money::AmountDocument};
use crate::{
    id::TenantId,
    ledger::{Account, Balance, CauseKind, StatementLine},
};

/// The balance of an account in one currency.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = LedgerBalance)]
pub struct BalanceDocument {
    /// The account.
    pub account: Account,
    /// The currency.
    #[schema(example = "USD")]
    pub currency: String,
    /// Sum of its entries: above zero a debit, below zero a credit.
    pub balance: AmountDocument,
}

/// Balances of several accounts.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = LedgerBalances)]
pub struct BalancesDocument {
    /// By account and currency.
    pub items: Vec<BalanceDocument>,
}

/// An entry of an account.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = LedgerEntry)]
pub struct EntryDocument {
    /// Place in the ledger.
    pub seq: i64,
    /// Time at which it was posted.
    pub at: Instant,
    /// The issuer in whose books it is.
    #[schema(value_type = String)]
    pub issuer: TenantId,
    /// The kind of thing that it comes from.
    pub cause: CauseKind,
    /// The id of that thing.
    pub cause_id: String,
    /// The account.
    pub account: Account,
    /// The currency.
    #[schema(example = "USD")]
    pub currency: String,
    /// Above zero a debit, below zero a credit.
    pub amount: AmountDocument,
}

impl From<Balance> for BalanceDocument {
    fn from(Balance { account, amount }: Balance) -> Self {
        Self { account, currency: amount.currency().code().into(), balance: amount.into() }
    }
}

impl From<StatementLine> for EntryDocument {
    fn from(StatementLine { seq, at, issuer, cause, account, amount }: StatementLine) -> Self {
        Self {
            seq,
            at: at.into(),
            issuer,
            cause: cause.kind,
            cause_id: cause.id,
            account,
            currency: amount.currency().code().into(),
            amount: amount.into(),
        }
    }
}
