//! Usage reports: sums by hour, day or month on each tenant's own clock, by whatever dimensions are asked for.
//!
//! Only the hourly sums are read, in pages of bounded size: one query per page for hours, one per day or month and time
//! zone otherwise. A page continues behind the last row of the one before, whatever was booked meanwhile.

use serde::{Deserialize, Serialize};
use sqlx::{Any, AnyConnection, AssertSqlSafe, Row as _, any::AnyArguments, any::AnyRow, query::Query};

use super::{
    Store, StoreError,
    row::{count, parsed},
    scope::PathRange,
};
use crate::{
    id::{KeyId, TenantId},
    key::Mode,
    time::{Micros, TimeError, Window, Zone},
};

/// Most buckets of one report: three years of days.
const BUCKETS_MAX: usize = 1_100;

/// How long a row's sums reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsageStep {
    /// An hour of the tenant's clock.
    Hour,
    /// A day of the tenant's clock.
    Day,
    /// A month of the tenant's clock.
    Month,
}

/// What rows are told apart by, beside time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsageDimension {
    /// Who.
    Tenant,
    /// With which key.
    Key,
    /// Through which route.
    Route,
    /// What is counted.
    Meter,
    /// Live or test.
    Mode,
}

/// Which usage, and how to sum it.
#[derive(Debug, Clone)]
pub struct UsageQuery {
    /// Of this tenant.
    pub tenant: TenantId,
    /// And of everybody below it.
    pub subtree: bool,
    /// With this key only.
    pub key: Option<KeyId>,
    /// Through this route only.
    pub route: Option<String>,
    /// Of this meter only.
    pub meter: Option<String>,
    /// Under keys of this mode only.
    pub mode: Option<Mode>,
    /// In hours that start inside.
    pub window: Window,
    /// How long a row's sums reach.
    pub step: UsageStep,
    /// What rows are told apart by; each once.
    pub group_by: Vec<UsageDimension>,
    /// Behind which row to begin.
    pub after: Option<UsageCursor>,
    /// Most rows.
    pub limit: u32,
}

/// The place of a row in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageCursor {
    start: Micros,
    zone: String,
    values: Vec<String>,
}

/// A page of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageReport {
    /// Its rows, by start, time zone and dimensions.
    pub rows: Vec<UsageReportRow>,
    /// Behind which row the next page begins; none if this is the last.
    pub next: Option<UsageCursor>,
}

/// One sum. What was not grouped by is left open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageReportRow {
    /// Start of the hour, day or month.
    pub start: Micros,
    /// Who.
    pub tenant: Option<TenantId>,
    /// With which key.
    pub key: Option<KeyId>,
    /// Through which route.
    pub route: Option<String>,
    /// What is counted.
    pub meter: Option<String>,
    /// Live or test.
    pub mode: Option<Mode>,
    /// Requests.
    pub requests: u64,
    /// Units.
    pub units: u64,
    /// Units that are billed.
    pub billable_units: u64,
}

/// A stretch of time that one query covers.
#[derive(Debug, Clone)]
struct Bucket {
    window: Window,
    /// Only tenants with this clock; all, if the rows are hours.
    zone: String,
}

impl Store {
    /// A page of a usage report on what exists for whoever acts. Refused: more days or months than one report may have.
    pub async fn usage_report(&self, query: &UsageQuery) -> Result<UsageReport, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let paths = PathRange::within(&mut connection, self.acting.scope, Some(query.tenant)).await?;
        let mut rows: Vec<(UsageReportRow, UsageCursor)> = Vec::new();
        let enough = query.limit as usize + 1;
        for bucket in query.buckets(&mut connection, &paths).await? {
            let after = query.after.as_ref().filter(|after| query.is_in(after, &bucket));
            let behind = query.after.as_ref().is_some_and(|after| after.is_behind(&bucket, query.step));
            if behind {
                continue;
            }
            let left = enough - rows.len();
            rows.extend(query.read(&mut connection, &paths, &bucket, after, left).await?);
            if rows.len() >= enough {
                break;
            }
        }
        let is_last = rows.len() < enough;
        rows.truncate(query.limit as usize);
        let next = rows.last().filter(|_| !is_last).map(|(_, cursor)| cursor.clone());
        Ok(UsageReport { rows: rows.into_iter().map(|(row, _)| row).collect(), next })
    }
}

impl UsageQuery {
    /// The stretches of time, by start and zone.
    async fn buckets(&self, connection: &mut AnyConnection, paths: &PathRange) -> Result<Vec<Bucket>, StoreError> {
        if self.step == UsageStep::Hour {
            return Ok(vec![Bucket { window: self.window, zone: String::new() }]);
        }
        let rows = sqlx::query("SELECT DISTINCT zone FROM tenants WHERE path >= $1 AND path < $2")
            .bind(paths.from.clone())
            .bind(paths.before.clone())
            .fetch_all(connection)
            .await?;
        let mut buckets = Vec::new();
        for row in &rows {
            let zone: Zone = parsed(row, "zone")?;
            let mut start = self.window.start;
            while start < self.window.end {
                let whole = self.step.holding(start, &zone).map_err(|error| StoreError::refused(error.to_string()))?;
                let end = whole.end.min(self.window.end);
                buckets.push(Bucket { window: Window { start: whole.start, end }, zone: zone.name().to_owned() });
                if buckets.len() > BUCKETS_MAX {
                    return Err(StoreError::refused(format!(
                        "a report has at most {BUCKETS_MAX} days or months, those of each time zone counted: ask for a \
                         shorter time"
                    )));
                }
                start = whole.end;
            }
        }
        buckets.sort_by(|one, other| (one.window.start, &one.zone).cmp(&(other.window.start, &other.zone)));
        Ok(buckets)
    }

    fn is_in(&self, cursor: &UsageCursor, bucket: &Bucket) -> bool {
        self.step == UsageStep::Hour || (cursor.start == bucket.window.start && cursor.zone == bucket.zone)
    }

    /// The columns that rows are told apart by.
    fn columns(&self) -> Vec<&'static str> {
        let mut dimensions = self.group_by.clone();
        dimensions.sort_unstable();
        dimensions.dedup();
        let hour = (self.step == UsageStep::Hour).then_some("hour");
        hour.into_iter().chain(dimensions.into_iter().map(UsageDimension::column)).collect()
    }

    /// Up to `limit` rows of a bucket, behind `after`.
    async fn read(
        &self,
        connection: &mut AnyConnection,
        paths: &PathRange,
        bucket: &Bucket,
        after: Option<&UsageCursor>,
        limit: usize,
    ) -> Result<Vec<(UsageReportRow, UsageCursor)>, StoreError> {
        let columns = self.columns();
        if columns.is_empty() && after.is_some() {
            // The one row that such a bucket has was on the page before.
            return Ok(Vec::new());
        }
        let statement = statement(&columns, after.is_some());
        let start = self.window.start.0.max(bucket.window.start.0);
        let mut query = sqlx::query(AssertSqlSafe(statement))
            .bind(paths.from.clone())
            .bind(paths.before.clone())
            .bind(start)
            .bind(bucket.window.end.0)
            .bind(bucket.zone.clone())
            .bind(if self.subtree { String::new() } else { self.tenant.to_string() })
            .bind(self.key.map(|key| key.to_string()).unwrap_or_default())
            .bind(self.route.clone().unwrap_or_default())
            .bind(self.meter.clone().unwrap_or_default())
            .bind(self.mode.map(Mode::as_str).unwrap_or_default())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        if let Some(after) = after {
            query = after.bind(query, &columns);
        }
        let rows = query.fetch_all(connection).await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            // Without a group there is one row, of nothing, even if there is no usage.
            if row.try_get::<Option<i64>, _>("requests")?.is_some() {
                found.push(read_row(row, &columns, bucket)?);
            }
        }
        Ok(found)
    }
}

/// Put together from constants alone.
fn statement(columns: &[&'static str], continues: bool) -> String {
    let names = columns.join(", ");
    let select = if columns.is_empty() { String::new() } else { format!("{names}, ") };
    let group = if columns.is_empty() { String::new() } else { format!(" GROUP BY {names} ORDER BY {names}") };
    let behind = if continues {
        let places: Vec<_> = (0..columns.len()).map(|place| format!("${}", place + 12)).collect();
        format!(" AND ({names}) > ({})", places.join(", "))
    } else {
        String::new()
    };
    format!(
        "SELECT {select}CAST(SUM(requests) AS BIGINT) AS requests, CAST(SUM(units) AS BIGINT) AS units, \
         CAST(SUM(CASE WHEN billable = 1 THEN units ELSE 0 END) AS BIGINT) AS billable_units \
         FROM usage_hourly JOIN tenants ON tenants.id = tenant_id \
         WHERE path >= $1 AND path < $2 AND hour >= $3 AND hour < $4 AND ($5 = '' OR zone = $5) \
         AND ($6 = '' OR tenant_id = $6) AND ($7 = '' OR key_id = $7) AND ($8 = '' OR route = $8) \
         AND ($9 = '' OR meter = $9) AND ($10 = '' OR mode = $10){behind}{group} LIMIT $11"
    )
}

fn read_row(
    row: &AnyRow,
    columns: &[&'static str],
    bucket: &Bucket,
) -> Result<(UsageReportRow, UsageCursor), StoreError> {
    let mut sum = UsageReportRow {
        start: bucket.window.start,
        tenant: None,
        key: None,
        route: None,
        meter: None,
        mode: None,
        requests: count(row, "requests")?,
        units: count(row, "units")?,
        billable_units: count(row, "billable_units")?,
    };
    let mut values = Vec::with_capacity(columns.len());
    for column in columns {
        match *column {
            "hour" => sum.start = Micros(row.try_get("hour")?),
            "tenant_id" => sum.tenant = Some(parsed(row, "tenant_id")?),
            "key_id" => sum.key = Some(parsed(row, "key_id")?),
            "route" => sum.route = Some(row.try_get("route")?),
            "meter" => sum.meter = Some(row.try_get("meter")?),
            _ => sum.mode = Some(parsed(row, "mode")?),
        }
        values.push(match *column {
            "hour" => sum.start.0.to_string(),
            column => row.try_get(column)?,
        });
    }
    Ok((sum, UsageCursor { start: bucket.window.start, zone: bucket.zone.clone(), values }))
}

impl UsageCursor {
    /// Whether all of the bucket comes before it.
    fn is_behind(&self, bucket: &Bucket, step: UsageStep) -> bool {
        step != UsageStep::Hour && (bucket.window.start, &bucket.zone) < (self.start, &self.zone)
    }

    /// The values, in the order of the columns. A cursor of another report is short of some, and then begins early.
    fn bind<'q>(&self, query: Query<'q, Any, AnyArguments>, columns: &[&'static str]) -> Query<'q, Any, AnyArguments> {
        columns.iter().enumerate().fold(query, |query, (place, column)| {
            let value = self.values.get(place).cloned().unwrap_or_default();
            match *column {
                "hour" => query.bind(value.parse::<i64>().unwrap_or(i64::MIN)),
                _ => query.bind(value),
            }
        })
    }
}

impl UsageStep {
    /// The day or month of this clock that holds `at`.
    fn holding(self, at: Micros, zone: &Zone) -> Result<Window, TimeError> {
        match self {
            Self::Month => crate::time::Period::containing(at, zone)?.window(zone),
            Self::Day | Self::Hour => zone.day(at),
        }
    }
}

impl UsageDimension {
    const fn column(self) -> &'static str {
        match self {
            Self::Tenant => "tenant_id",
            Self::Key => "key_id",
            Self::Route => "route",
            Self::Meter => "meter",
            Self::Mode => "mode",
        }
    }
}
