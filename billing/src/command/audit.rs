//! `billing audit`: prints the state of the books, and says with its exit code whether they are in order.

use clap::Args;
use common::{store::Store, time::Period};

use super::{CommandError, log, output::Output, print, store::StoreArguments};
use crate::{
    audit::{audit, to_table},
    config::Environment,
};

const HELP: &str = "\
Examples:
  billing audit
  billing audit --period 2026-11 --output json --store sqlite://data/tollgate.db

Exit codes:
  0  the books are in order
  1  an equality does not hold, a gap is open and not settled, or a dead letter is not resolved; or the audit failed
  2  the command line makes no sense";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct AuditArguments {
    /// Read only the records of this month, on each tenant's own clock [default: of all time]
    #[arg(long, value_name = "YYYY-MM")]
    period: Option<Period>,
    /// Form of the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    store: StoreArguments,
}

pub(super) async fn execute(arguments: &AuditArguments, environment: &Environment) -> Result<(), CommandError> {
    log::start("warn");
    let store = Store::open(&arguments.store.url(environment)?).await?;
    let report = audit(&store, arguments.period).await;
    store.close().await;
    let report = report?;
    match arguments.output {
        Output::Table => print(&to_table(&report))?,
        Output::Json => print(&(serde_json::to_string_pretty(&report)? + "\n"))?,
    }
    if report.clean { Ok(()) } else { Err(CommandError::Unclean(report.faults().join(", "))) }
}
