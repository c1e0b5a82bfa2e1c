//! Postings: entries that sum to zero, and where they come from.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    id::TenantId,
    money::{Currency, Money, MoneyError},
    time::Micros,
};

/// An account of a tenant in the books of its issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// Money that the tenant owes: invoices less payments.
    Receivable,
    /// Money that the tenant has paid in advance, or was given.
    Credit,
    /// Charges for time to come.
    DeferredRevenue,
    /// Charges that are earned.
    Revenue,
    /// Tax that the issuer collected and owes.
    Tax,
    /// Payments that came, and that no provider has paid out yet.
    Cash,
    /// Invoices that will not be paid any more.
    WriteOff,
    /// Credit that was given without payment.
    Promotion,
    /// Payments that a payer's bank has taken back for now.
    Disputed,
    /// Fees of payment providers.
    Fees,
    /// Money that a provider has sent to the issuer's bank.
    Bank,
    /// Parts of what a provider has sent that nothing else explains.
    Unmatched,
}

/// The kind of thing that a posting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// An invoice was finalized.
    Invoice,
    /// An invoice was voided.
    InvoiceVoid,
    /// A credit note was issued.
    CreditNote,
    /// A payment came.
    Payment,
    /// A payment went back.
    Refund,
    /// Credit was granted.
    CreditGrant,
    /// Credit was used for an invoice.
    CreditUse,
    /// Credit expired.
    CreditExpiry,
    /// Credit was taken back.
    CreditVoid,
    /// An invoice was given up.
    WriteOff,
    /// Deferred revenue of an invoice was earned.
    Recognition,
    /// A payer's bank took a payment back, or gave it up.
    Dispute,
    /// A provider sent money to the issuer's bank.
    Payout,
}

/// The thing that a posting comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The kind of thing.
    pub kind: CauseKind,
    /// Its id.
    pub id: String,
}

/// One side of a posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The account.
    pub account: Account,
    /// Above zero a debit, below zero a credit; never zero.
    pub amount: Money,
}

/// A posting whose entries sum to zero: there are no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    pub(super) issuer: TenantId,
    pub(super) tenant: TenantId,
    pub(super) key: String,
    pub(super) cause: Cause,
    pub(super) currency: Currency,
    pub(super) at: Micros,
    pub(super) entries: Vec<Entry>,
}

/// The reason for which entries are no posting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// They do not sum to zero.
    #[error("the entries of `{key}` sum to {sum} and not to zero")]
    Unbalanced {
        /// Idempotency key.
        key: String,
        /// Their sum.
        sum: Money,
    },
    /// There are none.
    #[error("`{0}` has no entries")]
    Empty(String),
    /// They have more than one currency, or do not fit.
    #[error("the entries of `{key}`: {source}")]
    Amount {
        /// Idempotency key.
        key: String,
        /// The fault.
        source: MoneyError,
    },
}

impl Posting {
    /// A posting of `entries` in the books of `issuer` on `tenant`. Entries of zero are left out.
    /// `key` names what happened: a posting with a key that is in the ledger already is not made
    /// again.
    pub fn new(
        (issuer, tenant): (TenantId, TenantId),
        key: impl Into<String>,
        cause: Cause,
        at: Micros,
        entries: &[(Account, Money)],
    ) -> Result<Self, LedgerError> {
        let key = key.into();
        let entries: Vec<Entry> = entries
            .iter()
            .filter(|(_, amount)| !amount.is_zero())
            .map(|(account, amount)| Entry { account: *account, amount: *amount })
            .collect();
        let Some(currency) = entries.first().map(|entry| entry.amount.currency()) else {
            return Err(LedgerError::Empty(key));
        };
        match Money::sum(entries.iter().map(|entry| entry.amount), currency) {
            Err(source) => Err(LedgerError::Amount { key, source }),
            Ok(sum) if !sum.is_zero() => Err(LedgerError::Unbalanced { key, sum }),
            Ok(_) => Ok(Self { issuer, tenant, key, cause, currency, at, entries }),
        }
    }

    /// Its entries.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Its idempotency key.
    pub fn key(&self) -> &str {
        &self.key
    }
}

macro_rules! names {
    ($type:ident, $what:literal, $($variant:ident => $name:literal),+ $(,)?) => {
        impl $type {
            /// All of them, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in the store, in documents and in commands.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let known = Self::ALL.iter().copied().find(|one| one.as_str() == text);
                known.ok_or_else(|| {
                    let names: Vec<_> = Self::ALL.iter().map(|one| one.as_str()).collect();
                    format!("`{text}` is not {}: use one of {}", $what, names.join(", "))
                })
            }
        }
    };
}

names!(Account, "an account",
    Receivable => "receivable", Credit => "credit", DeferredRevenue => "deferred_revenue", Revenue => "revenue",
    Tax => "tax", Cash => "cash", WriteOff => "write_off", Promotion => "promotion",
    Disputed => "disputed", Fees => "fees", Bank => "bank", Unmatched => "unmatched",
);
names!(CauseKind, "a cause",
    Invoice => "invoice", InvoiceVoid => "invoice_void", CreditNote => "credit_note", Payment => "payment",
    Refund => "refund", CreditGrant => "credit_grant", CreditUse => "credit_use", CreditExpiry => "credit_expiry",
    CreditVoid => "credit_void", WriteOff => "write_off", Recognition => "recognition",
    Dispute => "dispute", Payout => "payout",
);

#[cfg(test)]
mod tests {
    use super::*;

    fn posting(entries: &[(Account, i64, Currency)]) -> Result<Posting, LedgerError> {
        let entries: Vec<_> =
            entries.iter().map(|(account, minor, currency)| (*account, Money::from_minor(*minor, *currency))).collect();
        let tenant = TenantId::from_u128(1);
        let cause = Cause { kind: CauseKind::Invoice, id: "inv_1".into() };
        Posting::new((tenant, tenant), "invoice:inv_1", cause, Micros(0), &entries)
    }

    #[test]
    fn entries_that_sum_to_zero_are_a_posting() {
        use Account::{Receivable, Revenue, Tax};
        let usd = Currency::USD;
        let made = posting(&[(Receivable, 119, usd), (Revenue, -100, usd), (Tax, -19, usd), (Tax, 0, usd)]).unwrap();
        assert_eq!(made.entries().len(), 3);
    }

    #[test]
    fn entries_that_do_not_balance_are_refused() {
        use Account::{Receivable, Revenue};
        let (usd, eur) = (Currency::USD, Currency::EUR);
        let unbalanced = posting(&[(Receivable, 119, usd), (Revenue, -100, usd)]).unwrap_err();
        assert!(unbalanced.to_string().contains("sum to 0.19 USD"), "{unbalanced}");
        assert!(matches!(posting(&[(Receivable, 1, usd), (Revenue, -1, eur)]), Err(LedgerError::Amount { .. })));
        assert!(matches!(posting(&[(Receivable, 0, usd)]), Err(LedgerError::Empty(_))));
        let huge = [(Receivable, i64::MAX, usd), (Receivable, 1, usd), (Revenue, i64::MIN, usd)];
        assert!(matches!(posting(&huge), Err(LedgerError::Amount { .. })));
    }

    #[test]
    fn every_account_and_cause_is_read_by_its_name() {
        assert!(Account::ALL.iter().all(|account| account.as_str().parse() == Ok(*account)));
        assert!(CauseKind::ALL.iter().all(|kind| kind.as_str().parse() == Ok(*kind)));
        assert!("wallet".parse::<Account>().unwrap_err().contains("receivable, credit"));
    }
}
