//! Events: what happened, for others to hear of.
//!
//! Invariants: an event is written in the transaction of its cause, so that there is one if and only
//! if it happened; it never changes; events of one object are numbered in the order in which they
//! happened. Its id is what receivers tell repetitions by.
//!
//! Another type is one line of [`EventType`], and a call of [`emit`] where it happens.

mod rows;
mod tell;

use std::{fmt, str::FromStr};

pub(crate) use rows::{NewEvent, emit};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use crate::{
    id::{EventId, TenantId},
    time::{Micros, Zone},
    word::UnknownWord,
};

macro_rules! types {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// The types of events.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventType {
            $($(#[$doc])* $name,)*
        }

        impl EventType {
            /// All types.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            const WORDS: &str = concat!($($word, ", ",)*);

            /// The word in the store, in documents and in webhooks.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

types! {
    /// An invoice has its number.
    InvoiceFinalized = "invoice.finalized",
    /// Nothing is open of an invoice any more.
    InvoicePaid = "invoice.paid",
    /// An invoice counts as never issued.
    InvoiceVoided = "invoice.voided",
    /// An invoice was given up.
    InvoiceUncollectible = "invoice.uncollectible",
    /// A step of dunning was taken: a reminder is due, or the tenant is suspended.
    InvoiceUnpaid = "invoice.unpaid",
    /// A credit note was issued.
    CreditNoteCreated = "credit_note.created",
    /// A payment came in.
    PaymentSucceeded = "payment.succeeded",
    /// A provider could not collect a payment.
    PaymentFailed = "payment.failed",
    /// A payment waits until its payer confirms it.
    PaymentActionRequired = "payment.action_required",
    /// A payment went back, in whole or in part.
    PaymentRefunded = "payment.refunded",
    /// A payer's bank takes a payment back, or asks about it.
    PaymentDisputed = "payment.disputed",
    /// A payer's bank has decided about a dispute.
    DisputeClosed = "payment.dispute_closed",
    /// A tenant has used 80 % or all of a quota.
    UsageThresholdReached = "usage.threshold_reached",
    /// Usage has come to a threshold of a budget in money.
    BudgetReached = "budget.reached",
    /// An API key expires within 7 days.
    KeyExpiring = "key.expiring",
    /// The plan of a tenant, its terms or its end are others.
    SubscriptionChanged = "subscription.changed",
    /// An endpoint is not sent to any more.
    EndpointDisabled = "webhook_endpoint.disabled",
}

/// An event, as receivers hear of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Its type.
    pub kind: EventType,
    /// The tenant that it is about.
    pub tenant: TenantId,
    /// The thing whose events keep their order, by its id.
    pub object: String,
    /// Data about it.
    pub data: Value,
    /// Time at which it happened.
    pub at: Micros,
}

/// The tenant of an event, as messages need it.
#[derive(Debug, Clone)]
pub(crate) struct Hearer {
    /// Its name.
    pub(crate) name: String,
    /// Its clock.
    pub(crate) zone: Zone,
    /// The tenant and those above it, the root first.
    pub(crate) line: Vec<TenantId>,
}

impl fmt::Display for EventType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

impl FromStr for EventType {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.iter().find(|kind| kind.as_str() == word).copied();
        found.ok_or_else(|| UnknownWord::new("type of event", Self::WORDS.trim_end_matches(", "), word))
    }
}

impl Serialize for EventType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for EventType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_words_parse_back_and_unknown_word_lists_all() {
        for kind in EventType::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
        let refused = "invoice.sent".parse::<EventType>().unwrap_err().to_string();
        assert!(EventType::ALL.iter().all(|kind| refused.contains(kind.as_str())), "{refused}");
    }
}
