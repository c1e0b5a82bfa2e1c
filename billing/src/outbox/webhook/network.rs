//! Networks that messages may go to: what is reachable by everybody, and what the settings allow.
//!
//! Invariant: a connection goes only to an address that was checked: names are resolved by
//! [`CheckedNames`], which gives the client those of their addresses that may be sent to, and an address
//! in a URL is checked as it stands.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use common::key::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// IPv4 networks that are not reachable by everybody: address and length of the prefix.
const CLOSED_V4: [(Ipv4Addr, u32); 16] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// IPv6 networks within `2000::/3` that are not reachable by everybody, or that lead to IPv4.
const CLOSED_V6: [(Ipv6Addr, u32); 5] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
];

/// The networks that may be sent to.
#[derive(Debug, Clone, Default)]
pub struct Networks {
    allowed: Arc<[IpNet]>,
}

/// Resolves names to those of their addresses that may be sent to.
pub(super) struct CheckedNames(pub(super) Networks);

/// The reason why nothing is sent to an address or a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Addresses that are not everybody's.
    #[error("{0} is not reachable by everybody: nothing is sent there unless `webhooks.allow_networks` has it")]
    Closed(String),
    /// A name without addresses.
    #[error("{0} has no address")]
    Nowhere(String),
}

impl Networks {
    /// Everybody's networks, and these.
    pub fn with(allowed: &[IpNet]) -> Self {
        Self { allowed: allowed.into() }
    }

    /// Returns true if messages may go to this address.
    pub fn holds(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.allowed.iter().any(|network| network.contains(&address)) || is_open(address)
    }

    /// Refuses an address that nothing is sent to.
    pub fn check(&self, address: IpAddr) -> Result<(), NetworkError> {
        if self.holds(address) { Ok(()) } else { Err(NetworkError::Closed(address.to_string())) }
    }
}

/// Returns true if an address is reachable by everybody.
fn is_open(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !CLOSED_V4.iter().any(|(network, length)| {
            let mask = u32::MAX << (32 - length);
            address.to_bits() & mask == network.to_bits()
        }),
        IpAddr::V6(address) => {
            // Only 2000::/3 is given out.
            address.to_bits() >> 125 == 1
                && !CLOSED_V6.iter().any(|(network, length)| {
                    let mask = u128::MAX << (128 - length);
                    address.to_bits() & mask == network.to_bits() & mask
                })
        }
    }
}

impl Resolve for CheckedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let networks = self.0.clone();
        Box::pin(async move {
            let name = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let checked = checked(&networks, &name, found)?;
            Ok(Box::new(checked.into_iter()) as Addrs)
        })
    }
}

/// Those addresses of a name that may be sent to.
fn checked(networks: &Networks, name: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, NetworkError> {
    let Some(first) = found.first().copied() else { return Err(NetworkError::Nowhere(name.to_owned())) };
    let open: Vec<SocketAddr> = found.into_iter().filter(|address| networks.holds(address.ip())).collect();
    if open.is_empty() {
        return Err(NetworkError::Closed(format!("{name} ({})", first.ip())));
    }
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn only_addresses_of_everybody_are_open() {
        let networks = Networks::default();
        for open in ["1.1.1.1", "8.8.8.8", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"] {
            assert!(networks.holds(address(open)), "{open}");
        }
        for closed in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::1",
        ] {
            assert!(!networks.holds(address(closed)), "{closed}");
        }
    }

    #[test]
    fn settings_open_networks() {
        let networks = Networks::with(&["127.0.0.0/8".parse().unwrap()]);
        assert!(networks.holds(address("127.0.0.1")) && networks.holds(address("::ffff:127.0.0.1")));
        assert!(!networks.holds(address("10.0.0.1")));
        assert!(networks.check(address("10.0.0.1")).unwrap_err().to_string().contains("webhooks.allow_networks"));
    }

    #[test]
    fn name_is_sent_to_at_its_open_addresses_only() {
        let of = |texts: &[&str]| texts.iter().map(|text| SocketAddr::new(address(text), 0)).collect::<Vec<_>>();
        let networks = Networks::default();
        assert_eq!(checked(&networks, "mixed", of(&["10.0.0.1", "1.1.1.1"])).unwrap(), of(&["1.1.1.1"]));
        let closed = checked(&networks, "inside", of(&["10.0.0.1", "::1"])).unwrap_err();
        assert_eq!(closed, NetworkError::Closed("inside (10.0.0.1)".into()));
        assert_eq!(checked(&networks, "none", Vec::new()).unwrap_err(), NetworkError::Nowhere("none".into()));
    }
}
