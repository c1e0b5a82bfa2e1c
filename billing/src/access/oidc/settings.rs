//! The section `access.oidc`: the identity provider, and the claims for role and tenant.

use std::path::PathBuf;

use common::jwt::{CLOCK_SKEW_DEFAULT_SECONDS, CLOCK_SKEW_MAX_SECONDS, IssuerSettings, check_issuer_url};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

/// The OIDC provider whose tokens are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
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
    /// The client as which people sign in to console and portal; without it, they do not.
    #[serde(default)]
    pub client_id: Option<String>,
    /// File with the secret of that client; a public client has none.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// Scopes that a sign-in asks for, separated by blanks.
    #[serde(default = "default_scope", deserialize_with = "filled")]
    pub scope: String,
    /// Resource that the access token is asked for (RFC 8707), where the provider wants one.
    #[serde(default)]
    pub resource: Option<String>,
}

fn default_scope() -> String {
    "openid".into()
}

fn default_tenant_claim() -> String {
    "tollgate.tenant".into()
}

fn default_role_claim() -> String {
    "tollgate.role".into()
}

impl OidcConfig {
    /// The provider as an issuer of tokens.
    pub(super) fn issuer(&self) -> IssuerSettings {
        IssuerSettings {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            keys_url: None,
            clock_skew_seconds: self.clock_skew_seconds,
        }
    }
}

const fn default_clock_skew() -> u64 {
    CLOCK_SKEW_DEFAULT_SECONDS
}

fn issuer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    check_issuer_url(&text).map_err(de::Error::custom)?;
    Ok(text)
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
