//! Addresses that may use a route. They are asked before the key is.

use std::net::IpAddr;

use ipnet::IpNet;

/// Networks that may use a route, and networks that may not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Addresses {
    /// If there are any, nobody else may.
    pub(crate) allow: Vec<IpNet>,
    /// These may not, even if they are allowed.
    pub(crate) deny: Vec<IpNet>,
}

impl Addresses {
    /// Returns true if a client may use the route from there. An address that is not known may not:
    /// it may be one that is denied.
    pub(crate) fn admit(&self, address: Option<IpAddr>) -> bool {
        let Some(address) = address.map(|address| address.to_canonical()) else { return false };
        let is_in = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&address));
        !is_in(&self.deny) && (self.allow.is_empty() || is_in(&self.allow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn denied_addresses_and_those_that_are_not_allowed_may_not() {
        let networks = |all: &[&str]| all.iter().map(|network| network.parse().unwrap()).collect();
        let both = Addresses { allow: networks(&["10.0.0.0/8", "2001:db8::/32"]), deny: networks(&["10.1.0.0/16"]) };
        let only_denied = Addresses { allow: Vec::new(), ..both.clone() };
        let cases = [
            ("10.0.0.1", true, true),
            ("::ffff:10.0.0.1", true, true),
            ("10.1.0.1", false, false),
            ("::ffff:10.1.0.1", false, false),
            ("2001:db8::1", true, true),
            ("192.0.2.1", false, true),
        ];
        for (address, by_both, by_denied) in cases {
            let address = Some(address.parse().unwrap());
            assert_eq!((both.admit(address), only_denied.admit(address)), (by_both, by_denied), "{address:?}");
        }
        assert!(!both.admit(None) && !only_denied.admit(None));
    }
}
