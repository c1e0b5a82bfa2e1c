//! What people and programs see of the things in the store.
//!
//! The store's own types serve the store and the gateways; these say times in RFC 3339 and leave out what must never
//! be shown, a key's hash above all. The admin API's documents read as them.

mod admin_key;
mod audit;
mod creator;
mod credit;
mod key;
mod limits;
mod plan;
mod plan_change;
mod quota;
mod subscription;
mod tenant;
mod usage;

use std::fmt;

pub(crate) use admin_key::{AdminKeyView, CreatedAdminKey, RotatedAdminKey};
pub(crate) use audit::AuditView;
use common::time::Micros;
pub(crate) use creator::CreatorView;
pub(crate) use credit::{CreditReport, TenantCredit};
pub(crate) use key::{CreatedKey, KeyView, RotatedKey};
pub(crate) use limits::LimitsView;
pub(crate) use plan::PlanView;
pub(crate) use plan_change::{PlanChanges, PlanDifference};
pub(crate) use quota::{QuotaView, ThresholdView};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
pub(crate) use subscription::{MovedTenant, SubscriptionView};
pub(crate) use tenant::{PlanRef, TenantView};
pub(crate) use usage::{ReportRow, Subject, UsageTotals, Used};

/// An instant that reads as `2026-11-22T01:30:00Z` in every form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instant(pub(crate) Micros);

impl fmt::Display for Instant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(de::Error::custom)
    }
}

/// What narrows a key, or the word for what it is if nothing does.
fn or_else_all(narrowed_to: &[impl ToString], all: &str) -> String {
    if narrowed_to.is_empty() {
        return all.to_owned();
    }
    narrowed_to.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
