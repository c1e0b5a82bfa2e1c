//! Sums of usage by every dimension, from the store or from a report of the API.

use common::{
    api::usage::UsageDocument,
    id::{KeyId, TenantId},
    key::Mode,
    time::Micros,
    usage::rollup::UsageRollup,
};

/// Usage by every dimension.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    /// Start of the hour, or of the month.
    pub(crate) start: Micros,
    pub(crate) tenant: TenantId,
    pub(crate) key: KeyId,
    pub(crate) route: String,
    pub(crate) meter: String,
    pub(crate) mode: Mode,
    pub(crate) requests: u64,
    pub(crate) aborted: u64,
    pub(crate) units: u64,
    pub(crate) billable_units: u64,
}

impl Used {
    /// The usage of a row of a report; none if the report was not grouped by every dimension.
    pub(super) fn of_row(row: UsageDocument) -> Option<Self> {
        Some(Self {
            start: row.start.into(),
            tenant: row.tenant?,
            key: row.key?,
            route: row.route?,
            meter: row.meter?,
            mode: row.mode?,
            requests: row.requests,
            aborted: row.aborted,
            units: row.units,
            billable_units: row.billable_units,
        })
    }
}

impl From<UsageRollup> for Used {
    fn from(sum: UsageRollup) -> Self {
        Self {
            start: sum.hour,
            tenant: sum.tenant,
            key: sum.key,
            route: sum.route,
            meter: sum.meter,
            mode: sum.mode,
            requests: sum.requests,
            aborted: sum.aborted,
            units: sum.units,
            billable_units: if sum.billable && sum.mode == Mode::Live { sum.units } else { 0 },
        }
    }
}
