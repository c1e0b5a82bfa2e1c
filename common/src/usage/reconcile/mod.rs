//! The proof of the books: what was acknowledged = what is recorded = what is summed up.
//!
//! Three sums are kept by different hands: the records themselves, the counters of each stream, and
//! the rollups. Usage that was reported as events has rows of its own, which the rollups hold, too. Records that are dropped, or never kept, leave their numbers on both other sides,
//! so that equality can be checked for ever.

mod streams;
mod sums;

use std::fmt;

use serde::Serialize;
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::modular::{UNITS_MODULUS, modular_sum};
use crate::{
    id::{KeyId, TenantId},
    key::Mode,
    store::{Engine, Store, StoreError, row::count},
    time::{Micros, Period, Window},
    usage::{PaidBy, StreamId},
};

/// The sums of the books, and every place where they contradict each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Reconciliation {
    /// Per stream, by stream.
    pub streams: Vec<StreamReconciliation>,
    /// Per tenant and month, by tenant.
    pub periods: Vec<PeriodReconciliation>,
    /// Every equality that does not hold.
    pub breaches: Vec<Breach>,
    /// Records that lie in no daily partition, as their day has none: no error, but retention does
    /// not reach them.
    pub unpartitioned: u64,
}

/// Requests and their units. Units count modulo 2^62: a sum over all of a stream may exceed what a
/// column holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Requests.
    pub requests: i64,
    /// Units.
    pub units: i64,
}

/// Sums of one stream. `acknowledged = booked.requests + refusal_entries + void_entries +
/// lost_entries + end_entries` and `booked = recorded + dropped + quarantined`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamReconciliation {
    /// The stream.
    pub stream: StreamId,
    /// Numbers below the stream's mark that were not skipped: what its senders were told is booked.
    pub acknowledged: i64,
    /// Numbers that were skipped and have not come since.
    pub missing: i64,
    /// Requests booked, as the stream counts them.
    pub booked: Tally,
    /// Entries booked that sum up refusals.
    pub refusal_entries: i64,
    /// Numbers booked that never had an entry.
    pub void_entries: i64,
    /// Numbers booked whose entries are lost, and that are in open gaps for it.
    pub lost_entries: i64,
    /// Entries booked that say that the stream has ended.
    pub end_entries: i64,
    /// Requests whose records are there; not counted when the audit is of a window only.
    pub recorded: Option<Tally>,
    /// Requests whose records were dropped after retention, or never kept.
    pub dropped: Tally,
    /// Requests in quarantine, or discarded from there.
    pub quarantined: Tally,
}

/// Sums of one tenant's month on its own clock. `rolled_up = recorded + dropped + reported`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeriodReconciliation {
    /// The tenant.
    pub tenant: TenantId,
    /// The month.
    pub period: Period,
    /// Requests whose records are there.
    pub recorded: Tally,
    /// Requests whose records were dropped after retention, or never kept.
    pub dropped: Tally,
    /// Usage that was reported as events, with its corrections.
    pub reported: Tally,
    /// Rollups.
    pub rolled_up: Tally,
}

/// Two numbers that ought to be equal and are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// Place of the breach.
    pub place: BreachPlace,
    /// One number.
    pub left: Reading,
    /// The other.
    pub right: Reading,
}

/// Place of a breach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "place", rename_all = "snake_case")]
pub enum BreachPlace {
    /// One stream.
    Stream {
        /// The stream.
        stream: StreamId,
    },
    /// One rollup.
    Hour {
        /// Start of the hour on the tenant's clock.
        hour: Micros,
        /// Start of the rollup within the hour.
        since: Micros,
        /// Tenant that used it.
        tenant: TenantId,
        /// With which key.
        key: KeyId,
        /// Through which route.
        route: String,
        /// Meter that is counted.
        meter: String,
        /// Mode of the key.
        mode: Mode,
        /// True if it is billed.
        billable: bool,
        /// Source that pays for it.
        paid: PaidBy,
    },
    /// All streams against all rollups.
    Total,
}

/// A number and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// Name of the number, such as `requests recorded`.
    pub what: &'static str,
    /// The number.
    pub number: i64,
}

impl Store {
    /// Checks the books as of one instant, while others go on booking. With a window, records are
    /// read only of hours that start inside it, and what a stream has recorded in all is left out;
    /// without one, all records are read.
    pub async fn reconcile(&self, window: Option<Window>) -> Result<Reconciliation, StoreError> {
        let mut snapshot = self.begin_snapshot().await?;
        let mut breaches = Vec::new();
        let streams = streams::check(&mut snapshot, window.is_none(), &mut breaches).await?;
        let sums = sums::check(&mut snapshot, window, &mut breaches).await?;
        if window.is_none() {
            check_totals(&mut snapshot, &streams, &sums, &mut breaches).await?;
        }
        let unpartitioned = match self.engine {
            Engine::Sqlite => 0,
            Engine::Postgres => unpartitioned(&mut snapshot).await?,
        };
        snapshot.rollback().await?;
        Ok(Reconciliation { streams: streams.rows, periods: sums.periods, breaches, unpartitioned })
    }
}

/// Records in the partition of days that have none.
async fn unpartitioned(connection: &mut AnyConnection) -> Result<u64, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) AS records FROM usage_records_default").fetch_one(connection).await?;
    count(&row, "records")
}

/// All streams against all rollups.
async fn check_totals(
    connection: &mut AnyConnection,
    streams: &streams::Streams,
    sums: &sums::Sums,
    breaches: &mut Vec<Breach>,
) -> Result<(), StoreError> {
    let sums::Sums { rolled_up, dropped, reported, .. } = *sums;
    let row = sqlx::query(REFUSED).fetch_one(connection).await?;
    let (opening, rolled_up_refused): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let (mut booked, mut summed_up) = (Tally::default(), rolled_up);
    let mut dropped_by_streams = Tally::default();
    for stream in &streams.rows {
        booked.add(stream.booked);
        summed_up.add(stream.quarantined);
        dropped_by_streams.add(stream.dropped);
    }
    booked.add(reported);
    let refused = sum_of_units(streams.refused, opening);
    let mut check = |left: Reading, right: Reading| compare(breaches, || BreachPlace::Total, left, right);
    check(
        Reading::new("requests of all streams and events", booked.requests),
        Reading::new(SUMMED_UP, summed_up.requests),
    );
    check(Reading::new("units of all streams and events", booked.units), Reading::new(SUMMED_UP, summed_up.units));
    check(
        Reading::new("requests dropped of all streams", dropped_by_streams.requests),
        Reading::new("dropped of all hours", dropped.requests),
    );
    check(
        Reading::new("units dropped of all streams", dropped_by_streams.units),
        Reading::new("dropped of all hours", dropped.units),
    );
    let refusals = sum_of_units(rolled_up_refused, streams.refused_quarantined);
    check(Reading::new("refusals of all streams", refused), Reading::new(SUMMED_UP, refusals));
    Ok(())
}

const SUMMED_UP: &str = "rolled up or quarantined";

const REFUSED: &str = concat!(
    "SELECT COALESCE((SELECT refused FROM usage_opening), 0), COALESCE((SELECT ",
    modular_sum!("count"),
    " FROM refusals_hourly), 0)"
);

/// Notes two numbers that ought to be equal and are not.
fn compare(breaches: &mut Vec<Breach>, place: impl FnOnce() -> BreachPlace, left: Reading, right: Reading) {
    if left.number != right.number {
        breaches.push(Breach { place: place(), left, right });
    }
}

/// Sum modulo what units are counted by. What somebody else made negative stays so, and is found
/// unequal.
const fn sum_of_units(left: i64, right: i64) -> i64 {
    left.wrapping_add(right) % UNITS_MODULUS
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.units = sum_of_units(self.units, other.units);
    }

    /// The tally in two neighbouring columns.
    fn read(row: &AnyRow, column: usize) -> Result<Self, StoreError> {
        Ok(Self { requests: row.try_get(column)?, units: row.try_get::<i64, _>(column + 1)? % UNITS_MODULUS })
    }
}

impl Reading {
    const fn new(what: &'static str, number: i64) -> Self {
        Self { what, number }
    }
}

impl Reconciliation {
    /// Returns true if nothing contradicts itself. Open gaps and records without a partition are no
    /// contradiction.
    pub fn is_clean(&self) -> bool {
        self.breaches.is_empty()
    }
}

impl fmt::Display for Breach {
    /// Such as `stream edge-1/..: 10 acknowledged, 9 entries booked`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            BreachPlace::Stream { stream } => write!(formatter, "stream {stream}")?,
            BreachPlace::Hour { hour, since, tenant, key, route, meter, mode, billable, paid } => write!(
                formatter,
                "hour {hour} from {since} on of {tenant} {key} {route} {meter} {mode} {} paid by {paid}",
                if *billable { "billable" } else { "unbilled" }
            )?,
            BreachPlace::Total => formatter.write_str("total")?,
        }
        let Self { left, right, .. } = self;
        write!(formatter, ": {} {}, {} {}", left.number, left.what, right.number, right.what)
    }
}
