//! Each rollup against its records, and their sums per tenant and month.

use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use sqlx::{AnyConnection, Row as _, any::AnyRow};

use super::{Breach, BreachPlace, PeriodReconciliation, Reading, Tally, compare};
use crate::{
    id::TenantId,
    store::{
        StoreError,
        row::{corrupt, instant, parsed, zone},
    },
    time::{Micros, Period, Window, Zone},
    usage::modular::modular_sum,
};

/// A record lies in an hour that starts at most this long before it.
const HOUR_SECONDS: i64 = 3_600;

/// Sums of all rollups.
#[derive(Default)]
pub(super) struct Sums {
    pub(super) periods: Vec<PeriodReconciliation>,
    pub(super) rolled_up: Tally,
    pub(super) dropped: Tally,
    pub(super) reported: Tally,
}

/// Records, events and sums side by side, one row per key that either has, in an order in which a tenant's
/// months come one after another. Between $3 and $4 are all records of the hours between $1 and $2:
/// so partitions are found by time.
const SIDE_BY_SIDE: &str = concat!(
    "SELECT tenant_id, hour, key_id, route, meter, mode, since, CAST(SUM(recorded) AS BIGINT), \
     CAST(SUM(recorded_units) AS BIGINT), CAST(SUM(dropped) AS BIGINT), CAST(SUM(dropped_units) AS BIGINT), \
     CAST(SUM(requests) AS BIGINT), CAST(SUM(units) AS BIGINT), CAST(SUM(recorded_aborted) AS BIGINT), \
     CAST(SUM(dropped_aborted) AS BIGINT), CAST(SUM(aborted) AS BIGINT), billable, paid, \
     CAST(SUM(reported) AS BIGINT), CAST(SUM(reported_units) AS BIGINT) FROM (\
     SELECT tenant_id, hour, COALESCE(since, hour) AS since, key_id, route, meter, mode, billable, paid, \
     COUNT(*) AS recorded, ",
    modular_sum!("units"),
    " AS recorded_units, CAST(0 AS BIGINT) AS dropped, CAST(0 AS BIGINT) AS dropped_units, \
     CAST(0 AS BIGINT) AS requests, CAST(0 AS BIGINT) AS units, \
     COUNT(CASE WHEN status = 499 THEN 1 END) AS recorded_aborted, CAST(0 AS BIGINT) AS dropped_aborted, \
     CAST(0 AS BIGINT) AS aborted, CAST(0 AS BIGINT) AS reported, CAST(0 AS BIGINT) AS reported_units \
     FROM usage_records \
     WHERE hour >= $1 AND hour < $2 AND at >= $3 AND at <= $4 \
     GROUP BY tenant_id, hour, COALESCE(since, hour), key_id, route, meter, mode, billable, paid UNION ALL \
     SELECT tenant_id, hour, since, key_id, route, meter, mode, billable, paid, 0, 0, dropped_requests, dropped_units, requests, \
     units, 0, dropped_aborted, aborted, 0, 0 FROM usage_hourly WHERE hour >= $1 AND hour < $2 UNION ALL \
     SELECT tenant_id, hour, since, key_id, route, meter, mode, billable, paid, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
     CAST(SUM(requests) AS BIGINT), ",
    modular_sum!("units"),
    " FROM usage_events WHERE hour >= $1 AND hour < $2 \
     GROUP BY tenant_id, hour, since, key_id, route, meter, mode, billable, paid) all_sides \
     GROUP BY tenant_id, hour, since, key_id, route, meter, mode, billable, paid \
     ORDER BY tenant_id, hour, since, key_id, route, meter, mode, billable, paid"
);

/// One row of them.
struct Line {
    tenant: TenantId,
    hour: Micros,
    recorded: Tally,
    dropped: Tally,
    /// Reported as events.
    reported: Tally,
    rolled_up: Tally,
    /// Aborted requests that are recorded or whose records were dropped.
    aborted_accounted: i64,
    aborted_rolled_up: i64,
}

/// Reads all hours that start in the window, or all there are, and checks them.
pub(super) async fn check(
    connection: &mut AnyConnection,
    window: Option<Window>,
    breaches: &mut Vec<Breach>,
) -> Result<Sums, StoreError> {
    let zones = zones(&mut *connection).await?;
    let utc = Zone::utc();
    let window = window.unwrap_or(Window { start: Micros(i64::MIN), end: Micros(i64::MAX) });
    let mut rows = sqlx::query(SIDE_BY_SIDE)
        .bind(window.start.0)
        .bind(window.end.0)
        .bind(window.start.0)
        .bind(window.end.plus_seconds(HOUR_SECONDS).0)
        .fetch(connection);
    let mut sums = Sums::default();
    while let Some(row) = rows.try_next().await? {
        let line = Line::read(&row)?;
        check_line(&line, &row, breaches)?;
        sums.rolled_up.add(line.rolled_up);
        sums.dropped.add(line.dropped);
        sums.reported.add(line.reported);
        sums.add_to_period(&line, zones.get(&line.tenant).unwrap_or(&utc));
    }
    Ok(sums)
}

async fn zones(connection: &mut AnyConnection) -> Result<HashMap<TenantId, Zone>, StoreError> {
    let rows = sqlx::query("SELECT id, zone FROM tenants").fetch_all(connection).await?;
    // What is in the books of a zone that is not known counts in months of UTC.
    rows.iter().map(|row| Ok((parsed(row, "id")?, zone(row)?.or_utc()))).collect()
}

impl Line {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: parsed(row, "tenant_id")?,
            hour: instant(row, "hour")?,
            recorded: Tally::read(row, 7)?,
            dropped: Tally::read(row, 9)?,
            reported: Tally::read(row, 18)?,
            rolled_up: Tally::read(row, 11)?,
            aborted_accounted: row.try_get::<i64, _>(13)?.saturating_add(row.try_get(14)?),
            aborted_rolled_up: row.try_get(15)?,
        })
    }
}

impl Sums {
    /// Rows come by tenant and hour, so a month that has ended does not come again.
    fn add_to_period(&mut self, line: &Line, zone: &Zone) {
        // An hour that is in no month, by a clock gone mad, is in no invoice either.
        let Ok(period) = Period::containing(line.hour, zone) else { return };
        let same = |audit: &&mut PeriodReconciliation| audit.tenant == line.tenant && audit.period == period;
        if let Some(audit) = self.periods.last_mut().filter(same) {
            audit.recorded.add(line.recorded);
            audit.dropped.add(line.dropped);
            audit.reported.add(line.reported);
            audit.rolled_up.add(line.rolled_up);
        } else {
            let Line { tenant, recorded, dropped, reported, rolled_up, .. } = *line;
            self.periods.push(PeriodReconciliation { tenant, period, recorded, dropped, reported, rolled_up });
        }
    }
}

fn check_line(line: &Line, row: &AnyRow, breaches: &mut Vec<Breach>) -> Result<(), StoreError> {
    let mut accounted = line.recorded;
    accounted.add(line.dropped);
    accounted.add(line.reported);
    if accounted == line.rolled_up && line.aborted_accounted == line.aborted_rolled_up {
        return Ok(());
    }
    let place = place(line, row)?;
    compare(
        breaches,
        || place.clone(),
        Reading::new("requests recorded, reported or dropped", accounted.requests),
        Reading::new("rolled up", line.rolled_up.requests),
    );
    compare(
        breaches,
        || place.clone(),
        Reading::new("units recorded, reported or dropped", accounted.units),
        Reading::new("rolled up", line.rolled_up.units),
    );
    compare(
        breaches,
        || place.clone(),
        Reading::new("aborted requests recorded or dropped", line.aborted_accounted),
        Reading::new("rolled up", line.aborted_rolled_up),
    );
    Ok(())
}

fn place(line: &Line, row: &AnyRow) -> Result<BreachPlace, StoreError> {
    Ok(BreachPlace::Hour {
        hour: line.hour,
        since: instant(row, "since")?,
        tenant: line.tenant,
        key: parsed(row, "key_id")?,
        route: row.try_get("route")?,
        meter: row.try_get("meter")?,
        mode: parsed(row, "mode")?,
        billable: match row.try_get("billable")? {
            0_i64 => false,
            1 => true,
            other => return Err(corrupt("usage sum", format!("billable is {other}"))),
        },
        paid: parsed(row, "paid")?,
    })
}
