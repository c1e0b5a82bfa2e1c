//! Sends mail: written by templates, handed to an SMTP server.
//!
//! Invariant: each try of a message has the same `Message-ID` and `Date`, so that a mailbox that gets it
//! twice can show it once.

mod attachment;
mod format;
mod issuer;
mod letter;
mod link;
pub mod preview;
mod sample;
mod smtp;
mod templates;

use std::sync::Arc;

pub use attachment::Attachment;
use common::{
    mail::{Language, MailBody, MailKind, MailPurpose},
    outbox::{MAIL, Message},
    store::Store,
    time::Micros,
};
pub use issuer::MailIssuer;
pub use letter::Letter;
use lettre::message::Mailbox;
pub use link::Links;
pub use smtp::{MailServerError, Smtp};
pub use templates::{TemplateError, TemplateFolder, Templates};

use self::attachment::attachment;
use super::{Deliverer, Delivering, Outcome, TellingEnd};
use crate::{config::MailConfig, document::Documents};

/// Waits between tries: 1, 5 and 15 min, 1, 2, 4, 8, 12 and 24 h; more than two days in all.
const WAITS: [i64; 9] = [60, 300, 900, 3_600, 7_200, 14_400, 28_800, 43_200, 86_400];

/// Most messages to one address that are on their way at a time.
const AT_ONCE: usize = 1;

/// Sends mail.
pub struct MailDeliverer {
    store: Store,
    smtp: Smtp,
    templates: TemplateFolder,
    envelope: Envelope,
    language: Language,
    documents: Documents,
    links: Links,
}

/// Headers that all mail has in common.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// The sender.
    pub from: Mailbox,
    /// The address that answers go to.
    pub reply_to: Option<Mailbox>,
    /// Address at which people say that they want no more notices.
    pub unsubscribe: Option<String>,
}

/// The reason why mail cannot be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum MailSetupError {
    /// The server's settings are not usable.
    #[error(transparent)]
    Server(#[from] MailServerError),
    /// A template is not usable.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl MailDeliverer {
    /// A deliverer by these settings. Invoices, credit notes and receipts are attached, as `documents`
    /// makes them; links into the portal are those of `links`.
    pub fn new(
        store: Store,
        config: &MailConfig,
        credentials: Option<(String, String)>,
        documents: Documents,
        links: Links,
    ) -> Result<Self, MailSetupError> {
        Ok(Self {
            store,
            smtp: Smtp::new(config, credentials)?,
            templates: TemplateFolder::open(config.templates.clone())?,
            envelope: Envelope::of(config),
            language: config.language,
            documents,
            links,
        })
    }

    async fn send(&self, message: &Message, now: Micros) -> Outcome {
        let mut body: MailBody = match serde_json::from_value(message.body.clone()) {
            Ok(body) => body,
            Err(error) => return Outcome::Refused(format!("the message is no mail: {error}")),
        };
        let Some(address) = body.address.clone() else {
            return match self.store.address_mail(message.id, now).await {
                Ok(Ok(count)) => Outcome::Delivered(format!("addressed to {count} recipients")),
                Ok(Err(nobody)) => Outcome::Refused(nobody),
                Err(error) => Outcome::Failed(error.to_string()),
            };
        };
        let issuer = match MailIssuer::of(&self.store, message.tenant, &body).await {
            Ok(issuer) => issuer,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        if body.mail == MailKind::SignIn {
            body.data = match self.links.make(&self.store, message.tenant, &address, body.at, now).await {
                Ok(data) => data,
                Err(outcome) => return outcome,
            };
        }
        let templates: Arc<Templates> = self.templates.current();
        let language = body.language.unwrap_or(self.language);
        let letter = match templates.letter(&body, &issuer, language) {
            Ok(letter) => letter,
            // A template can be mended.
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        let attached = match attachment(&self.store, &self.documents, &body, language.as_str()).await {
            Ok(attached) => attached,
            Err(error) if error.is_passing() => return Outcome::Failed(error.to_string()),
            Err(error) => {
                // The mail says what is owed, and the document can be had elsewhere.
                tracing::warn!(event = "mail_without_document", message = %message.id, %error);
                None
            }
        };
        match letter.to_mail((&self.envelope.of_issuer(&issuer), &address), message, body.mail.purpose(), attached) {
            Ok(mail) => self.smtp.send(mail).await,
            Err(error) => Outcome::Refused(error),
        }
    }
}

impl Envelope {
    /// That of the settings.
    pub fn of(config: &MailConfig) -> Self {
        Self { from: config.from.clone(), reply_to: config.reply_to.clone(), unsubscribe: config.unsubscribe.clone() }
    }

    /// The envelope of an issuer's mail.
    fn of_issuer(&self, issuer: &MailIssuer) -> Self {
        let (from, reply_to) = (issuer.sender(&self.from), issuer.reply_to(self.reply_to.as_ref()));
        Self { from, reply_to, unsubscribe: self.unsubscribe.clone() }
    }

    /// Address at which people refuse mail of this purpose. Who owes money gets the mail about
    /// it.
    fn unsubscribe_from(&self, purpose: Option<MailPurpose>) -> Option<&str> {
        match purpose {
            Some(MailPurpose::Usage | MailPurpose::Keys | MailPurpose::Webhooks) => self.unsubscribe.as_deref(),
            Some(MailPurpose::Invoices | MailPurpose::Payments) | None => None,
        }
    }
}

impl Deliverer for MailDeliverer {
    fn kind(&self) -> &'static str {
        MAIL
    }

    fn at_once(&self) -> usize {
        AT_ONCE
    }

    fn waits(&self) -> &'static [i64] {
        &WAITS
    }

    fn deliver<'a>(&'a self, message: &'a Message, now: Micros) -> Delivering<'a> {
        Box::pin(self.send(message, now))
    }

    fn given_up<'a>(&'a self, _message: &'a Message, _error: &'a str, _now: Micros) -> TellingEnd<'a> {
        // The log and the metrics tell of it.
        Box::pin(std::future::ready(()))
    }
}
