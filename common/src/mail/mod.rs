//! Mail: which mail an event causes, and who of a tenant gets it in which language.
//!
//! Invariant: mail that nobody is to get is told, not lost: its message stands in the outbox as given
//! up, and can be replayed once the tenant has an address. A tenant that wants no mail for a purpose
//! says so by an empty list.

mod address;
mod settings;
mod tell;

use std::{fmt, str::FromStr};

pub use address::{MailAddress, MailAddressError};
use serde::{Deserialize, Serialize};
pub use settings::MailSettings;
pub(crate) use settings::read as settings_of;
pub use tell::MailBody;
pub(crate) use tell::messages;

use crate::{event::EventType, word::UnknownWord};

/// Most addresses of one purpose.
pub const RECIPIENTS_MAX: usize = 10;

macro_rules! words {
    ($(#[$type_doc:meta])* $type:ident, $what:literal, $($(#[$doc:meta])* $variant:ident = $word:literal,)+) => {
        $(#[$type_doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum $type {
            $($(#[$doc])* $variant,)+
        }

        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            const WORDS: &str = concat!($($word, ", ",)+);

            /// The word in the store, in documents and on the command line.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
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
                let found = Self::ALL.iter().find(|one| one.as_str() == word).copied();
                found.ok_or_else(|| UnknownWord::new($what, Self::WORDS.trim_end_matches(", "), word))
            }
        }
    };
}

words! {
    /// Kinds of mail, each with a template.
    MailKind, "kind of mail",
    /// An invoice was finalized.
    Invoice = "invoice",
    /// A payment came in.
    Receipt = "receipt",
    /// A credit note was issued.
    CreditNote = "credit_note",
    /// A payment failed.
    PaymentFailed = "payment_failed",
    /// A payment waits until its payer confirms it.
    PaymentToConfirm = "payment_to_confirm",
    /// An invoice is not paid.
    Reminder = "reminder",
    /// 80 % or all of a quota is used.
    UsageThreshold = "usage_threshold",
    /// An API key is about to expire.
    KeyExpiring = "key_expiring",
    /// A webhook endpoint is not sent to any more.
    EndpointDisabled = "endpoint_disabled",
    /// A member asked for a link into the portal.
    SignIn = "sign_in",
}

words! {
    /// Purpose of mail: people of a tenant get it by purpose.
    MailPurpose, "purpose of mail",
    /// Invoices and credit notes.
    Invoices = "invoices",
    /// Payments, failed ones, reminders.
    Payments = "payments",
    /// Quotas that are mostly or fully used.
    Usage = "usage",
    /// API keys.
    Keys = "keys",
    /// Webhook endpoints.
    Webhooks = "webhooks",
}

words! {
    /// Languages that there are templates in.
    Language, "language",
    /// English.
    En = "en",
    /// German.
    De = "de",
}

impl MailKind {
    /// The mail that an event causes, if it does.
    pub const fn of(event: EventType) -> Option<Self> {
        match event {
            EventType::InvoiceFinalized => Some(Self::Invoice),
            EventType::PaymentSucceeded => Some(Self::Receipt),
            EventType::PaymentFailed => Some(Self::PaymentFailed),
            EventType::PaymentActionRequired => Some(Self::PaymentToConfirm),
            EventType::InvoiceUnpaid => Some(Self::Reminder),
            EventType::CreditNoteCreated => Some(Self::CreditNote),
            EventType::UsageThresholdReached => Some(Self::UsageThreshold),
            EventType::KeyExpiring => Some(Self::KeyExpiring),
            EventType::EndpointDisabled => Some(Self::EndpointDisabled),
            EventType::InvoicePaid
            | EventType::InvoiceVoided
            | EventType::InvoiceUncollectible
            | EventType::PaymentRefunded
            | EventType::PaymentDisputed
            | EventType::DisputeClosed
            | EventType::BudgetReached
            | EventType::SubscriptionChanged => None,
        }
    }

    /// Its purpose; none: it goes to whoever asked for it, and to nobody else.
    pub const fn purpose(self) -> Option<MailPurpose> {
        match self {
            Self::Invoice | Self::CreditNote => Some(MailPurpose::Invoices),
            Self::Receipt | Self::PaymentFailed | Self::PaymentToConfirm | Self::Reminder => {
                Some(MailPurpose::Payments)
            }
            Self::UsageThreshold => Some(MailPurpose::Usage),
            Self::KeyExpiring => Some(MailPurpose::Keys),
            Self::EndpointDisabled => Some(MailPurpose::Webhooks),
            Self::SignIn => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_mail_parse_back() {
        assert!(MailKind::ALL.iter().all(|kind| kind.as_str().parse() == Ok(*kind)));
        assert!(MailPurpose::ALL.iter().all(|purpose| purpose.as_str().parse() == Ok(*purpose)));
        assert!(Language::ALL.iter().all(|language| language.as_str().parse() == Ok(*language)));
        let refused = "fr".parse::<Language>().unwrap_err().to_string();
        assert!(refused.contains("one of en, de"), "{refused}");
    }
}
