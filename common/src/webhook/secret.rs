//! Secrets of endpoints, and what is signed under them, by the Standard Webhooks specification.
//!
//! A secret is derived from the pepper, the endpoint and a number that rotation raises. So a copy of
//! the database signs nothing, and there is nothing to encrypt.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{
    id::{EventId, WebhookEndpointId},
    key::Pepper,
    time::Micros,
};

/// Beginning of the text form.
const PREFIX: &str = "whsec_";

/// A secret of an endpoint, known to its owner.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret([u8; 32]);

/// The value of the header `webhook-signature`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature(String);

impl WebhookSecret {
    /// The secret of this number of an endpoint.
    pub fn of(pepper: &Pepper, endpoint: WebhookEndpointId, number: i64) -> Self {
        Self(pepper.derive(&format!("tollgate webhook {endpoint} {number}")))
    }

    /// The text that its owner is shown once.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(self.0))
    }

    /// The signature of a message: its id, the time of this try in seconds, and the body.
    fn sign(&self, id: EventId, at: Micros, body: &str) -> String {
        // An HMAC accepts keys of every length.
        let Ok(mut keyed) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        keyed.update(format!("{id}.{}.", at.seconds()).as_bytes());
        keyed.update(body.as_bytes());
        format!("v1,{}", STANDARD.encode(keyed.finalize().into_bytes()))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("WebhookSecret(..)")
    }
}

impl Signature {
    /// Signs a message under each of these secrets: a receiver accepts it if it knows one of them.
    pub fn of(secrets: &[WebhookSecret], id: EventId, at: Micros, body: &str) -> Self {
        let signatures: Vec<String> = secrets.iter().map(|secret| secret.sign(id, at, body)).collect();
        Self(signatures.join(" "))
    }

    /// The value of the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_by_endpoint_number_and_pepper() {
        let (one, other) = (Pepper::new(b"0123456789abcdef").unwrap(), Pepper::new(b"0123456789abcdeg").unwrap());
        let (first, second) = (WebhookEndpointId::from_u128(1), WebhookEndpointId::from_u128(2));
        let texts = [
            WebhookSecret::of(&one, first, 1).expose(),
            WebhookSecret::of(&one, first, 2).expose(),
            WebhookSecret::of(&one, second, 1).expose(),
            WebhookSecret::of(&other, first, 1).expose(),
        ];
        let different: std::collections::BTreeSet<_> = texts.iter().collect();
        assert_eq!(different.len(), texts.len());
        assert!(texts.iter().all(|text| text.starts_with("whsec_") && text.len() == 6 + 44));
        assert_eq!(texts[0], WebhookSecret::of(&one, first, 1).expose(), "always the same");
        assert_eq!(format!("{:?}", WebhookSecret::of(&one, first, 1)), "WebhookSecret(..)");
    }

    #[test]
    fn signature_has_a_part_for_each_secret() {
        let pepper = Pepper::new(b"0123456789abcdef").unwrap();
        let secret = |number| WebhookSecret::of(&pepper, WebhookEndpointId::from_u128(1), number);
        let (id, at) = (EventId::from_u128(7), Micros(1_795_311_000_000_000));
        let both = Signature::of(&[secret(2), secret(1)], id, at, "{}");
        let parts: Vec<&str> = both.as_str().split(' ').collect();
        assert_eq!(parts.len(), 2);
        assert!(parts.iter().all(|part| part.starts_with("v1,")));
        assert_eq!(Signature::of(&[secret(1)], id, at, "{}").as_str(), parts[1]);
        assert_ne!(Signature::of(&[secret(1)], id, at, "{ }").as_str(), parts[1]);
    }
}
