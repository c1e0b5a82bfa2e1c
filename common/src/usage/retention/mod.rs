//! Retention of records: daily partitions made ahead, dropped once they are over, billed and old
//! enough.
//!
//! Rollups are never dropped. What a dropped record said stays in the counters that the audit
//! reads.

mod chunks;
mod day;
mod partitions;

use day::Day;
use serde::Serialize;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::modular::modular_sum;
use crate::{
    store::{Engine, Store, StoreError},
    time::Micros,
};

/// Result of making partitions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Partitions {
    /// Starts of the days that were given a partition now.
    pub made: Vec<Micros>,
    /// Records that had been booked without one and were moved into theirs.
    pub moved: u64,
    /// Records that are left without one: their day lies beyond all that is made.
    pub unpartitioned: u64,
}

/// Result of dropping records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// Starts of the UTC days that were dropped; on PostgreSQL also of those that had no records.
    pub days: Vec<Micros>,
    /// Records dropped.
    pub records: u64,
    /// Starts of the days that are old enough, and stay because they are not billed.
    pub unbilled: Vec<Micros>,
}

impl Store {
    /// Makes a partition for each UTC day from yesterday until `days_ahead` days after `now`, and
    /// for every earlier day that has records without one. Several processes may do so at once.
    /// SQLite has no partitions: nothing to do.
    pub async fn ensure_partitions(&self, now: Micros, days_ahead: u32) -> Result<Partitions, StoreError> {
        match self.engine {
            Engine::Sqlite => Ok(Partitions::default()),
            Engine::Postgres => partitions::ensure(self, Day::of(now), days_ahead).await,
        }
    }

    /// Drops the records of whole UTC days that ended by `day` and by `billed_until`, before which
    /// the caller warrants every tenant's usage to be in a finalized invoice. A day that ends after
    /// it, or after `now`, stays.
    pub async fn drop_records_before(
        &self,
        day: Micros,
        billed_until: Micros,
        now: Micros,
    ) -> Result<Dropped, StoreError> {
        let wanted = Day::of(day);
        let allowed = Day::of(billed_until.min(now)).min(wanted);
        match self.engine {
            Engine::Sqlite => chunks::drop_before(self, allowed, wanted).await,
            Engine::Postgres => partitions::drop_before(self, allowed, wanted).await,
        }
    }
}

/// Leaves the numbers of records that are about to go with their streams and rollups. `records`
/// says which: a table, and a condition on its columns with the values of `bounds`.
async fn leave_numbers(connection: &mut AnyConnection, records: &str, bounds: &[Bound<'_>]) -> Result<(), StoreError> {
    let by_stream = format!(
        "UPDATE usage_streams SET dropped_requests = dropped_requests + gone.requests, \
         dropped_units = (dropped_units + gone.units) % 4611686018427387904 \
         FROM (SELECT stream, COUNT(*) AS requests, {units} AS units FROM {records} GROUP BY stream) AS gone \
         WHERE gone.stream = usage_streams.stream",
        units = modular_sum!("units"),
    );
    let by_hour = format!(
        "UPDATE usage_hourly SET dropped_requests = dropped_requests + gone.requests, \
         dropped_units = dropped_units + gone.units, dropped_aborted = dropped_aborted + gone.aborted \
         FROM (SELECT tenant_id, hour, COALESCE(since, hour) AS since, key_id, route, meter, mode, paid, \
         COUNT(*) AS requests, CAST(SUM(units) AS BIGINT) AS units, \
         COUNT(CASE WHEN status = 499 THEN 1 END) AS aborted FROM {records} \
         GROUP BY tenant_id, hour, COALESCE(since, hour), key_id, route, meter, mode, paid) AS gone \
         WHERE gone.tenant_id = usage_hourly.tenant_id AND gone.hour = usage_hourly.hour \
         AND gone.since = usage_hourly.since \
         AND gone.key_id = usage_hourly.key_id AND gone.route = usage_hourly.route \
         AND gone.meter = usage_hourly.meter AND gone.mode = usage_hourly.mode \
         AND gone.paid = usage_hourly.paid"
    );
    for statement in [by_stream, by_hour] {
        // Put together from constants and names that the database itself gave.
        let query = sqlx::query(AssertSqlSafe(statement));
        bounds.iter().fold(query, Bound::bind).execute(&mut *connection).await?;
    }
    Ok(())
}

/// A value of a condition on records.
enum Bound<'b> {
    Text(&'b str),
    Number(i64),
}

type AnyQuery<'q> = sqlx::query::Query<'q, sqlx::Any, sqlx::any::AnyArguments>;

impl Bound<'_> {
    fn bind<'q>(query: AnyQuery<'q>, bound: &Self) -> AnyQuery<'q> {
        match bound {
            Self::Text(text) => query.bind((*text).to_owned()),
            Self::Number(number) => query.bind(*number),
        }
    }
}
