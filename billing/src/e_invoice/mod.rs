//! Electronic invoices: an invoice or credit note as EN 16931 describes it, and its two written
//! forms, UBL 2.1 as in Peppol BIS Billing 3.0 ([`ubl`]) and CII as in Factur-X and ZUGFeRD
//! ([`cii`]).
//!
//! Invariants: the sums are those of the frozen document, to the cent; the same document gives the
//! same bytes. What the norm asks for and the document lacks is an error that names it.

mod cii;
mod electronic_address;
mod lines;
mod semantic;
mod ubl;
mod xml;

pub use cii::to_cii;
use common::{
    branding::Branding,
    invoice::{CreditNote, Invoice},
    money::{Currency, MoneyError},
    time::TimeError,
};
pub use semantic::ElectronicInvoice;
pub use ubl::to_ubl;

/// Name of the file in a PDF that has the electronic invoice, as Factur-X says.
pub const ATTACHMENT: &str = "factur-x.xml";

/// Conformance level of that file.
pub const LEVEL: &str = "EN 16931";

/// The reason for which there is no electronic form of a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElectronicInvoiceError {
    /// A side has no postal address.
    #[error("{0} has no address: an electronic invoice states street, city and country; set its billing details")]
    Address(String),
    /// The seller has no number with the tax authority.
    #[error("{0} has no tax id: an electronic invoice states that of the seller; set its billing details")]
    SellerTaxId(String),
    /// The buyer has none, and owes the tax.
    #[error("{0} has no tax id: under a reverse charge, an electronic invoice states that of the buyer, too")]
    BuyerTaxId(String),
    /// The currency has more decimal places than the norm allows.
    #[error("amounts in {} have more than 2 decimal places, and EN 16931 allows no more", .0.code())]
    Currency(Currency),
    /// An amount does not fit.
    #[error(transparent)]
    Amount(#[from] MoneyError),
    /// A day of the document is outside the calendar.
    #[error(transparent)]
    Day(#[from] TimeError),
}

/// The electronic form of an invoice, with the contact and bank account of the issuer's branding.
pub fn of_invoice(invoice: &Invoice, branding: &Branding) -> Result<ElectronicInvoice, ElectronicInvoiceError> {
    semantic::of_invoice(invoice, branding)
}

/// The electronic form of a credit note of an invoice.
pub fn of_credit_note(
    note: &CreditNote,
    invoice: &Invoice,
    branding: &Branding,
) -> Result<ElectronicInvoice, ElectronicInvoiceError> {
    semantic::of_credit_note(note, invoice, branding)
}
