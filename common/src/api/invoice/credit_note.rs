//! Credit notes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AmountError, TaxDocument, amount};
use crate::{
    api::{instant::Instant, money::AmountDocument},
    id::{CreditNoteId, InvoiceId, TenantId},
    invoice::{CreditNote, CreditNoteLine, NewCreditNote},
    money::{Currency, Money},
};

/// A credit note that is to be issued.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCreditNote)]
pub struct NewCreditNoteBody {
    /// Parts of lines to take back; everything that is left unless stated.
    #[serde(default)]
    #[schema(required = false, max_items = 1_000)]
    pub lines: Vec<CreditedLineBody>,
    /// The reason, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    pub reason: String,
}

/// A part of a line to take back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreditedLine)]
pub struct CreditedLineBody {
    /// Place of the line in the invoice, from 0.
    pub line: usize,
    /// The amount in major units, above zero, without tax unless the line's includes it.
    #[schema(example = "10.00")]
    pub amount: String,
}

/// A credit note.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = CreditNote)]
pub struct CreditNoteDocument {
    /// Its id.
    #[schema(value_type = String, example = "crn_01jd0000000000000000000000")]
    pub id: CreditNoteId,
    /// Its number in the books of the issuer.
    #[schema(example = "INV-CN-000007")]
    pub number: String,
    /// The invoice that it corrects.
    #[schema(value_type = String)]
    pub invoice: InvoiceId,
    /// The tenant that owed.
    #[schema(value_type = String)]
    pub tenant: TenantId,
    /// Parts of lines that it takes back.
    pub lines: Vec<CreditedLineDocument>,
    /// Tax by rule.
    pub taxes: Vec<TaxDocument>,
    /// Everything that it takes back, tax included.
    pub total: AmountDocument,
    /// The reason.
    pub reason: String,
    /// Time at which it was issued.
    pub issued_at: Instant,
}

/// A part of a line that was taken back.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = CreditedInvoiceLine)]
pub struct CreditedLineDocument {
    /// Place of the line in the invoice, from 0.
    pub line: usize,
    /// The amount.
    pub amount: AmountDocument,
}

impl NewCreditNoteBody {
    /// The credit note that it asks for, of an invoice in this currency.
    pub fn credit_note(self, currency: Currency) -> Result<NewCreditNote, AmountError> {
        let line = |(place, line): (usize, &CreditedLineBody)| {
            Ok((line.line, amount(&format!("lines[{place}].amount"), &line.amount, currency)?.minor()))
        };
        let lines = self.lines.iter().enumerate().map(line).collect::<Result<_, AmountError>>()?;
        Ok(NewCreditNote { lines, reason: self.reason })
    }
}

impl From<CreditNote> for CreditNoteDocument {
    fn from(note: CreditNote) -> Self {
        let currency = note.total.currency();
        let line = |line: &CreditNoteLine| CreditedLineDocument {
            line: line.line,
            amount: Money::from_minor(line.amount_minor, currency).into(),
        };
        Self {
            lines: note.lines.iter().map(line).collect(),
            taxes: note.taxes.iter().map(|tax| TaxDocument::of(tax, currency)).collect(),
            id: note.id,
            number: note.number,
            invoice: note.invoice,
            tenant: note.tenant,
            total: note.total.into(),
            reason: note.reason,
            issued_at: note.issued_at.into(),
        }
    }
}
