//! The section `invoices`: how `billing serve` issues invoices by itself.

use schemars::JsonSchema;
use serde::Deserialize;

/// Longest grace, in minutes.
const GRACE_MINUTES_MAX: u32 = 525_600;

/// The `invoices` section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InvoicesConfig {
    /// True: the job `issue_invoices` issues what is due each hour, as `billing run` does. False:
    /// somebody runs `billing run`.
    pub automatic: bool,
    /// Minutes from the end of a period to its invoices, for usage that is still on its way.
    #[serde(deserialize_with = "grace")]
    #[schemars(range(max = 525_600))]
    pub grace_minutes: u32,
    /// Number of earlier months in which late usage is looked for.
    #[schemars(range(max = 120))]
    #[serde(deserialize_with = "late_months")]
    pub late_months: u32,
}

impl Default for InvoicesConfig {
    fn default() -> Self {
        Self { automatic: false, grace_minutes: 60, late_months: 3 }
    }
}

fn grace<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    at_most(deserializer, GRACE_MINUTES_MAX, "minutes")
}

fn late_months<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    at_most(deserializer, 120, "months")
}

fn at_most<'de, D: serde::Deserializer<'de>>(deserializer: D, most: u32, what: &str) -> Result<u32, D::Error> {
    let number = u32::deserialize(deserializer)?;
    if number <= most {
        return Ok(number);
    }
    Err(serde::de::Error::custom(format!("{number} {what} are too many: use at most {most}")))
}
