//! Where a request comes from: the peer of the connection, or what the proxies before it say, as far as they are trusted.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

/// The header in which each proxy adds the address that it was called from.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Bits of an IPv6 address that tell subscribers apart: each has all addresses below.
const SUBSCRIBER_BITS: u32 = 64;

/// Longest name of a request that is taken over from its sender.
const REQUEST_ID_LONGEST: usize = 128;

/// The address of the client behind `peer`: the last one in `X-Forwarded-For` that is not of a trusted proxy.
pub(super) fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    if !is_trusted(&client) {
        return client;
    }
    let lines: Vec<&[u8]> = headers.get_all(FORWARDED_FOR).iter().map(HeaderValue::as_bytes).collect();
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b',')) {
        // What cannot be read hides who called: the proxy that wrote it answers for it.
        let Some(before) = parse(entry) else {
            return client;
        };
        client = before;
        if !is_trusted(&client) {
            break;
        }
    }
    client
}

/// The address that stands for all of one subscriber's: an IPv4 address, or the first of an IPv6 /64.
pub(super) const fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> SUBSCRIBER_BITS << SUBSCRIBER_BITS)),
    }
}

/// The name of a request: the sender's own if it is one, else a new one.
pub(super) fn request_id(sent: Option<&HeaderValue>) -> String {
    let sane = |text: &&str| {
        (1..=REQUEST_ID_LONGEST).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    match sent.and_then(|value| value.to_str().ok()).filter(sane) {
        Some(id) => id.to_owned(),
        None => format!("{:032x}", rand::random::<u128>()),
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
