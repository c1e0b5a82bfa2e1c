//! `keyctl usage report`: sums of usage by time and by whatever is asked for.

use clap::Args;
use common::{
    id::{KeyId, TenantId},
    key::Mode,
    time::{Micros, Window},
    usage::report::{UsageDimension, UsageQuery, UsageStep},
};

use crate::{command::Context, error::Failure, words::one_of};

/// How far back a report reaches that does not say from when on: 30 days.
const REACH_SECONDS: i64 = 30 * 86_400;

/// Rows that are asked for at once.
const PAGE_ROWS: u32 = 1_000;

pub(super) const HELP: &str = "\
Hours, days and months are those of each tenant's own clock; START is where they begin. What rows are not \
told apart by is left open. Hours that are still under way are shown as far as they are booked.

Examples:
  keyctl usage report --tenant ten_01jd0000000000000000000001
  keyctl usage report --tenant ten_01jd0000000000000000000001 --subtree --step month --by tenant
  keyctl usage report --tenant ten_01jd0000000000000000000001 --from 2026-11-01T00:00Z --by key
  keyctl usage report --tenant ten_01jd0000000000000000000001 --output json | jq '.[].units'";

/// The arguments of `keyctl usage report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Whose usage
    #[arg(long)]
    tenant: TenantId,

    /// And that of everybody below it
    #[arg(long)]
    subtree: bool,

    /// Only with this key
    #[arg(long)]
    key: Option<KeyId>,

    /// Only through this route
    #[arg(long)]
    route: Option<String>,

    /// Only of this meter
    #[arg(long)]
    meter: Option<String>,

    /// Only under keys of this mode
    #[arg(long, value_parser = one_of::<Mode, _>(["live", "test"]))]
    mode: Option<Mode>,

    /// In hours that start at this instant or later; 30 days before the end unless said otherwise
    #[arg(long, value_name = "TIME")]
    from: Option<Micros>,

    /// And before this instant; now unless said otherwise
    #[arg(long, value_name = "TIME")]
    to: Option<Micros>,

    /// How long each row's sums reach
    #[arg(long, default_value = "day", value_parser = one_of::<UsageStep, _>(["hour", "day", "month"]))]
    step: UsageStep,

    /// What rows are told apart by, beside time; several with commas between
    #[arg(long, default_value = "meter", value_delimiter = ',', value_parser = dimension())]
    by: Vec<UsageDimension>,
}

/// Reads one dimension.
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
