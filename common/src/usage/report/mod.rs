//! Usage reports: sums by hour, day or month on each tenant's own clock, by whatever dimensions are
//! asked for.
//!
//! Usage belongs to the tree of its own time: a report on a subtree holds what its tenants used
//! while they were in it, and nobody sees what a tenant used before it came or after it left.
//!
//! Only the rollups are read, in pages of bounded size. A page continues behind the last row of the
//! one before, whatever was booked meanwhile.

mod statement;

use serde::{Deserialize, Serialize};
use sqlx::{AnyConnection, Row as _, any::AnyRow};
use statement::Statement;

use crate::{
    acting::Scope,
    id::{KeyId, TenantId},
    key::Mode,
    store::{
        Store, StoreError,
        row::{count, instant, parsed, zone},
        scope, spans,
    },
    time::{Micros, TimeError, Window, Zone},
};

/// Most days or months of one report on each clock: three years of days.
const BUCKETS_MAX: usize = 1_100;

/// Days or months that the first query of a page covers, counted on every clock by itself; each
/// further one covers twice as many as the one before.
const FIRST_BUCKETS: usize = 8;

/// Most days or months that one query covers.
const BUCKETS_PER_QUERY: usize = 256;

/// Length of time that a row covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum UsageStep {
    /// An hour of the tenant's clock.
    Hour,
    /// A day of the tenant's clock.
    Day,
    /// A month of the tenant's clock.
    Month,
}

/// Dimension by which rows are grouped, beside time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsageDimension {
    /// By tenant.
    Tenant,
    /// With which key.
    Key,
    /// Through which route.
    Route,
    /// By meter.
    Meter,
    /// Live or test.
    Mode,
}

/// Selects usage and says how to sum it.
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
    /// Length of time that a row covers.
    pub step: UsageStep,
    /// Dimensions to group by, each once.
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
    /// Its end.
    pub end: Micros,
    /// The clock on which it is one.
    pub zone: String,
    /// True if the report covers the whole of it; false if only the hours that start inside the
    /// report.
    pub whole: bool,
    /// The tenant.
    pub tenant: Option<TenantId>,
    /// With which key.
    pub key: Option<KeyId>,
    /// Through which route.
    pub route: Option<String>,
    /// Meter that is counted.
    pub meter: Option<String>,
    /// Live or test.
    pub mode: Option<Mode>,
    /// Requests.
    pub requests: u64,
    /// Requests among them whose client left before the answer.
    pub aborted: u64,
    /// Units.
    pub units: u64,
    /// Units that are billed.
    pub billable_units: u64,
}

/// A day or month of one clock.
#[derive(Debug, Clone)]
struct Bucket {
    window: Window,
    zone: String,
}

/// Rows with their places.
type Rows = Vec<(UsageReportRow, UsageCursor)>;

impl Store {
    /// A page of a usage report on what is in the actor's scope. Refused: more days or months on
    /// one clock than a report may have.
    pub async fn usage_report(&self, query: &UsageQuery) -> Result<UsageReport, StoreError> {
        let mut connection = self.pool.acquire().await?;
        let spans = query.spans(&mut connection, self.acting.scope).await?;
        let enough = query.limit as usize + 1;
        let mut rows = Rows::new();
        if query.step == UsageStep::Hour {
            rows = query.read(&mut connection, &spans, &[], enough).await?;
        } else {
            let buckets = query.buckets(&mut connection, &spans).await?;
            let (mut rest, mut size) = (buckets.as_slice(), FIRST_BUCKETS);
            while rows.len() < enough && !rest.is_empty() {
                let (now, later) = rest.split_at(size.min(rest.len()));
                rows.extend(query.read(&mut connection, &spans, now, enough - rows.len()).await?);
                rest = later;
                size = (2 * size).min(BUCKETS_PER_QUERY);
            }
        }
        let is_last = rows.len() < enough;
        rows.truncate(query.limit as usize);
        let next = rows.last().filter(|_| !is_last).map(|(_, cursor)| cursor.clone());
        Ok(UsageReport { rows: rows.into_iter().map(|(row, _)| row).collect(), next })
    }
}

impl UsageQuery {
    /// The times at which the tenant was in the scope.
    async fn spans(&self, connection: &mut AnyConnection, scope: Scope) -> Result<Vec<Window>, StoreError> {
        let always = vec![Window { start: Micros(i64::MIN), end: Micros(i64::MAX) }];
        let not_found = || StoreError::not_found("tenant", &self.tenant);
        let Scope::Subtree(top) = scope else {
            let known = scope::path_of(connection, self.tenant).await?.is_some();
            return if known { Ok(always) } else { Err(not_found()) };
        };
        let spans = spans::spans_under(connection, self.tenant, top).await?;
        if spans.is_empty() { Err(not_found()) } else { Ok(spans) }
    }

    /// The days or months of every clock, by start and zone, from the row on that the report
    /// continues behind.
    async fn buckets(&self, connection: &mut AnyConnection, spans: &[Window]) -> Result<Vec<Bucket>, StoreError> {
        let mut statement = Statement::new(self, spans);
        statement.select_zones();
        let rows = statement.query().fetch_all(connection).await?;
        let mut buckets = Vec::new();
        for row in &rows {
            let zone = zone(row)?;
            let found = self.step.buckets(self.window, zone)?;
            let reached = |bucket: &Bucket| {
                self.after.as_ref().is_none_or(|after| {
                    (bucket.window.start, bucket.zone.as_str()) >= (after.start, after.zone.as_str())
                })
            };
            buckets.extend(found.into_iter().filter(reached));
        }
        buckets.sort_by(|one, other| (one.window.start, &one.zone).cmp(&(other.window.start, &other.zone)));
        Ok(buckets)
    }

    /// The columns that rows are told apart by, beside time and zone.
    fn columns(&self) -> Vec<&'static str> {
        let mut dimensions = self.group_by.clone();
        dimensions.sort_unstable();
        dimensions.dedup();
        dimensions.into_iter().map(UsageDimension::column).collect()
    }

    /// Up to `limit` rows of these buckets, or of all hours if there are none, behind the row that
    /// the report continues behind.
    async fn read(
        &self,
        connection: &mut AnyConnection,
        spans: &[Window],
        buckets: &[Bucket],
        limit: usize,
    ) -> Result<Rows, StoreError> {
        let columns = self.columns();
        let mut statement = Statement::new(self, spans);
        statement.select(&columns, buckets);
        statement.filter(&columns, !buckets.is_empty());
        statement.order(&columns, limit);
        let rows = statement.query().fetch_all(connection).await?;
        rows.iter().map(|row| self.read_row(row, &columns)).collect()
    }

    fn read_row(&self, row: &AnyRow, columns: &[&'static str]) -> Result<(UsageReportRow, UsageCursor), StoreError> {
        let (start, zone): (Micros, String) = (instant(row, "start_at")?, row.try_get("zone")?);
        let end = instant(row, "end_at")?;
        let mut sum = UsageReportRow {
            start,
            end,
            zone: zone.clone(),
            whole: self.window.start <= start && end <= self.window.end,
            tenant: None,
            key: None,
            route: None,
            meter: None,
            mode: None,
            requests: count(row, "requests")?,
            aborted: count(row, "aborted")?,
            units: count(row, "units")?,
            billable_units: count(row, "billable_units")?,
        };
        let mut values = Vec::with_capacity(columns.len());
        for column in columns {
            values.push(row.try_get(*column)?);
            match *column {
                "tenant_id" => sum.tenant = Some(parsed(row, "tenant_id")?),
                "key_id" => sum.key = Some(parsed(row, "key_id")?),
                "route" => sum.route = Some(row.try_get("route")?),
                "meter" => sum.meter = Some(row.try_get("meter")?),
                _ => sum.mode = Some(parsed(row, "mode")?),
            }
        }
        Ok((sum, UsageCursor { start, zone, values }))
    }
}

impl UsageStep {
    /// The days or months of a clock that a window touches, those of UTC if the zone is not known.
    /// Refused: more than a report may have.
    fn buckets(self, window: Window, zone: Zone) -> Result<Vec<Bucket>, StoreError> {
        let name = zone.name().to_owned();
        let clock = zone.or_utc();
        let mut buckets = Vec::new();
        let mut start = window.start;
        while start < window.end {
            let whole = self.holding(start, &clock).map_err(|error| StoreError::refused(error.to_string()))?;
            buckets.push(Bucket { window: whole, zone: name.clone() });
            if buckets.len() > BUCKETS_MAX {
                return Err(StoreError::refused(format!(
                    "a report has at most {BUCKETS_MAX} days or months: ask for a shorter time"
                )));
            }
            start = whole.end;
        }
        Ok(buckets)
    }

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
