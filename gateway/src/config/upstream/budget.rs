//! The section `retry_budget` of an upstream: how many of its requests may be tried again.

use common::config::ConfigError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::check::Check;

/// Most tries that an upstream gets beside the first ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryBudget {
    /// Retries as a part of the requests in the window, in percent.
    pub percent: u64,
    /// Retries that are allowed in a window whatever the number of requests.
    pub least: u64,
    /// Time over which requests and retries are counted, in seconds.
    pub window_seconds: u64,
}

/// The section as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BudgetFile {
    /// Retries, as a share of requests.
    percent: u64,
    /// Retries that are allowed in any case in a window.
    least: u64,
    /// Time over which they are counted.
    window_seconds: u64,
}

impl Default for BudgetFile {
    fn default() -> Self {
        Self { percent: 10, least: 10, window_seconds: 10 }
    }
}

impl Check<'_> {
    pub(super) fn retry_budget(&self, file: &BudgetFile) -> Result<RetryBudget, ConfigError> {
        Ok(RetryBudget {
            percent: self.within("percent", file.percent, 0, 100)?,
            least: self.within("least", file.least, 0, 1_000_000)?,
            window_seconds: self.within("window_seconds", file.window_seconds, 1, 60)?,
        })
    }
}
