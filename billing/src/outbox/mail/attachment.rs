//! The document that a mail is about: an invoice, a credit note or a receipt, as PDF.

use common::{
    mail::{MailBody, MailKind},
    store::{Store, StoreError},
};
use serde_json::Value;

use crate::document::{DocumentError, Documents, Paper, TypesetError};

/// A file of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// PDF.
    pub bytes: Vec<u8>,
}

/// The reason for which there is no document.
#[derive(Debug, thiserror::Error)]
pub(super) enum AttachmentError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The message names nothing that has a document.
    #[error("the message names no {0}")]
    Nameless(&'static str),
    /// It cannot be typeset.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl AttachmentError {
    /// Returns true if another try may bring the document.
    pub(super) const fn is_passing(&self) -> bool {
        match self {
            Self::Store(_) => true,
            Self::Document(DocumentError::Typeset(error)) => matches!(error, TypesetError::TimedOut(_)),
            Self::Document(_) | Self::Nameless(_) => false,
        }
    }
}

/// The document of a mail, in the language of the mail; none: it is about nothing that has one.
pub(super) async fn attachment(
    store: &Store,
    documents: &Documents,
    body: &MailBody,
    language: &str,
) -> Result<Option<Attachment>, AttachmentError> {
    let id = |what| body.data.get("id").and_then(Value::as_str).ok_or(AttachmentError::Nameless(what));
    let (name, bytes) = match body.mail {
        MailKind::Invoice => {
            let id = id("invoice")?.parse().map_err(|_| AttachmentError::Nameless("invoice"))?;
            let invoice = store.invoice(id).await?;
            let branding = store.branding(invoice.issuer).await?;
            (invoice.number.clone(), documents.pdf(Paper::Invoice(&invoice), &branding, Some(language)).await?)
        }
        MailKind::CreditNote => {
            let id = id("credit note")?.parse().map_err(|_| AttachmentError::Nameless("credit note"))?;
            let note = store.credit_note(id).await?;
            let (invoice, branding) = (store.invoice(note.invoice).await?, store.branding(note.issuer).await?);
            let paper = Paper::CreditNote(&note, &invoice);
            (note.number.clone(), documents.pdf(paper, &branding, Some(language)).await?)
        }
        MailKind::Receipt => {
            let id = id("payment")?.parse().map_err(|_| AttachmentError::Nameless("payment"))?;
            let payment = store.payment(id).await?;
            let (invoice, branding) = (store.invoice(payment.invoice).await?, store.branding(payment.issuer).await?);
            let paper = Paper::Receipt(&payment, &invoice);
            (format!("receipt-{}", invoice.number), documents.pdf(paper, &branding, Some(language)).await?)
        }
        MailKind::PaymentFailed
        | MailKind::PaymentToConfirm
        | MailKind::Reminder
        | MailKind::UsageThreshold
        | MailKind::KeyExpiring
        | MailKind::EndpointDisabled
        | MailKind::SignIn => return Ok(None),
    };
    Ok(Some(Attachment { name: format!("{name}.pdf"), bytes }))
}
