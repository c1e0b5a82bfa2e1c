//! A letter: what a template has written, and the mail that it becomes.

use common::{
    mail::{MailAddress, MailPurpose},
    outbox::Message,
};
use lettre::message::{
    Mailbox, MultiPart,
    header::{ContentType, Header, HeaderName, HeaderValue},
};
use serde::Serialize;

use super::{Attachment, Envelope};

/// Subject and text of a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Letter {
    /// The subject, one line.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
}

/// `List-Unsubscribe` (RFC 2369).
#[derive(Clone)]
struct ListUnsubscribe(String);

/// `Auto-Submitted` (RFC 3834): no program answers it.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for ListUnsubscribe {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe")
    }

    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(text.trim_start_matches('<').trim_end_matches('>').to_owned()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), format!("<{}>", self.0))
    }
}

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Letter {
    /// The mail to an address, with a document if one belongs to it. An error in words if the letter cannot be one.
    pub(super) fn to_mail(
        &self,
        (envelope, address): (&Envelope, &MailAddress),
        message: &Message,
        purpose: Option<MailPurpose>,
        attached: Option<Attachment>,
    ) -> Result<lettre::Message, String> {
        let to: Mailbox = address.as_str().parse().map_err(|error| format!("{address}: {error}"))?;
        let domain = envelope.from.email.domain();
        let written = u64::try_from(message.created_at.seconds()).unwrap_or_default();
        let mut builder = lettre::Message::builder()
            .from(envelope.from.clone())
            .to(to)
            .subject(self.subject.clone())
            .message_id(Some(format!("<{}@{domain}>", message.id)))
            .date(std::time::UNIX_EPOCH + std::time::Duration::from_secs(written))
            .header(AutoSubmitted);
        if let Some(reply_to) = &envelope.reply_to {
            builder = builder.reply_to(reply_to.clone());
        }
        if let Some(url) = envelope.unsubscribe_from(purpose) {
            builder = builder.header(ListUnsubscribe(url.to_owned()));
        }
        let text = MultiPart::alternative_plain_html(self.text.clone(), self.html.clone());
        let content = match attached {
            Some(Attachment { name, bytes }) => {
                let kind = ContentType::parse("application/pdf").map_err(|error| error.to_string())?;
                let file = lettre::message::Attachment::new(name).body(bytes, kind);
                MultiPart::mixed().multipart(text).singlepart(file)
            }
            None => text,
        };
        builder.multipart(content).map_err(|error| error.to_string())
    }
}
