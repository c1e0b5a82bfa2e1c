//! The settings `allow_addresses` and `deny_addresses` of a route: who may use it, by address.

use std::net::IpAddr;

use common::config::quoted;
use ipnet::IpNet;

use super::route::RouteCheck;
use crate::filter::addresses::Addresses;

impl RouteCheck<'_, '_> {
    /// Addresses that may use the route; none if all may.
    pub(super) fn addresses(&self) -> Option<Addresses> {
        let (allow, deny) = (&self.file.allow_addresses, &self.file.deny_addresses);
        if allow.is_empty() && self.check.has("allow_addresses") && !self.check.is_unusable() {
            self.refuse(
                "allow_addresses",
                "`allow_addresses` is empty, which allows nobody: name networks, or remove it",
            );
        }
        if allow.is_empty() && deny.is_empty() {
            return None;
        }
        Some(Addresses {
            allow: self.each("allow_addresses", allow, network).collect(),
            deny: self.each("deny_addresses", deny, network).collect(),
        })
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| format!("{} is not a network: write it as in 10.0.0.0/8 or 10.0.0.1", quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, Settings};

    fn of(fields: &str) -> Result<Option<Addresses>, String> {
        let text = format!(
            "upstreams: {{ a: {{ servers: ['127.0.0.1:1'] }} }}\nroutes:\n  - {{ name: a, path: /, upstream: a{fields} }}\n"
        );
        let settings = Settings::parse(&text, "gateway.yaml", &Overrides::default());
        settings.map(|settings| settings.routes[0].addresses.clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_are_networks_or_single_ones() {
        assert_eq!(of(""), Ok(None));
        let found = of(", allow_addresses: [10.0.0.0/8, '2001:db8::1'], deny_addresses: [10.1.2.3]").unwrap().unwrap();
        assert_eq!(found.allow, ["10.0.0.0/8".parse().unwrap(), "2001:db8::1/128".parse::<IpNet>().unwrap()]);
        assert_eq!(found.deny, ["10.1.2.3/32".parse::<IpNet>().unwrap()]);
        for (fields, reason) in [
            (", allow_addresses: [10.0.0.0/33]", "`10.0.0.0/33` is not a network"),
            (", deny_addresses: [localhost]", "`localhost` is not a network"),
            (", allow_addresses: []", "allows nobody"),
        ] {
            let told = of(fields).unwrap_err();
            assert!(told.starts_with("gateway.yaml:3:") && told.contains(reason), "{fields}: {told}");
        }
    }
}
