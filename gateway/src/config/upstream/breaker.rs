//! The section `breaker` of an upstream: when requests are refused at once instead of forwarded.

use std::time::Duration;

use common::config::ConfigError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Statuses;
use crate::config::check::Check;

/// The circuit breaker of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Most requests in progress at once, if that is limited.
    pub most_in_flight: Option<u64>,
    /// Part of the requests that fail until the breaker opens, in percent; none if it never does.
    pub error_percent: Option<u32>,
    /// Requests in the window before their failures count.
    pub least_requests: u64,
    /// Time over which requests and failures are counted, in seconds.
    pub window_seconds: u64,
    /// Time for which the breaker stays open at first; twice as long after each trial that fails.
    pub open: Duration,
    /// Longest time for which it stays open.
    pub most_open: Duration,
    /// Requests that are let through to find out whether the upstream serves again.
    pub trials: u32,
    /// Statuses that count as failures, beside requests without an answer.
    pub statuses: Statuses,
}

/// The section as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BreakerFile {
    /// Most requests in progress; beyond it, 503.
    most_in_flight: Option<u64>,
    /// Share of failed requests that opens the circuit.
    error_percent: Option<u32>,
    /// Requests in the window below which it stays closed.
    least_requests: u64,
    /// Time over which requests are counted.
    window_seconds: u64,
    /// Time for which the circuit stays open at first.
    open_seconds: u64,
    /// Longest such time, as it doubles each time.
    most_open_seconds: u64,
    /// Requests that are let through to close it.
    trials: u32,
    /// Statuses that count as failed.
    #[schemars(with = "Option<Vec<crate::config::schema::Text>>")]
    statuses: Option<Vec<String>>,
}

impl Default for BreakerFile {
    fn default() -> Self {
        Self {
            most_in_flight: None,
            error_percent: None,
            least_requests: 20,
            window_seconds: 10,
            open_seconds: 5,
            most_open_seconds: 60,
            trials: 3,
            statuses: None,
        }
    }
}

impl Check<'_> {
    pub(super) fn breaker(&self, file: &BreakerFile) -> Result<BreakerSettings, ConfigError> {
        if file.most_in_flight.is_none() && file.error_percent.is_none() && !self.is_unusable() {
            self.note(self.about("", "`breaker` does nothing: set `error_percent`, `most_in_flight` or both"));
        }
        let open = self.within("open_seconds", file.open_seconds, 1, 3_600)?;
        let most_open = self.within("most_open_seconds", file.most_open_seconds, 1, 86_400)?;
        if most_open < open {
            let reason = format!("`most_open_seconds` is {most_open}, less than `open_seconds`, which is {open}");
            self.note(self.about("most_open_seconds", reason));
        }
        let most_in_flight = file.most_in_flight.map(|most| self.within("most_in_flight", most, 1, 10_000_000));
        let error_percent = file.error_percent.map(|percent| self.within("error_percent", percent, 1, 100));
        let statuses = file.statuses.as_ref().map(|statuses| self.statuses("statuses", statuses));
        Ok(BreakerSettings {
            most_in_flight: most_in_flight.transpose()?,
            error_percent: error_percent.transpose()?,
            least_requests: self.within("least_requests", file.least_requests, 1, 1_000_000)?,
            window_seconds: self.within("window_seconds", file.window_seconds, 1, 60)?,
            open: Duration::from_secs(open),
            most_open: Duration::from_secs(most_open),
            trials: self.within("trials", file.trials, 1, 1_000)?,
            statuses: statuses.unwrap_or_else(Statuses::server_errors),
        })
    }
}
