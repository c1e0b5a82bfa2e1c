//! A client's certificate in words: its subject, its alternative names and its fingerprint.
//!
//! Invariant: two different subjects are never written alike. Characters with a meaning in a
//! distinguished name (RFC 4514), and all that is not visible ASCII, are escaped.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use x509_parser::{
    der_parser::oid::Oid,
    objects::{oid_registry, oid2abbrev},
    prelude::{AttributeTypeAndValue, FromDer as _, GeneralName, X509Certificate, X509Name},
};

/// A verified certificate of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The subject as in RFC 4514, the most specific part first: `CN=billing,O=Example`.
    pub subject: String,
    /// Alternative names, each as `dns:name`, `uri:text`, `email:address` or `ip:address`.
    pub names: Vec<String>,
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub fingerprint: String,
    /// The end of its validity, in seconds since 1970.
    pub not_after: i64,
}

impl ClientCertificate {
    /// Reads a certificate in DER; none if it cannot be read.
    pub fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let names = certificate.subject_alternative_name().ok()?;
        let names = names.iter().flat_map(|names| &names.value.general_names).filter_map(written);
        Some(Self {
            subject: distinguished_name(certificate.subject()),
            names: names.collect(),
            fingerprint: hexadecimal(&Sha256::digest(der)),
            not_after: certificate.validity().not_after.timestamp(),
        })
    }

    /// Returns true if a certificate may have this text as its subject or as one of its names.
    pub fn may_be_named(text: &str) -> bool {
        let is_subject = text.split_once('=').is_some_and(|(kind, _)| {
            kind.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
                && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
        });
        is_subject || ["dns:", "uri:", "email:", "ip:"].iter().any(|kind| text.starts_with(kind))
    }

    /// Returns true if its validity has ended by `now`, in seconds since 1970.
    pub const fn has_expired(&self, now: i64) -> bool {
        self.not_after < now
    }
}

/// The name as RFC 4514 writes it.
fn distinguished_name(name: &X509Name<'_>) -> String {
    let parts: Vec<String> = name.iter().map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+")).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = kind(attribute.attr_type());
    match attribute.as_str() {
        Ok(value) => format!("{kind}={}", escaped(value)),
        Err(_) => format!("{kind}=#{}", hexadecimal(attribute.as_slice())),
    }
}

fn kind(oid: &Oid<'_>) -> String {
    oid2abbrev(oid, oid_registry()).map_or_else(|_| oid.to_id_string(), ToOwned::to_owned)
}

fn written(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(format!("dns:{}", escaped(&name.to_ascii_lowercase()))),
        GeneralName::URI(uri) => Some(format!("uri:{}", escaped(uri))),
        GeneralName::RFC822Name(address) => Some(format!("email:{}", escaped(address))),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| format!("ip:{address}")),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<std::net::IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(Into::into);
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(Into::into)).ok()
}

/// The text in visible ASCII, with a backslash before what has a meaning in a distinguished name.
fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let last = text.len().saturating_sub(1);
    for (index, byte) in text.bytes().enumerate() {
        let is_edge = index == 0 || index == last;
        match byte {
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => written.extend(['\\', char::from(byte)]),
            b'#' if index == 0 => written.push_str("\\#"),
            b' ' if is_edge => written.push_str("\\ "),
            b' '..=b'~' => written.push(char::from(byte)),
            // Writing into a string does not fail.
            _ => _ = write!(written, "\\{byte:02X}"),
        }
    }
    written
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn text_that_would_look_like_another_name_is_escaped() {
        for (text, written) in [
            ("plain name", "plain name"),
            ("a,O=other", "a\\,O=other"),
            ("a+CN=b", "a\\+CN=b"),
            ("back\\slash", "back\\\\slash"),
            (" edge ", "\\ edge\\ "),
            ("#1", "\\#1"),
            ("line\r\nX-Tenant-Id: 1", "line\\0D\\0AX-Tenant-Id: 1"),
            ("Zoë", "Zo\\C3\\AB"),
            ("", ""),
        ] {
            assert_eq!(escaped(text), written);
        }
    }
}
