//! Documents as PDF: invoices, credit notes, receipts and statements, in the branding of their
//! issuer and in a language.
//!
//! Invariants: what a document says comes from frozen content, so the same document in the same
//! branding, language and fonts has the same bytes. It keeps to PDF/A. A character that no font has
//! is an error, never an empty box. A template reads its data and the logo, and nothing else; it
//! runs in a process of its own ([`typesetter`]), with bounds on time and memory.

mod data;
mod papers;
mod sample;
mod statement;
mod typesetter;
mod words;

use common::{
    branding::Branding,
    invoice::{CreditNote, Invoice},
    payment::Payment,
    time::{Micros, TimeError, Zone},
};
pub use data::DocumentData;
use papers::Look;
pub use papers::PaperError;
pub use statement::Statement;
pub(crate) use statement::read as read_statement;
use typesetter::{Attachment, FileHead, Request};
pub use typesetter::{Fault, TypesetError, Typesetter, TypesetterSettings};
pub use words::{DEFAULT_LANGUAGE, LanguageError, Languages, Words};

use crate::e_invoice::{self, ElectronicInvoiceError};

/// The template of all documents, unless an issuer has stored another one.
pub const TEMPLATE: &str = include_str!("../../../documents/templates/document.typ");

/// Makes documents.
#[derive(Debug)]
pub struct Documents {
    typesetter: Typesetter,
    languages: Languages,
}

/// Something that has a document.
#[derive(Debug, Clone, Copy)]
pub enum Paper<'a> {
    /// An invoice.
    Invoice(&'a Invoice),
    /// A credit note, and the invoice that it corrects.
    CreditNote(&'a CreditNote, &'a Invoice),
    /// A payment or refund, and the invoice that it is for.
    Receipt(&'a Payment, &'a Invoice),
    /// A statement of account.
    Statement(&'a Statement),
}

/// The reason for which there is no document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// There are no words for the language.
    #[error("there are no documents in the language `{language}`: use one of {known}")]
    Language {
        /// The language that was asked for.
        language: String,
        /// Those that there are.
        known: String,
    },
    /// Its content cannot be put together.
    #[error(transparent)]
    Content(#[from] PaperError),
    /// It has no electronic form.
    #[error(transparent)]
    Electronic(#[from] ElectronicInvoiceError),
    /// It cannot be typeset.
    #[error(transparent)]
    Typeset(#[from] TypesetError),
}

impl From<TimeError> for DocumentError {
    fn from(error: TimeError) -> Self {
        Self::Content(error.into())
    }
}

impl Documents {
    /// Makes documents by a typesetter, in these languages.
    pub const fn new(typesetter: Typesetter, languages: Languages) -> Self {
        Self { typesetter, languages }
    }

    /// The PDF of a document, in the branding's language unless another one is named.
    pub async fn pdf(
        &self,
        paper: Paper<'_>,
        branding: &Branding,
        language: Option<&str>,
    ) -> Result<Vec<u8>, DocumentError> {
        let data = self.data(paper, branding, language)?;
        self.typeset(&data, branding, (&paper.identifier(), paper.at()), None).await
    }

    /// The PDF of an invoice or credit note with its electronic form in it: Factur-X, which is also
    /// ZUGFeRD. Receipts and statements have none and are as ever.
    pub async fn factur_x(
        &self,
        paper: Paper<'_>,
        branding: &Branding,
        language: Option<&str>,
    ) -> Result<Vec<u8>, DocumentError> {
        let electronic = match paper {
            Paper::Invoice(invoice) => e_invoice::of_invoice(invoice, branding)?,
            Paper::CreditNote(note, invoice) => e_invoice::of_credit_note(note, invoice, branding)?,
            Paper::Receipt(..) | Paper::Statement(_) => return self.pdf(paper, branding, language).await,
        };
        let data = self.data(paper, branding, language)?;
        let xml = e_invoice::to_cii(&electronic);
        self.typeset(&data, branding, (&paper.identifier(), paper.at()), Some(xml.as_bytes())).await
    }

    /// Tries branding on a sample of every part that a document can have.
    pub async fn check(&self, branding: &Branding) -> Result<(), DocumentError> {
        let invoice = sample::invoice();
        self.pdf(Paper::Invoice(&invoice), branding, None).await.map(drop)
    }

    /// The data that a template gets.
    pub fn data(
        &self,
        paper: Paper<'_>,
        branding: &Branding,
        language: Option<&str>,
    ) -> Result<DocumentData, DocumentError> {
        let language = language.or(branding.language.as_deref()).unwrap_or(DEFAULT_LANGUAGE);
        let words = self.languages.get(language).ok_or_else(|| DocumentError::Language {
            language: language.chars().take(16).collect(),
            known: self.languages.names(),
        })?;
        let look = Look { branding, language, words };
        Ok(match paper {
            Paper::Invoice(invoice) => papers::invoice(invoice, look)?,
            Paper::CreditNote(note, invoice) => papers::credit_note(note, invoice, look)?,
            Paper::Receipt(payment, invoice) => papers::receipt(payment, invoice, look)?,
            Paper::Statement(statement) => statement::data(statement, look)?,
        })
    }

    async fn typeset(
        &self,
        data: &DocumentData,
        branding: &Branding,
        (identifier, at): (&str, Micros),
        electronic: Option<&[u8]>,
    ) -> Result<Vec<u8>, DocumentError> {
        let own = branding.template.as_deref().unwrap_or(TEMPLATE);
        let (mut template, mut files, mut bytes) = (own.to_owned(), Vec::new(), Vec::new());
        if let (Some(name), Some(logo)) = (&data.logo, &branding.logo) {
            files.push(FileHead { name, bytes: logo.bytes().len() });
            bytes.push(logo.bytes());
        }
        if let Some(xml) = electronic {
            files.push(FileHead { name: e_invoice::ATTACHMENT, bytes: xml.len() });
            bytes.push(xml);
            // Behind the template, so that the lines of its faults stay.
            template.push_str(ATTACH);
        }
        let (day, [hour, minute, second]) = (Zone::utc().date(at)?, time_of_day(at));
        let request = Request {
            template: &template,
            data,
            files,
            identifier,
            time: (day.year, day.month, day.day, hour, minute, second),
            standard: if electronic.is_some() { "a-3u" } else { "a-2u" },
            attachment: electronic.map(|_| Attachment { file: e_invoice::ATTACHMENT, level: e_invoice::LEVEL }),
        };
        Ok(self.typesetter.typeset(&request, &bytes).await?)
    }
}

/// End of a template when an electronic invoice goes with it.
const ATTACH: &str = "\n#pdf.attach(\"factur-x.xml\", relationship: \"alternative\", mime-type: \"text/xml\", \
     description: \"Electronic invoice (EN 16931)\")\n";

/// Hour, minute and second of an instant in UTC.
fn time_of_day(at: Micros) -> [i8; 3] {
    let second = at.seconds().rem_euclid(86_400);
    [second / 3_600, second / 60 % 60, second % 60].map(|part| i8::try_from(part).unwrap_or_default())
}

impl Paper<'_> {
    /// A text that names the document for ever.
    fn identifier(&self) -> String {
        match self {
            Self::Invoice(invoice) => invoice.id.to_string(),
            Self::CreditNote(note, _) => note.id.to_string(),
            Self::Receipt(payment, _) => payment.id.to_string(),
            Self::Statement(statement) => {
                let Statement { issuer, buyer, window, opening, .. } = statement;
                let currency = opening.currency().code();
                format!("{} {} {currency} {} {}", issuer.tenant, buyer.tenant, window.start, window.end)
            }
        }
    }

    /// Time of the document.
    fn at(&self) -> Micros {
        match self {
            Self::Invoice(invoice) => invoice.finalized_at,
            Self::CreditNote(note, _) => note.issued_at,
            Self::Receipt(payment, _) => payment.recorded_at,
            Self::Statement(statement) => statement.window.end,
        }
    }
}

#[cfg(test)]
mod tests;
