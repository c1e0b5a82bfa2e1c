//! The section `ejection` of an upstream: when a server whose requests fail is left out, and for
//! how long.

use std::time::Duration;

use common::config::ConfigError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Statuses, statuses};
use crate::config::check::Check;

/// Longest ejection that can be set, in seconds.
const LONGEST_SECONDS: u64 = 86_400;

/// Ejection of servers whose requests fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EjectionSettings {
    /// Failed requests in a row until a server is ejected; 0 if none ever is.
    pub failures: u32,
    /// Length of the first ejection; each further one takes twice as long.
    pub base: Duration,
    /// Longest ejection.
    pub most: Duration,
    /// Largest part of the servers that is ejected at the same time, in percent.
    pub most_percent: u32,
    /// Statuses that count as failures, beside requests without an answer.
    pub statuses: Statuses,
}

/// The section as it is written.
#[derive(Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EjectionFile {
    /// Failed requests in a row that eject a server; 0 if none ever is ejected.
    failures: u32,
    /// Time for which it is out at first.
    seconds: u64,
    /// Longest such time, as it doubles each time.
    most_seconds: u64,
    /// Share of the servers that may be out.
    most_percent: u32,
    /// Statuses that count as failed.
    #[schemars(with = "Vec<crate::config::schema::Text>")]
    statuses: Vec<String>,
}

impl Default for EjectionFile {
    fn default() -> Self {
        Self { failures: 5, seconds: 10, most_seconds: 300, most_percent: 50, statuses: Vec::new() }
    }
}

impl Check<'_> {
    pub(super) fn ejection(&self, file: &EjectionFile) -> Result<EjectionSettings, ConfigError> {
        let base = self.within("seconds", file.seconds, 1, LONGEST_SECONDS)?;
        let most = self.within("most_seconds", file.most_seconds, 1, LONGEST_SECONDS)?;
        if most < base {
            let reason = format!("`most_seconds` is {most}, less than `seconds`, which is {base}");
            self.note(self.about("most_seconds", reason));
        }
        Ok(EjectionSettings {
            failures: self.within("failures", file.failures, 0, 10_000)?,
            base: Duration::from_secs(base),
            most: Duration::from_secs(most),
            most_percent: self.within("most_percent", file.most_percent, 1, 100)?,
            statuses: self.statuses("statuses", &file.statuses),
        })
    }

    /// The set of statuses in a list; faults of its items are noted.
    pub(super) fn statuses(&self, field: &str, items: &[String]) -> Statuses {
        let ranges = items.iter().filter_map(|item| {
            let told = |reason| self.note(self.about_value(field, item, format!("`{field}`: {reason}")));
            statuses::range(item).map_err(told).ok()
        });
        ranges.collect()
    }
}
