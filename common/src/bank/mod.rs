//! Booked entries of bank statements, and what became of them.
//!
//! Invariants: an entry is kept once for each issuer, by its fingerprint, whatever files contain it; it
//! is written in one transaction with the payments and grants that follow from it, so that an import
//! that ends anywhere can be run again; the uses of a recorded or assigned entry sum to its amount; an
//! entry that nobody is sure about stays open until a person decides, and is never dropped.

mod import;
mod record;
mod reference;
mod resolve;
mod rows;
pub mod statement;

use std::{fmt, str::FromStr};

pub use import::BankImport;
pub use resolve::EntryTarget;
use serde::{Deserialize, Serialize};

use statement::EntryKind;

use crate::{
    id::{BankEntryId, InvoiceId, PaymentId, TenantId, WalletGrantId},
    money::Money,
    time::{Date, Micros},
    word::UnknownWord,
};

/// The way in which payments from statements come.
pub const BANK_TRANSFER: &str = "bank_transfer";

/// A booked entry of a bank statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankEntry {
    /// Its id, which is the reference of its payments and grants as well.
    pub id: BankEntryId,
    /// The tenant whose account it is.
    pub issuer: TenantId,
    /// The account.
    pub account: String,
    /// The kind of entry.
    pub kind: EntryKind,
    /// The amount, above zero.
    pub amount: Money,
    /// Day on which the bank booked it.
    pub booked_on: Date,
    /// The bank's reference of it.
    pub bank_reference: Option<String>,
    /// The side that has paid, or got the money back.
    pub payer: Option<String>,
    /// The account of that side.
    pub payer_account: Option<String>,
    /// The structured reference of the payee.
    pub creditor_reference: Option<String>,
    /// What the payer wrote.
    pub text: String,
    /// Its status.
    pub status: EntryStatus,
    /// The reason for which it was left to a person.
    pub open_reason: Option<OpenReason>,
    /// The reason that the person gave.
    pub reason: Option<String>,
    /// Payments and grants that came of it, in their order.
    pub uses: Vec<EntryUse>,
    /// Time at which it was imported.
    pub imported_at: Micros,
    /// Time at which it was matched, or a person decided.
    pub resolved_at: Option<Micros>,
}

/// Money of an entry that went somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EntryUse {
    /// The tenant whose money it is.
    pub tenant: TenantId,
    /// The amount.
    pub amount: Money,
    /// The invoice and the payment of it; none for money in the wallet.
    pub payment: Option<(InvoiceId, PaymentId)>,
    /// The grant of the wallet; none for a payment.
    pub grant: Option<WalletGrantId>,
}

/// Selects entries of an issuer.
#[derive(Debug, Clone, Copy, Default)]
pub struct EntryFilter {
    /// With this status.
    pub status: Option<EntryStatus>,
}

macro_rules! words {
    ($(#[$doc:meta])* $type:ident, $what:literal, $all:literal, $($(#[$variant_doc:meta])* $variant:ident => $word:literal),+ $(,)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum $type {
            $($(#[$variant_doc])* $variant),+
        }

        impl $type {
            /// The word in the store, in documents and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord::new($what, $all, word)),
                }
            }
        }
    };
}

words!(
    /// Status of an entry.
    EntryStatus, "status of a bank entry", "open, recorded, assigned, ignored",
    /// It waits for a person.
    Open => "open",
    /// Its reference named what it pays.
    Recorded => "recorded",
    /// A person said what it pays.
    Assigned => "assigned",
    /// A person said that nothing follows from it.
    Ignored => "ignored",
);

words!(
    /// The reason for which an entry is left to a person.
    OpenReason, "reason of an open bank entry",
    "reversal, no_reference, reference_mistyped, unknown_invoice, several_invoices, currency_differs, invoice_not_open",
    /// It takes back an earlier one.
    Reversal => "reversal",
    /// It names no invoice.
    NoReference => "no_reference",
    /// Its structured reference has wrong check digits.
    ReferenceMistyped => "reference_mistyped",
    /// There is no invoice of the issuer with the number.
    UnknownInvoice => "unknown_invoice",
    /// It names several invoices, of which not all are open, or whose sum it is not.
    SeveralInvoices => "several_invoices",
    /// The invoice is owed in another currency.
    CurrencyDiffers => "currency_differs",
    /// Nothing is to be paid of the invoice: it is paid, void or given up.
    InvoiceNotOpen => "invoice_not_open",
);
