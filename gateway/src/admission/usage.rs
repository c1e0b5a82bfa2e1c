//! The usage of admitted requests, as it is recorded, and the refusals that are counted.

use std::sync::Arc;

use common::usage::UsageRecord;

use super::{AdmissionControl, Refusal};
use crate::{
    answer::{Code, Problem},
    catalog::Caller,
    limit::Admission,
    meter::MeterError,
    route::Route,
};

/// Seconds after which a request may try again that was refused because its usage could not be
/// recorded.
const UNRECORDED_RETRY_SECONDS: u64 = 1;

impl AdmissionControl {
    /// Records the usage of an admitted request. Returns the units of it that are billed, and count
    /// against quotas.
    pub(crate) fn record(
        &self,
        caller: &Caller,
        route: &Route,
        admission: &Admission,
        units: u64,
        status: u16,
    ) -> Result<u64, MeterError> {
        self.record_as(caller, route, admission, units, status, route.billable.covers(status))
    }

    /// Records the usage of an admitted request whose status does not tell by itself if it is
    /// billed.
    pub(crate) fn record_as(
        &self,
        caller: &Caller,
        route: &Route,
        admission: &Admission,
        units: u64,
        status: u16,
        billable: bool,
    ) -> Result<u64, MeterError> {
        self.meter.record(&UsageRecord {
            at: admission.at,
            tenant: caller.tenant.id,
            key: caller.key.id,
            route: Arc::clone(&route.name),
            meter: Arc::clone(&route.meter),
            units,
            status,
            billable,
            mode: caller.key.mode,
            prepaid: admission.is_prepaid(),
        })?;
        Ok(if billable { units } else { 0 })
    }

    /// Counts a refusal, if its tenant and key are known.
    pub(crate) fn count(&self, refusal: &Refusal) {
        if let Some((tenant, key)) = refusal.owner {
            self.meter.refused(tenant, key, refusal.problem.code().as_str());
        }
    }

    /// Refuses while usage cannot be recorded.
    pub(super) fn check_room(&self) -> Result<(), Problem> {
        if self.meter.has_room() {
            return Ok(());
        }
        Err(Problem::new(Code::UsageUnavailable, "usage cannot be recorded now; the request was not forwarded")
            .retry_after(UNRECORDED_RETRY_SECONDS))
    }
}

/// The problem of a client whose usage could not be recorded.
pub(crate) fn unrecorded() -> Problem {
    Problem::new(Code::UsageUnavailable, "the answer's usage could not be recorded")
        .retry_after(UNRECORDED_RETRY_SECONDS)
}
