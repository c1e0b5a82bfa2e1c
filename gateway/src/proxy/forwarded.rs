//! The origin of a request as the upstream is told it: the headers `X-Forwarded-*`.
//!
//! Invariant: what these headers say was seen by this gateway or by a trusted proxy. What any other
//! client sends under these names is removed. Of a trusted proxy, `-For` is continued, and
//! `-Proto`, `-Host`, `-Port` and `-Prefix` are passed on if they stand once and make sense.

use std::net::IpAddr;

use common::origin;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;
use pingora_core::{ErrorType, OrErr as _};
use smallvec::SmallVec;

use crate::address_text;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// Longest host or prefix that is passed on, in bytes.
const VALUE_MAX_BYTES: usize = 1_024;

/// The origin of a request: its client, and the proxies before this gateway.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// The addresses that it came through: the other end of the connection first, the client last.
    hops: SmallVec<[IpAddr; 2]>,
    /// True if the other end of the connection is a trusted proxy.
    behind_proxy: bool,
}

/// The headers of a trusted proxy that are passed on.
#[derive(Default)]
pub(super) struct Forwarded {
    proto: Option<&'static str>,
    host: Option<HeaderValue>,
    port: Option<HeaderValue>,
    prefix: Option<HeaderValue>,
}

impl Source {
    /// The source of a request with these headers, `peer` being the other end of the connection.
    pub(super) fn of(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let Some(peer) = peer else {
            return Self::default();
        };
        let hops = origin::hops(peer, headers, trusted).collect();
        Self { hops, behind_proxy: origin::is_trusted(peer, trusted) }
    }

    /// The client's address.
    pub(super) fn client(&self) -> Option<IpAddr> {
        self.hops.last().copied()
    }

    /// Returns true if a trusted proxy says that its client uses HTTPS.
    pub(super) fn came_by_https(&self, headers: &HeaderMap) -> bool {
        self.behind_proxy && proto(headers) == Some("https")
    }

    /// Returns the headers about the connections before this one, if they may be believed.
    pub(super) fn forwarded(&self, headers: &HeaderMap) -> Forwarded {
        if !self.behind_proxy {
            return Forwarded::default();
        }
        let sound = |name, is_sound: fn(&[u8]) -> bool| only(headers, &name).filter(|value| is_sound(value.as_bytes()));
        Forwarded {
            proto: proto(headers),
            host: sound(HOST, is_host).cloned(),
            port: sound(PORT, is_port).cloned(),
            prefix: sound(PREFIX, is_prefix).cloned(),
        }
    }
}

impl Forwarded {
    /// Writes the headers into those of a request that has none of them. `secure`: the connection
    /// to this gateway is TLS.
    pub(super) fn write(self, headers: &mut HeaderMap, source: &Source, secure: bool) -> pingora_core::Result<()> {
        if !source.hops.is_empty() {
            let chain = HeaderValue::from_bytes(&chain(&source.hops));
            headers.insert(FOR, chain.or_err(ErrorType::InternalError, "addresses that are no header")?);
        }
        let proto = self.proto.unwrap_or(if secure { "https" } else { "http" });
        headers.insert(PROTO, HeaderValue::from_static(proto));
        if let Some(host) = self.host.or_else(|| headers.get(header::HOST).cloned()) {
            headers.insert(HOST, host);
        }
        if let Some(port) = self.port {
            headers.insert(PORT, port);
        }
        if let Some(prefix) = self.prefix {
            headers.insert(PREFIX, prefix);
        }
        Ok(())
    }
}

/// The addresses as the header states them: the client first.
fn chain(hops: &[IpAddr]) -> address_text::AddressText {
    let mut text = address_text::AddressText::new();
    for hop in hops.iter().rev() {
        if !text.is_empty() {
            text.extend_from_slice(b", ");
        }
        text.extend_from_slice(&address_text::of_ip(*hop));
    }
    text
}

/// The scheme that the client of a proxy uses.
fn proto(headers: &HeaderMap) -> Option<&'static str> {
    let value = only(headers, &PROTO)?;
    let says = |proto: &&str| value.as_bytes().eq_ignore_ascii_case(proto.as_bytes());
    ["http", "https"].into_iter().find(says)
}

/// The value of a header that stands once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn is_host(value: &[u8]) -> bool {
    (1..=VALUE_MAX_BYTES).contains(&value.len())
        && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(byte))
}

fn is_port(value: &[u8]) -> bool {
    let digits = value.iter().all(u8::is_ascii_digit);
    digits && std::str::from_utf8(value).is_ok_and(|text| text.parse::<u16>().is_ok_and(|port| port != 0))
}

fn is_prefix(value: &[u8]) -> bool {
    value.len() <= VALUE_MAX_BYTES
        && value.starts_with(b"/")
        && !value.starts_with(b"//")
        && value.iter().all(|byte| byte.is_ascii_graphic() && !b"?#\\".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUSTED: [&str; 1] = ["10.0.0.0/8"];

    /// The headers that the upstream gets, in the order of their names.
    fn told(peer: &str, secure: bool, sent: &[(HeaderName, &str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("api.test"));
        for (name, value) in sent {
            headers.append(name, value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = TRUSTED.iter().map(|network| network.parse().unwrap()).collect();
        let source = Source::of(Some(peer.parse().unwrap()), &headers, &trusted);
        let forwarded = source.forwarded(&headers);
        for name in [FOR, PROTO, HOST, PORT, PREFIX] {
            headers.remove(name);
        }
        forwarded.write(&mut headers, &source, secure).unwrap();
        let mut lines: Vec<String> = headers
            .iter()
            .filter_map(|(name, value)| {
                let name = name.as_str().strip_prefix("x-forwarded-")?;
                Some(format!("{name}: {}", value.to_str().unwrap()))
            })
            .collect();
        lines.sort_unstable();
        lines
    }

    const SENT: [(HeaderName, &str); 5] = [
        (FOR, "6.6.6.6, 198.51.100.7"),
        (PROTO, "https"),
        (HOST, "shop.example.com:8443"),
        (PORT, "8443"),
        (PREFIX, "/shop"),
    ];

    #[test]
    fn stranger_is_believed_nothing() {
        let seen = ["for: 203.0.113.9", "host: api.test", "proto: http"];
        assert_eq!(told("203.0.113.9", false, &SENT), seen);
        assert_eq!(told("::ffff:203.0.113.9", false, &[]), seen);
        assert_eq!(told("2001:db8::1", true, &[]), ["for: 2001:db8::1", "host: api.test", "proto: https"]);
    }

    #[test]
    fn trusted_proxy_is_passed_on_from_the_client_that_it_saw() {
        let passed = [
            "for: 198.51.100.7, 10.0.0.1",
            "host: shop.example.com:8443",
            "port: 8443",
            "prefix: /shop",
            "proto: https",
        ];
        assert_eq!(told("10.0.0.1", false, &SENT), passed);
        assert_eq!(told("::ffff:10.0.0.1", false, &SENT), passed);
        let two = told("10.0.0.1", false, &[(FOR, "6.6.6.6"), (FOR, "198.51.100.7, 10.0.0.2"), (PROTO, "HTTP")]);
        assert_eq!(two, ["for: 198.51.100.7, 10.0.0.2, 10.0.0.1", "host: api.test", "proto: http"]);
    }

    #[test]
    fn senseless_word_of_a_trusted_proxy_is_replaced_by_what_is_seen() {
        let senseless: [&[(HeaderName, &str)]; 10] = [
            &[],
            &[(PROTO, "gopher")],
            &[(PROTO, "https, http")],
            &[(PROTO, "https"), (PROTO, "http")],
            &[(HOST, "a.test"), (HOST, "b.test")],
            &[(HOST, "a.test/evil")],
            &[(HOST, "")],
            &[(PORT, "0"), (PREFIX, "//evil.test")],
            &[(PORT, "+80"), (PREFIX, "shop")],
            &[(PORT, "65536"), (PREFIX, "/a\\b")],
        ];
        for sent in senseless {
            let seen = ["for: 10.0.0.1", "host: api.test", "proto: http"];
            assert_eq!(told("10.0.0.1", false, sent), seen, "{sent:?}");
        }
    }
}
