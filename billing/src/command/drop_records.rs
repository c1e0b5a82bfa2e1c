//! `billing drop-records`: deletes old usage records that are billed. Rollups, and so invoices,
//! stay.

use clap::Args;
use common::{
    store::Store,
    time::{Clock as _, Micros, SystemClock},
    usage::retention::Dropped,
};

use super::{CommandError, log, output::Output, print, store::StoreArguments};
use crate::config::Environment;

const HELP: &str = "\
Example:
  billing drop-records --before 2026-10-01T00:00:00Z --billed-until 2026-11-01T00:00:00Z

Records go by whole UTC days. A day that ends after --billed-until stays, and is listed. Rollups are never dropped:
reports, invoices and `billing audit` go on counting the requests. The ids of single requests are gone for good.

Exit codes: 0 done, 1 failed, 2 the command line makes no sense";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct DropRecordsArguments {
    /// Drop records of days that ended by this time
    #[arg(long, value_name = "TIME")]
    before: Micros,
    /// Time until which the usage of every tenant is on an invoice that no longer changes
    #[arg(long, value_name = "TIME")]
    billed_until: Micros,
    /// Form of the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    store: StoreArguments,
}

pub(super) async fn execute(arguments: &DropRecordsArguments, environment: &Environment) -> Result<(), CommandError> {
    log::start("warn");
    let store = Store::open(&arguments.store.url(environment)?).await?;
    let dropped = store.drop_records_before(arguments.before, arguments.billed_until, SystemClock.now()).await?;
    store.close().await;
    print(&match arguments.output {
        Output::Json => serde_json::to_string_pretty(&dropped)? + "\n",
        Output::Table => summary(&dropped),
    })
}

fn summary(dropped: &Dropped) -> String {
    let mut lines = vec![format!("{} records dropped, of these days:", dropped.records)];
    let day = |day: &Micros| format!("  {day}");
    lines.extend(dropped.days.iter().map(day));
    if !dropped.unbilled.is_empty() {
        lines.push("Days that stay, as they are not billed:".into());
        lines.extend(dropped.unbilled.iter().map(day));
    }
    lines.join("\n") + "\n"
}
