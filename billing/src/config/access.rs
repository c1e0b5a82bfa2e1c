//! The section `access`: who may use the business API.

use std::path::PathBuf;

use common::plan::{RateLimit, RateLimits};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::Environment;
use crate::access::{BootstrapToken, BootstrapTokenError, GUESS_RATE, TENANT_RATE, oidc::OidcConfig};

/// Access to the business API: rates, proxies and the ingest token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccessConfig {
    /// File that holds what the first admin presents.
    pub bootstrap_token_file: Option<PathBuf>,
    /// The OIDC provider whose tokens are accepted.
    pub oidc: Option<OidcConfig>,
    /// Requests that all admin keys of a tenant together may make in a minute.
    #[serde(deserialize_with = "per_minute")]
    pub tenant_requests_per_minute: RateLimit,
    /// Failed logins that one address may make in a minute.
    #[serde(deserialize_with = "per_minute")]
    pub failed_credentials_per_minute: RateLimit,
    /// Proxies whose word on the caller's address is trusted.
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self {
            bootstrap_token_file: None,
            oidc: None,
            tenant_requests_per_minute: TENANT_RATE,
            failed_credentials_per_minute: GUESS_RATE,
            trusted_proxies: Vec::new(),
        }
    }
}

impl AccessConfig {
    /// The bootstrap token, from the environment if it is there, else from `bootstrap_token_file`;
    /// none if neither is.
    pub fn bootstrap_token(&self, environment: &Environment) -> Result<Option<BootstrapToken>, BootstrapTokenError> {
        BootstrapToken::load(environment.bootstrap_token.as_deref(), self.bootstrap_token_file.as_deref())
    }
}

fn per_minute<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RateLimit, D::Error> {
    let limit = RateLimit::deserialize(deserializer)?;
    let limits = RateLimits { per_minute: Some(limit), ..RateLimits::default() };
    limits.validate().map_err(|error| de::Error::custom(error.reason))?;
    Ok(limit)
}
