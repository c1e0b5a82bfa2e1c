//! Opaque identifiers: 128-bit ULIDs with a prefix that says what they name.
//!
//! They sort by creation time, fit a journal slot as a plain number, and read as `ten_01jd…` or
//! `key_01jd…` wherever people meet them. A tenant's id can never be passed where a key's is
//! expected.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use ulid::Ulid;

/// Bytes of every identifier's text.
pub const TEXT_BYTES: usize = PREFIX_BYTES + ulid::ULID_LEN;

/// Bytes of every prefix.
const PREFIX_BYTES: usize = 4;

/// The reason why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a {what} id: expected `{prefix}` and 26 characters, as in `{prefix}01jd0000000000000000000000`"
)]
pub struct IdError {
    what: &'static str,
    prefix: &'static str,
    text: String,
}

macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u128);

        impl $name {
            /// A new identifier, unique without coordination.
            pub fn generate() -> Self {
                Self(Ulid::generate().0)
            }

            /// The identifier with this number, as a journal slot or a usage batch carries it.
            pub const fn from_u128(number: u128) -> Self {
                Self(number)
            }

            /// The number behind the text form.
            pub const fn as_u128(self) -> u128 {
                self.0
            }

            /// The text form, which is ASCII, without the machinery of formatting.
            pub fn text(self) -> [u8; TEXT_BYTES] {
                let mut text = [0; TEXT_BYTES];
                let (prefix, number) = text.split_at_mut(PREFIX_BYTES);
                prefix.copy_from_slice($prefix.as_bytes());
                let mut buffer = [0; ulid::ULID_LEN];
                Ulid(self.0).array_to_str(&mut buffer).make_ascii_lowercase();
                number.copy_from_slice(&buffer);
                text
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(std::str::from_utf8(&self.text()).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix($prefix)
                    .and_then(|encoded| Ulid::from_string(encoded).ok())
                    .map(|ulid| Self(ulid.0))
                    .ok_or_else(|| IdError {
                        what: $what,
                        prefix: $prefix,
                        text: text.chars().take(64).collect(),
                    })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

opaque_id!(
    /// A tenant: root, reseller or customer.
    TenantId, "tenant", "ten_"
);
opaque_id!(
    /// An API key's public identifier; it reveals nothing of the secret.
    KeyId, "key", "key_"
);
opaque_id!(
    /// An admin key's public identifier.
    AdminKeyId, "admin key", "adk_"
);
opaque_id!(
    /// A grant of money into a wallet.
    WalletGrantId, "grant", "grt_"
);
opaque_id!(
    /// A top-up of a wallet that was asked for.
    WalletTopUpId, "top-up", "top_"
);
opaque_id!(
    /// A finalized invoice.
    InvoiceId, "invoice", "inv_"
);
opaque_id!(
    /// A credit note.
    CreditNoteId, "credit note", "crn_"
);
opaque_id!(
    /// A payment.
    PaymentId, "payment", "pay_"
);
opaque_id!(
    /// Something that happened, of which receivers are told. The id is the same for every try and
    /// every receiver.
    EventId, "event", "evt_"
);
opaque_id!(
    /// A message of the outbox.
    MessageId, "message", "msg_"
);
opaque_id!(
    /// An endpoint that hears of events.
    WebhookEndpointId, "webhook endpoint", "whk_"
);
opaque_id!(
    /// An attempt to collect a payment.
    PaymentAttemptId, "payment attempt", "pat_"
);
opaque_id!(
    /// A payment that goes back by its provider.
    RefundAttemptId, "refund", "ref_"
);
opaque_id!(
    /// A booked entry of a bank statement.
    BankEntryId, "bank entry", "bke_"
);
opaque_id!(
    /// A payment that a payer's bank takes back.
    DisputeId, "dispute", "dsp_"
);
opaque_id!(
    /// Money that a provider sends to an issuer's bank.
    PayoutId, "payout", "pyo_"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_parses_back_from_text_and_number() {
        let id = TenantId::generate();
        assert_eq!(id.to_string().parse::<TenantId>(), Ok(id));
        assert_eq!(TenantId::from_u128(id.as_u128()), id);
        assert_eq!(id.to_string().len(), "ten_".len() + 26);
    }

    #[test]
    fn key_id_does_not_parse_as_tenant_id() {
        let error = KeyId::generate().to_string().parse::<TenantId>().unwrap_err();
        assert!(error.to_string().contains("is not a tenant id"), "{error}");
    }
}
