//! The settings `trusted_proxies` and `limits.failed_credentials`: whose word on a client's address
//! is taken, and how often that address may send keys that are none.

use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;

/// Most failures a minute that may be allowed.
const FAILURES_MAX: u32 = 1_000_000;

/// The section `limits.failed_credentials` as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FailedCredentialsFile {
    /// True if failed keys are counted by address.
    enabled: bool,
    /// Failed keys of one address in a minute, beyond which it is answered 429.
    per_minute: u32,
}

/// Proxies that are trusted to name their clients, and how often credentials may fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSettings {
    /// Networks of the proxies before this gateway, whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Failed credentials that one client may send in a minute; any number if none.
    pub failures_most: Option<u32>,
}

impl Default for FailedCredentialsFile {
    fn default() -> Self {
        Self { enabled: true, per_minute: 300 }
    }
}

impl Check<'_> {
    pub(super) fn clients(&self, trusted_proxies: &[String], failures: &FailedCredentialsFile) -> ClientSettings {
        let network = |text: &String| {
            let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            network.map_err(|_| {
                let reason =
                    format!("`trusted_proxies`: `{text}` is not a network: write it as in 10.0.0.0/8 or 10.0.0.1");
                self.about_value("trusted_proxies", text, reason)
            })
        };
        let most = failures.per_minute;
        if !(1..=FAILURES_MAX).contains(&most) {
            let reason = format!(
                "`failed_credentials.per_minute` is {most}; it must be between 1 and {FAILURES_MAX}. To allow any \
                 number, set `enabled: false`"
            );
            let told = || self.note(self.about_value("per_minute", &most.to_string(), reason));
            self.inside("limits", || self.inside("failed_credentials", told));
        }
        ClientSettings {
            trusted_proxies: trusted_proxies.iter().filter_map(|text| self.noted(network(text))).collect(),
            failures_most: failures.enabled.then_some(most),
        }
    }
}
