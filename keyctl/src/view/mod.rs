//! What people and programs see of the things in the store.
//!
//! The store's own types serve the store and the gateways; these say times in RFC 3339 and leave out what must never
//! be shown, a key's hash above all.

mod credit;
mod key;
mod plan;
mod tenant;
mod usage;

use std::fmt;

use common::time::Micros;
pub(crate) use credit::CreditReport;
pub(crate) use key::{CreatedKey, KeyView, RotatedKey};
pub(crate) use plan::PlanView;
use serde::{Serialize, Serializer};
pub(crate) use tenant::TenantView;
pub(crate) use usage::{Subject, UsageTotals};

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
