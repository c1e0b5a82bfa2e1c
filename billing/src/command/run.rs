//! `billing run`: issues the invoices of a period, or drafts them.

use std::io::Write as _;

use clap::Args;
use common::{
    id::TenantId,
    store::Store,
    time::{Clock as _, Micros, Period, SystemClock, Zone},
};

use super::{CommandError, log, output::Output, print, progress::ProgressReport, store::StoreArguments};
use crate::{
    config::{Config, Environment},
    invoice::{
        FailedDraft, IssueOptions, Missing, PeriodChoice, Run, UnbilledUsage, draft, issue_due_watched, issue_watched,
        last_ended, missing, run_to_json, run_to_table, to_json, to_table,
    },
    number::grouped,
    reconcile::kafka_backlog,
};

const EXAMPLES: &str = "\
A period is issued once it has ended, --grace has passed, and all usage is booked that any gateway may \
still have. The same run again issues what is missing and changes nothing else.

Examples:
  billing run --period 2026-11 --dry-run
  billing run --period 2026-11
  billing run --period 2026-11 --incomplete 'edge-3 is lost, ticket 17'
  billing run --period 2026-11 --dry-run --output json --store sqlite://data/tollgate.db
  billing run --dry-run --now 2026-11-22T01:30:00Z --tenant ten_01jd0000000000000000000000

Exit codes: 0 done, 1 failed, usage may be missing, or a tenant could not be billed (all others were), \
2 the command line is invalid";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RunArguments {
    /// Month to bill, on each payer's own clock: the periods that end with or within it [default: the
    /// month that ended last and what has ended since; with --dry-run, the periods that hold --now]
    #[arg(long, value_name = "YYYY-MM")]
    period: Option<Period>,
    /// Instant that counts as now, as in 2026-11-22T01:30:00Z [default: the machine's clock]
    #[arg(long, value_name = "INSTANT")]
    now: Option<Micros>,
    /// Only this tenant
    #[arg(long, value_name = "ID")]
    tenant: Option<TenantId>,
    /// Draft the invoices without issuing them
    #[arg(long)]
    dry_run: bool,
    /// Minutes from the end of a period to its invoices, for usage that is still on its way
    #[arg(long, value_name = "MINUTES", default_value_t = 60, conflicts_with = "dry_run")]
    #[arg(value_parser = clap::value_parser!(u32).range(..=525_600))]
    grace: u32,
    /// Issue although usage may be missing; the reason goes to the audit log
    #[arg(long, value_name = "REASON", conflicts_with = "dry_run")]
    incomplete: Option<String>,
    /// Number of earlier months in which late usage is looked for
    #[arg(long, value_name = "N", default_value_t = 3, conflicts_with = "dry_run")]
    #[arg(value_parser = clap::value_parser!(u32).range(..=120))]
    late_months: u32,
    /// Form of the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    store: StoreArguments,
}

pub(super) async fn execute(arguments: &RunArguments, environment: &Environment) -> Result<(), CommandError> {
    log::start("warn,billing::command::progress=info");
    let (url, config) = arguments.store.resolve(environment)?;
    let store = Store::open(&url).await?;
    let done = if arguments.dry_run {
        print_drafts(&store, arguments).await
    } else {
        issue_all(&store, arguments, config.as_ref(), environment).await
    };
    store.close().await;
    match done? {
        0 => Ok(()),
        failed => Err(CommandError::Unbilled(failed)),
    }
}

/// Prints drafts, and says how many tenants could not be billed.
async fn print_drafts(store: &Store, arguments: &RunArguments) -> Result<usize, CommandError> {
    let now = arguments.now.unwrap_or_else(|| SystemClock.now());
    let choice = arguments.period.map_or(PeriodChoice::Holding(now), PeriodChoice::Named);
    let drafts = draft(store, choice, arguments.tenant).await?;
    let unknown = if arguments.output == Output::Table { drafts.unknown_tenants.as_slice() } else { &[] };
    warn_of_unbilled_usage(unknown, &drafts.unsubscribed_tenants, &drafts.failed);
    match arguments.output {
        Output::Table => print(&to_table(&drafts))?,
        Output::Json => print(&(to_json(&drafts)? + "\n"))?,
    }
    Ok(drafts.failed.len())
}

/// Issues invoices, and says how many tenants could not be billed.
async fn issue_all(
    store: &Store,
    arguments: &RunArguments,
    config: Option<&Config>,
    environment: &Environment,
) -> Result<usize, CommandError> {
    let now = arguments.now.unwrap_or_else(|| SystemClock.now());
    let grace_seconds = i64::from(arguments.grace) * 60;
    let period = arguments.period.map_or_else(|| last_ended(now, grace_seconds), Ok)?;
    // The last payer's period ends half a day after the one in UTC.
    let everywhere = period.window(&Zone::utc()).map_or(now, |window| window.end.plus_seconds(43_200));
    let ended_by = now.plus_seconds(-grace_seconds);
    let until = if arguments.period.is_some() { everywhere.min(ended_by) } else { ended_by };
    let mut found = missing(store, until).await?;
    let kafka = kafka_backlog(store, config.map(|config| &config.ingest), environment.kafka.is_some()).await?;
    found.extend(kafka.and_then(|kafka| kafka.incomplete()).map(Missing::Kafka));
    if !found.is_empty() {
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        match &arguments.incomplete {
            Some(reason) => store.record_incomplete_run(&period.to_string(), reason, &found, now).await?,
            None => return Err(CommandError::Incomplete(found.join("; "))),
        }
    }
    let options = IssueOptions { now, grace_seconds, late_periods: arguments.late_months };
    let report = ProgressReport::new();
    let watch = |progress| report.tell(progress);
    let run = match arguments.period {
        Some(period) => issue_watched(store, period, arguments.tenant, options, &watch).await,
        None => issue_due_watched(store, arguments.tenant, options, &watch).await,
    };
    report.finish();
    let run: Run = run?;
    let unknown = if arguments.output == Output::Table { run.unknown_tenants.as_slice() } else { &[] };
    warn_of_unbilled_usage(unknown, &run.unsubscribed_tenants, &run.failed);
    match arguments.output {
        Output::Table => print(&run_to_table(&run))?,
        Output::Json => print(&(run_to_json(&run)? + "\n"))?,
    }
    Ok(run.failed.len())
}

/// Says on stderr which usage is on no invoice. Unknown tenants are part of the JSON form already.
fn warn_of_unbilled_usage(unknown: &[UnbilledUsage], unsubscribed: &[UnbilledUsage], failed: &[FailedDraft]) {
    let mut stderr = std::io::stderr().lock();
    for usage in unknown {
        // A closed stderr leaves nobody to warn; the result still counts.
        let _ = writeln!(
            stderr,
            "warning: {} units of tenant {} are on no invoice: the store does not know this tenant",
            grouped(usage.units),
            usage.tenant
        );
    }
    for failed in failed {
        let _ = writeln!(stderr, "error: {} ({}) is not billed: {}", failed.tenant_name, failed.tenant, failed.reason);
    }
    for usage in unsubscribed {
        let _ = writeln!(
            stderr,
            "warning: {} billable units of tenant {} are on no invoice: it had no subscription at that time",
            grouped(usage.units),
            usage.tenant
        );
    }
}
