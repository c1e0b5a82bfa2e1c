//! The usage of admitted requests, as it is recorded, and the refusals that are counted.

use std::sync::Arc;

use common::{time::Micros, usage::UsageRecord};
use http::StatusCode;

use super::{AdmissionControl, Refusal};
use crate::{
    answer::{Code, Problem},
    catalog::Caller,
    limit::{Admission, Draw},
    meter::{MeterError, units::CONTINUED_STATUS},
    route::Route,
};

/// Seconds after which a request may try again that was refused because its usage could not be
/// recorded.
const UNRECORDED_RETRY_SECONDS: u64 = 1;

/// The parts of a usage record that caller and route do not tell.
#[derive(Clone, Copy)]
struct Entry {
    at: Micros,
    units: u64,
    status: u16,
    billable: bool,
    prepaid: bool,
}

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
        let (at, prepaid) = (admission.at, admission.is_prepaid());
        self.write(caller, route, Entry { at, units, status, billable, prepaid })
    }

    /// Records units of a draw that pass on an open connection. Returns those of them that are
    /// billed, as the connection itself is or is not.
    pub(crate) fn record_part(
        &self,
        caller: &Caller,
        route: &Route,
        draw: &Draw,
        units: u64,
        now: Micros,
    ) -> Result<u64, MeterError> {
        let billable = route.billable.covers(StatusCode::SWITCHING_PROTOCOLS.as_u16());
        let (at, prepaid) = (draw.counts_at(now), draw.is_prepaid());
        self.write(caller, route, Entry { at, units, status: CONTINUED_STATUS, billable, prepaid })
    }

    /// Records units of a part of an answer or of its request that passes after the request's own
    /// record. They are billed if they were drawn.
    pub(crate) fn record_further(
        &self,
        caller: &Caller,
        route: &Route,
        draw: Option<&Draw>,
        units: u64,
        now: Micros,
    ) -> Result<u64, MeterError> {
        let (at, prepaid) = draw.map_or((now, false), |draw| (draw.counts_at(now), draw.is_prepaid()));
        self.write(caller, route, Entry { at, units, status: CONTINUED_STATUS, billable: draw.is_some(), prepaid })
    }

    fn write(&self, caller: &Caller, route: &Route, entry: Entry) -> Result<u64, MeterError> {
        let Entry { at, units, status, billable, prepaid } = entry;
        self.meter.record(&UsageRecord {
            at,
            tenant: caller.tenant.id,
            key: caller.key.id,
            route: Arc::clone(&route.name),
            meter: Arc::clone(&route.meter),
            units,
            status,
            billable,
            mode: caller.key.mode,
            prepaid,
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
