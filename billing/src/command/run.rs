//! `billing run`: drafts the invoices of a period. It reads the store and changes nothing.

use std::io::Write as _;

use clap::Args;
use common::{
    id::TenantId,
    store::Store,
    time::{Clock as _, Micros, Period, SystemClock},
};

use super::{CommandError, log, output::Output, print, store::StoreArguments};
use crate::{
    config::Environment,
    invoice::{Drafts, PeriodChoice, draft, to_json, to_table},
    number::grouped,
};

const EXAMPLES: &str = "\
Examples:
  billing run --period 2026-11 --dry-run
  billing run --period 2026-11 --dry-run --output json --store sqlite://data/tollgate.db
  billing run --dry-run --now 2026-11-22T01:30:00Z --tenant ten_01jd0000000000000000000000

Exit codes: 0 done, 1 failed or a tenant could not be billed (all others were), 2 the command line is invalid";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RunArguments {
    /// Month to bill, on each payer's own clock [default: the month that holds --now there]
    #[arg(long, value_name = "YYYY-MM")]
    period: Option<Period>,
    /// Instant that counts as now, as in 2026-11-22T01:30:00Z [default: the machine's clock]
    #[arg(long, value_name = "INSTANT")]
    now: Option<Micros>,
    /// Only this tenant
    #[arg(long, value_name = "ID")]
    tenant: Option<TenantId>,
    /// Draft the invoices without issuing them; needed, as this version cannot issue any
    #[arg(long)]
    dry_run: bool,
    /// Form of the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    store: StoreArguments,
}

pub(super) async fn execute(arguments: &RunArguments, environment: &Environment) -> Result<(), CommandError> {
    log::start("warn");
    if !arguments.dry_run {
        return Err(CommandError::Usage(
            "issuing invoices is not available in this version: pass --dry-run to print drafts",
        ));
    }
    let now = arguments.now.unwrap_or_else(|| SystemClock.now());
    let choice = arguments.period.map_or(PeriodChoice::Holding(now), PeriodChoice::Named);
    let store = Store::open(&arguments.store.url(environment)?).await?;
    let drafts = draft(&store, choice, arguments.tenant).await;
    store.close().await;
    let drafts = drafts?;
    warn_of_unbilled_usage(&drafts, arguments.output);
    match arguments.output {
        Output::Table => print(&to_table(&drafts))?,
        Output::Json => print(&(to_json(&drafts)? + "\n"))?,
    }
    match drafts.failed.len() {
        0 => Ok(()),
        failed => Err(CommandError::Unbilled(failed)),
    }
}

/// Says on stderr which usage is on no invoice. Unknown tenants are part of the JSON form already.
fn warn_of_unbilled_usage(drafts: &Drafts, output: Output) {
    let mut stderr = std::io::stderr().lock();
    let unknown = if output == Output::Table { drafts.unknown_tenants.as_slice() } else { &[] };
    for usage in unknown {
        // A closed stderr leaves nobody to warn; the result still counts.
        let _ = writeln!(
            stderr,
            "warning: {} units of tenant {} are on no invoice: the store does not know this tenant",
            grouped(usage.units),
            usage.tenant
        );
    }
    for failed in &drafts.failed {
        let _ = writeln!(stderr, "error: {} ({}) is not billed: {}", failed.tenant_name, failed.tenant, failed.reason);
    }
    for usage in &drafts.unsubscribed_tenants {
        let _ = writeln!(
            stderr,
            "warning: {} billable units of tenant {} are on no invoice: it had no subscription at that time",
            grouped(usage.units),
            usage.tenant
        );
    }
}
