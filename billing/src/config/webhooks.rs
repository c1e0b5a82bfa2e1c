//! The section `webhooks`: where `billing serve` may send events to.

use common::key::{IpNet, parse_network};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

/// The `webhooks` section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct WebhooksConfig {
    /// True: endpoints may be spoken to without TLS. For tests and networks of one's own.
    pub allow_http: bool,
    /// Networks that messages may go to although they are not reachable by everybody, as in
    /// `10.1.0.0/16`. All others of that kind are refused: whoever makes an endpoint could reach what
    /// only this host may reach.
    #[serde(deserialize_with = "networks")]
    #[schemars(with = "Vec<String>")]
    pub allow_networks: Vec<IpNet>,
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| parse_network(text).map_err(de::Error::custom)).collect()
}

#[cfg(test)]
mod tests {
    use common::config;

    use super::*;

    #[test]
    fn only_networks_of_everybody_are_sent_to_unless_said_otherwise() {
        let parse =
            |text: &str| config::parse::<WebhooksConfig>(text, "billing.yaml").map_err(|error| error.to_string());
        assert_eq!(parse("{}").unwrap(), WebhooksConfig::default());
        let open = parse("allow_networks: [10.0.0.0/8, '::1']").unwrap();
        assert_eq!(open.allow_networks.len(), 2);
        assert!(parse("allow_networks: [inside]").unwrap_err().starts_with("billing.yaml:1:"));
    }
}
