//! `keyctl usage report`: sums of usage by time and by the dimensions that are asked for.

use clap::Args;
use common::{
    api::usage::UsageDocument,
    id::{KeyId, TenantId},
    key::Mode,
    time::{Micros, Window},
    usage::report::{UsageDimension, UsageQuery, UsageStep},
};

use crate::{
    context::Context,
    error::Failure,
    output::{ListRow, or_dash},
    words::one_of,
};

/// Length of a report without --from: 30 days.
const REACH_SECONDS: i64 = 30 * 86_400;

/// Rows of one page.
const PAGE_ROWS: u32 = 1_000;

pub(super) const HELP: &str = "\
Hours, days and months are in each tenant's time zone; START is their first instant. A dimension that rows \
are not grouped by is empty. The current hour is shown as far as it is booked.

Examples:
  keyctl usage report --tenant ten_01jd0000000000000000000001
  keyctl usage report --tenant ten_01jd0000000000000000000001 --subtree --step month --by tenant
  keyctl usage report --tenant ten_01jd0000000000000000000001 --from 2026-11-01T00:00Z --by key
  keyctl usage report --tenant ten_01jd0000000000000000000001 --output json | jq '.[].units'";

/// The arguments of `keyctl usage report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Tenant whose usage it is
    #[arg(long)]
    tenant: TenantId,

    /// Include every tenant below it
    #[arg(long)]
    subtree: bool,

    /// Only usage with this key
    #[arg(long)]
    key: Option<KeyId>,

    /// Only usage through this route
    #[arg(long)]
    route: Option<String>,

    /// Only usage of this meter
    #[arg(long)]
    meter: Option<String>,

    /// Only usage under keys of this mode
    #[arg(long, value_parser = one_of::<Mode, _>(["live", "test"]))]
    mode: Option<Mode>,

    /// Only hours that start at this instant or later; 30 days before the end if left out
    #[arg(long, value_name = "TIME")]
    from: Option<Micros>,

    /// Only hours that start before this instant; now if left out
    #[arg(long, value_name = "TIME")]
    to: Option<Micros>,

    /// Span of time that each row sums
    #[arg(long, default_value = "day", value_parser = one_of::<UsageStep, _>(["hour", "day", "month"]))]
    step: UsageStep,

    /// Dimensions to group by, beside time, separated by commas
    #[arg(long, default_value = "meter", value_delimiter = ',', value_parser = dimension())]
    by: Vec<UsageDimension>,
}

/// A parser of one dimension.
fn dimension() -> impl clap::builder::TypedValueParser<Value = UsageDimension> {
    one_of(["tenant", "key", "route", "meter", "mode"])
}

/// Prints the report.
pub(super) async fn report(arguments: ReportArgs, context: &Context) -> Result<(), Failure> {
    let end = arguments.to.unwrap_or(context.now);
    let start = arguments.from.unwrap_or(end.plus_seconds(-REACH_SECONDS));
    if start >= end {
        return Err(Failure::EmptyWindow);
    }
    let query = UsageQuery {
        tenant: arguments.tenant,
        subtree: arguments.subtree,
        key: arguments.key,
        route: arguments.route,
        meter: arguments.meter,
        mode: arguments.mode,
        window: Window { start, end },
        step: arguments.step,
        group_by: arguments.by,
        after: None,
        limit: PAGE_ROWS,
    };
    context.output.show(&context.backend.usage_report(&query).await?)
}

impl ListRow for UsageDocument {
    const COLUMNS: &'static [&'static str] = &[
        "START", "ZONE", "WHOLE", "TENANT", "KEY", "ROUTE", "METER", "MODE", "REQUESTS", "ABORTED", "UNITS", "BILLABLE",
    ];
    const DROPPABLE: &'static [&'static str] = &["WHOLE", "ZONE", "MODE", "TENANT", "ABORTED", "BILLABLE"];

    fn cells(&self) -> Vec<String> {
        let labels = [
            self.start.to_string(),
            self.zone.clone(),
            if self.whole { "yes" } else { "no" }.to_owned(),
            or_dash(self.tenant),
            or_dash(self.key),
            or_dash(self.route.as_ref()),
            or_dash(self.meter.as_ref()),
            or_dash(self.mode),
        ];
        let numbers = [self.requests, self.aborted, self.units, self.billable_units];
        labels.into_iter().chain(numbers.map(|number| number.to_string())).collect()
    }
}
