//! Ranges of addresses as people write them.

use std::net::IpAddr;

use ipnet::IpNet;

/// The reason why a text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Neither an address nor a range.
    #[error("`{0}` is not a range of addresses: write an address, or a range as in 203.0.113.0/24 or 2001:db8::/32")]
    Unreadable(String),
    /// An address inside a range: it could mean the one address or the whole range.
    #[error(
        "{stated} has bits beyond its prefix: write {network} for the whole range, or {address} for the one address"
    )]
    HostBits {
        /// As it was written.
        stated: IpNet,
        /// The range that it lies in.
        network: IpNet,
        /// The one address.
        address: IpAddr,
    },
}

/// Reads a range of addresses; a single address is a range of one. An address inside a range is
/// refused, as nobody can tell which of the two is meant.
pub fn parse_network(text: &str) -> Result<IpNet, NetworkError> {
    let single = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let stated = text.parse::<IpNet>().ok().or_else(single);
    let stated = stated.ok_or_else(|| NetworkError::Unreadable(text.chars().take(64).collect()))?;
    let network = stated.trunc();
    if network == stated {
        return Ok(stated);
    }
    Err(NetworkError::HostBits { stated, network, address: stated.addr() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_parses_ranges_and_addresses() {
        for (text, range) in [
            ("203.0.113.0/24", "203.0.113.0/24"),
            ("203.0.113.7", "203.0.113.7/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("2001:db8::1", "2001:db8::1/128"),
        ] {
            assert_eq!(parse_network(text).unwrap().to_string(), range);
        }
    }

    #[test]
    fn address_with_host_bits_is_refused_with_both_readings() {
        for (text, network, address) in [
            ("10.0.0.1/8", "write 10.0.0.0/8 for", "or 10.0.0.1 for"),
            ("192.168.1.255/25", "write 192.168.1.128/25 for", "or 192.168.1.255 for"),
            ("2001:db8::1/32", "write 2001:db8::/32 for", "or 2001:db8::1 for"),
            ("1.2.3.4/0", "write 0.0.0.0/0 for", "or 1.2.3.4 for"),
        ] {
            let refused = parse_network(text).unwrap_err().to_string();
            assert!(refused.contains(network) && refused.contains(address), "{refused}");
        }
        for text in ["", "acme", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/255.0.0.0", "::/129"] {
            assert!(matches!(parse_network(text), Err(NetworkError::Unreadable(_))), "{text}");
        }
    }
}
