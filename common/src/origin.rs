//! The origin of a request, for every HTTP interface alike: the peer of the connection, or the
//! address that trusted proxies report; and the id of the request in logs and answers.
//!
//! Invariant: a client that is not a trusted proxy cannot choose the address that it is taken for.
//! Only the last addresses of `X-Forwarded-For` were written by trusted proxies; anything before
//! them may have been made up by the client.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

use crate::hex;

/// The header in which each proxy adds the address that it was called from.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Bits of an IPv6 address that tell subscribers apart: each has all addresses below.
const SUBSCRIBER_BITS: u32 = 64;

/// Longest name of a request that is taken over from its sender.
const REQUEST_ID_LONGEST: usize = 128;

/// The address of the client behind `peer`: the last one in `X-Forwarded-For` that is not of a
/// trusted proxy.
pub fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    hops(peer, headers, trusted).last().unwrap_or_else(|| peer.to_canonical())
}

/// The addresses that a request came through, from `peer` back to the client: those that trusted
/// proxies vouch for. An IPv4 address stands as such, also where the socket that it came from is
/// one for IPv6.
pub fn hops(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> impl Iterator<Item = IpAddr> {
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    // What cannot be read hides who called: the proxy that wrote it answers for it.
    let before = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')).map_while(parse);
    let mut vouched = true;
    std::iter::once(peer.to_canonical())
        .chain(before)
        .take_while(move |address| std::mem::replace(&mut vouched, is_trusted(*address, trusted)))
}

/// Returns true if the address is that of a trusted proxy.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

/// The address that stands for all of one subscriber's: an IPv4 address, or the first of an IPv6
/// /64.
pub const fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> SUBSCRIBER_BITS << SUBSCRIBER_BITS)),
    }
}

/// The name of a request: the sender's own if it is one, else a new one.
pub fn request_id(sent: Option<&HeaderValue>) -> String {
    let sane = |text: &&str| {
        (1..=REQUEST_ID_LONGEST).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match sent.and_then(|value| value.to_str().ok()).filter(sane) {
        Some(id) => id.to_owned(),
        None => String::from_utf8_lossy(&hex::digits(rand::random())).into_owned(),
    }
}

/// An address as proxies write it: with or without port, IPv6 with or without brackets.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address: Option<IpAddr> = text.parse().ok().or_else(bracketed).or_else(with_port);
    address.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn header_of_untrusted_peer_is_ignored() {
        assert_eq!(found("203.0.113.9", &["198.51.100.1"], &[]), "203.0.113.9");
        assert_eq!(found("203.0.113.9", &["198.51.100.1"], &["10.0.0.0/8"]), "203.0.113.9");
    }

    #[test]
    fn last_address_outside_trusted_proxies_is_the_client() {
        let trusted = ["10.0.0.0/8", "2001:db8:1::/48"];
        assert_eq!(found("10.0.0.1", &["198.51.100.1"], &trusted), "198.51.100.1");
        assert_eq!(found("10.0.0.1", &["8.8.8.8, 198.51.100.1, 10.0.0.2"], &trusted), "198.51.100.1");
        assert_eq!(found("10.0.0.1", &["8.8.8.8", "198.51.100.1,10.0.0.2"], &trusted), "198.51.100.1");
        assert_eq!(found("2001:db8:1::5", &["[2001:db8:2::7]:4711"], &trusted), "2001:db8:2::7");
        assert_eq!(found("::ffff:10.0.0.1", &["198.51.100.1:80"], &trusted), "198.51.100.1");
    }

    #[test]
    fn hops_end_with_client_in_canonical_form() {
        let all = |peer: &str, forwarded: &[&str]| -> Vec<String> {
            let mut headers = HeaderMap::new();
            for line in forwarded {
                headers.append(FORWARDED_FOR, line.parse().unwrap());
            }
            let trusted = ["10.0.0.0/8".parse().unwrap()];
            hops(peer.parse().unwrap(), &headers, &trusted).map(|address| address.to_string()).collect()
        };
        assert_eq!(all("::ffff:203.0.113.9", &["10.0.0.9"]), ["203.0.113.9"]);
        assert_eq!(
            all("::ffff:10.0.0.1", &["6.6.6.6, ::ffff:198.51.100.1", "10.0.0.2"]),
            ["10.0.0.1", "10.0.0.2", "198.51.100.1"]
        );
        assert_eq!(all("10.0.0.1", &["198.51.100.1, unknown"]), ["10.0.0.1"]);
        assert_eq!(all("10.0.0.1", &[]), ["10.0.0.1"]);
    }

    #[test]
    fn header_without_client_makes_proxy_the_client() {
        let trusted = ["10.0.0.0/8"];
        assert_eq!(found("10.0.0.1", &[], &trusted), "10.0.0.1");
        assert_eq!(found("10.0.0.1", &["10.0.0.3, 10.0.0.2"], &trusted), "10.0.0.3");
        for unreadable in ["", "unknown", "198.51.100.1, _hidden", "198.51.100.1, 300.1.1.1", "8.8.8.8 9.9.9.9"] {
            assert_eq!(found("10.0.0.1", &[unreadable], &trusted), "10.0.0.1", "{unreadable}");
        }
    }

    #[test]
    fn addresses_of_one_subscriber_share_a_prefix() {
        let of = |text: &str| subscriber(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("2001:db8:1:3::1"), "2001:db8:1:3::");
        assert_eq!(of("::ffff:198.51.100.1"), "198.51.100.1");
    }

    #[test]
    fn valid_request_id_is_kept_and_others_replaced() {
        let id = |text: &str| request_id(Some(&HeaderValue::from_str(text).unwrap()));
        assert_eq!(id("a-B_9."), "a-B_9.");
        for wrong in ["", "a b", "a\"b", &"x".repeat(129)] {
            let made = id(wrong);
            assert!(made != wrong && made.len() == 32, "{wrong}: {made}");
        }
        assert_ne!(request_id(None), request_id(None));
    }
}
