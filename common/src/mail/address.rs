//! Addresses of mail: what this system sends to, which is less than the standards allow.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longest address.
const LENGTH_MAX: usize = 254;

/// An address of mail, as in `billing@example.com`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailAddress(String);

/// The reason why a text is no address of mail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address of mail: write it as in billing@example.com")]
pub struct MailAddressError(String);

impl MailAddress {
    /// The address itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same address in lower case: mailboxes that differ in case alone are one.
    #[must_use]
    pub fn to_lowercase(&self) -> Self {
        Self(self.0.to_ascii_lowercase())
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl FromStr for MailAddress {
    type Err = MailAddressError;

    fn from_str(text: &str) -> Result<Self, MailAddressError> {
        let refused = || MailAddressError(text.chars().take(80).collect());
        let (local, domain) = text.rsplit_once('@').ok_or_else(refused)?;
        let is_local = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&byte);
        let dots_are_inside = !local.starts_with('.') && !local.ends_with('.') && !local.contains("..");
        let local_fits = (1..=64).contains(&local.len()) && local.bytes().all(is_local) && dots_are_inside;
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() <= LENGTH_MAX && local_fits && domain.split('.').all(is_label) {
            return Ok(Self(text.to_owned()));
        }
        Err(refused())
    }
}

impl Serialize for MailAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MailAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_could_forge_a_header_or_a_command_is_no_address() {
        for good in ["a@b", "billing@example.com", "first.last+tag@mail.example.co.uk", "o'neil@xn--bcher-kva.example"]
        {
            assert_eq!(good.parse::<MailAddress>().unwrap().as_str(), good);
        }
        for bad in [
            "",
            "nobody",
            "@example.com",
            "a@",
            "a b@example.com",
            "a@example.com\r\nBcc: b@example.com",
            "<a@example.com>",
            "A <a@example.com>",
            "a@b@c",
            "a..b@example.com",
            ".a@example.com",
            "a@-example.com",
            "a@example..com",
            "\"a b\"@example.com",
            "ä@example.com",
        ] {
            assert!(bad.parse::<MailAddress>().is_err(), "{bad:?}");
        }
        assert!(format!("{}@example.com", "a".repeat(65)).parse::<MailAddress>().is_err());
    }
}
