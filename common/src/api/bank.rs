//! Bank statements, and the entries that they brought.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{instant::Instant, money::AmountDocument};
use crate::{
    bank::{BankEntry, BankImport, EntryStatus, EntryTarget, EntryUse, OpenReason, statement::EntryKind},
    id::{BankEntryId, InvoiceId, PaymentId, TenantId, WalletGrantId},
};

/// What an import has done.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = BankImport)]
pub struct BankImportDocument {
    /// Entries that were new and were recorded as payments.
    pub recorded: u64,
    /// Entries that were new and are left to a person.
    pub open: u64,
    /// Reversals among the open ones.
    pub reversals: u64,
    /// Entries that an earlier import had brought: nothing changed.
    pub known: u64,
    /// Entries of the file that take money away: nothing follows from them.
    pub debits: u64,
    /// Entries of the file that the bank has not booked: they come again.
    pub pending: u64,
}

/// A booked entry of a bank statement, and what became of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = BankEntry)]
pub struct BankEntryDocument {
    /// Its id, which is the reference of its payments and grants as well.
    #[schema(value_type = String, example = "bke_01jd0000000000000000000000")]
    pub id: BankEntryId,
    /// The tenant whose account it is.
    #[schema(value_type = String)]
    pub issuer: TenantId,
    /// The account: an IBAN without blanks, or the bank's number of it.
    #[schema(example = "DE89370400440532013000")]
    pub account: String,
    /// The kind of entry.
    pub kind: EntryKind,
    /// The currency of all amounts.
    #[schema(example = "EUR")]
    pub currency: String,
    /// The amount, above zero.
    pub amount: AmountDocument,
    /// Day on which the bank booked it.
    #[schema(format = Date, example = "2026-12-03")]
    pub booked_on: String,
    /// The bank's reference of it; null if it has none of its own.
    #[schema(required = true)]
    pub bank_reference: Option<String>,
    /// The side that has paid, or got the money back.
    #[schema(required = true)]
    pub payer: Option<String>,
    /// The account of that side.
    #[schema(required = true)]
    pub payer_account: Option<String>,
    /// The structured reference of the payee.
    #[schema(required = true)]
    pub creditor_reference: Option<String>,
    /// What the payer wrote.
    pub text: String,
    /// Its status.
    pub status: EntryStatus,
    /// The reason for which it was left to a person; null if it was matched.
    #[schema(required = true)]
    pub open_reason: Option<OpenReason>,
    /// The reason for which a person has ignored it.
    #[schema(required = true)]
    pub reason: Option<String>,
    /// Payments and grants that came of it.
    pub uses: Vec<EntryUseDocument>,
    /// Time at which it was imported.
    pub imported_at: Instant,
    /// Time at which it was matched, or a person decided; null while it is open.
    #[schema(required = true)]
    pub resolved_at: Option<Instant>,
}

/// Money of an entry that went somewhere.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = BankEntryUse)]
pub struct EntryUseDocument {
    /// The tenant whose money it is.
    #[schema(value_type = String)]
    pub tenant: TenantId,
    /// The amount.
    pub amount: AmountDocument,
    /// The invoice that it pays; null for money in the wallet.
    #[schema(value_type = Option<String>, required = true)]
    pub invoice: Option<InvoiceId>,
    /// The payment of that invoice.
    #[schema(value_type = Option<String>, required = true)]
    pub payment: Option<PaymentId>,
    /// The grant of the wallet; null for a payment.
    #[schema(value_type = Option<String>, required = true)]
    pub grant: Option<WalletGrantId>,
}

/// The thing that an entry pays: an invoice, or the wallet of a tenant.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BankEntryTarget)]
pub struct EntryTargetBody {
    /// An invoice of the issuer. What is more than is open goes into the wallet of its buyer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub invoice: Option<InvoiceId>,
    /// A tenant that the issuer sells to, whose wallet takes all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub tenant: Option<TenantId>,
}

impl EntryTargetBody {
    /// The target, if one is named and not two.
    pub const fn target(&self) -> Option<EntryTarget> {
        match (self.invoice, self.tenant) {
            (Some(invoice), None) => Some(EntryTarget::Invoice(invoice)),
            (None, Some(tenant)) => Some(EntryTarget::Wallet(tenant)),
            _ => None,
        }
    }
}

impl From<EntryTarget> for EntryTargetBody {
    fn from(target: EntryTarget) -> Self {
        match target {
            EntryTarget::Invoice(invoice) => Self { invoice: Some(invoice), tenant: None },
            EntryTarget::Wallet(tenant) => Self { invoice: None, tenant: Some(tenant) },
        }
    }
}

impl From<BankImport> for BankImportDocument {
    fn from(import: BankImport) -> Self {
        let BankImport { recorded, open, reversals, known, debits, pending } = import;
        Self { recorded, open, reversals, known, debits, pending }
    }
}

impl From<BankEntry> for BankEntryDocument {
    fn from(entry: BankEntry) -> Self {
        Self {
            id: entry.id,
            issuer: entry.issuer,
            account: entry.account,
            kind: entry.kind,
            currency: entry.amount.currency().code().into(),
            amount: entry.amount.into(),
            booked_on: entry.booked_on.to_string(),
            bank_reference: entry.bank_reference,
            payer: entry.payer,
            payer_account: entry.payer_account,
            creditor_reference: entry.creditor_reference,
            text: entry.text,
            status: entry.status,
            open_reason: entry.open_reason,
            reason: entry.reason,
            uses: entry.uses.into_iter().map(Into::into).collect(),
            imported_at: entry.imported_at.into(),
            resolved_at: entry.resolved_at.map(Into::into),
        }
    }
}

impl From<EntryUse> for EntryUseDocument {
    fn from(used: EntryUse) -> Self {
        Self {
            tenant: used.tenant,
            amount: used.amount.into(),
            invoice: used.payment.map(|(invoice, _)| invoice),
            payment: used.payment.map(|(_, payment)| payment),
            grant: used.grant,
        }
    }
}
