//! Ranges of addresses in documents: `203.0.113.0/24`. A single address may be written without a
//! prefix.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::key::{IpNet, parse_network};

/// A range of addresses in a document. An address inside a range is refused when it is read, as it
/// could mean either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(pub IpNet);

impl Network {
    /// The ranges of a document as ranges of the domain.
    pub fn ranges(networks: Vec<Self>) -> Vec<IpNet> {
        networks.into_iter().map(|Self(range)| range).collect()
    }

    /// Ranges of the domain as ranges of a document.
    pub fn of_ranges(ranges: impl IntoIterator<Item = IpNet>) -> Vec<Self> {
        ranges.into_iter().map(Self).collect()
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_network(&String::deserialize(deserializer)?).map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_with_host_bits_is_refused_and_an_address_is_a_range_of_one() {
        assert!(serde_json::from_str::<Network>("\"10.0.0.1/8\"").is_err());
        let one: Network = serde_json::from_str("\"203.0.113.7\"").unwrap();
        assert_eq!(serde_json::to_string(&one).unwrap(), "\"203.0.113.7/32\"");
    }
}
