//! The section `access.oidc`: the identity provider, and the claims for role and tenant.

use serde::{Deserialize, Deserializer, de};

/// Largest clock skew that may be set.
const CLOCK_SKEW_MAX_SECONDS: u64 = 600;

/// The OIDC provider whose tokens are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcConfig {
    /// The issuer in its tokens, and the base URL of its discovery document.
    #[serde(deserialize_with = "issuer")]
    pub issuer: String,
    /// The audience that its tokens must name.
    #[serde(deserialize_with = "filled")]
    pub audience: String,
    /// The claim with the id of the tenant; dots lead inside.
    #[serde(default = "default_tenant_claim", deserialize_with = "filled")]
    pub tenant_claim: String,
    /// The claim with the role, or a list of roles.
    #[serde(default = "default_role_claim", deserialize_with = "filled")]
    pub role_claim: String,
    /// Largest difference between the provider's clock and ours.
    #[serde(default = "default_clock_skew", deserialize_with = "clock_skew")]
    pub clock_skew_seconds: u64,
}

fn default_tenant_claim() -> String {
    "tollgate.tenant".into()
}

fn default_role_claim() -> String {
    "tollgate.role".into()
}

const fn default_clock_skew() -> u64 {
    60
}

fn issuer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let url: reqwest::Url =
        text.parse().map_err(|error| de::Error::custom(format!("`{text}` is not an issuer's URL: {error}")))?;
    let is_local = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    match url.scheme() {
        "https" => Ok(text),
        // A provider for tests.
        "http" if is_local => Ok(text),
        _ => Err(de::Error::custom(format!("`{text}` is not an issuer: it has to be an https:// URL"))),
    }
}

fn filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() {
        return Err(de::Error::custom("must not be empty"));
    }
    Ok(text)
}

fn clock_skew<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let seconds = u64::deserialize(deserializer)?;
    if seconds <= CLOCK_SKEW_MAX_SECONDS {
        return Ok(seconds);
    }
    Err(de::Error::custom(format!("`clock_skew_seconds` must be at most {CLOCK_SKEW_MAX_SECONDS}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<OidcConfig, String> {
        common::config::parse(text, "billing.yaml").map_err(|error| error.to_string())
    }

    #[test]
    fn issuer_and_audience_suffice() {
        let config = parse("issuer: https://id.example/realms/a\naudience: tollgate\n").unwrap();
        assert_eq!((config.tenant_claim.as_str(), config.clock_skew_seconds), ("tollgate.tenant", 60));
    }

    #[test]
    fn untrustworthy_settings_are_refused() {
        for (issuer, audience, more) in [
            ("http://id.example", "a", ""),
            ("id.example", "a", ""),
            ("ftp://127.0.0.1/", "a", ""),
            ("https://id.example", "' '", ""),
            ("https://id.example", "a", "clock_skew_seconds: 601"),
            ("https://id.example", "a", "role_claim: ''"),
        ] {
            let text = format!("issuer: {issuer}\naudience: {audience}\n{more}\n");
            assert!(parse(&text).unwrap_err().starts_with("billing.yaml:"), "{text}");
        }
        assert!(parse("issuer: http://127.0.0.1:9/\naudience: a\n").is_ok());
    }
}
