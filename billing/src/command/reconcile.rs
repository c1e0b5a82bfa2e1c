//! `billing audit`: reconciles usage and prints the report; the exit code tells whether the books
//! are in order.

use clap::Args;
use common::{store::Store, time::Period};

use super::{CommandError, log, output::Output, print, store::StoreArguments};
use crate::{
    config::{Config, Environment},
    reconcile::{ReconcileError, Report, kafka_backlog, reconcile, to_table},
};

const HELP: &str = "\
Examples:
  billing audit
  billing audit --period 2026-11 --output json --store sqlite://data/tollgate.db

If usage comes through Kafka, the report also has the number of messages that are not booked yet (`kafka` in the JSON
form). The brokers are those of the settings or of TOLLGATE_KAFKA.

Exit codes:
  0  the books are in order; messages that are still in Kafka are reported and are no fault
  1  an equality does not hold, a gap is open and not accepted, the journal of a gateway's life is gone, a dead letter is
     not resolved, usage is in quarantine, a posting of the ledger does not sum to zero, a wallet is not what the ledger
     has, or invoices, payments and the ledger do not agree; or the command failed
  2  the command line is invalid";

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
    let (url, config) = arguments.store.resolve(environment)?;
    let store = Store::open(&url).await?;
    let report = reconcile_all(&store, arguments.period, config.as_ref(), environment).await;
    store.close().await;
    let report = report?;
    match arguments.output {
        Output::Table => print(&to_table(&report))?,
        Output::Json => print(&(serde_json::to_string_pretty(&report)? + "\n"))?,
    }
    if report.clean { Ok(()) } else { Err(CommandError::Unclean(report.faults().join(", "))) }
}

async fn reconcile_all(
    store: &Store,
    period: Option<Period>,
    config: Option<&Config>,
    environment: &Environment,
) -> Result<Report, ReconcileError> {
    // Kafka is asked first: messages that are booked meanwhile show as lag, so that incomplete
    // books never look complete.
    let kafka = kafka_backlog(store, config.map(|config| &config.ingest), environment.kafka.is_some()).await?;
    let mut report = reconcile(store, period).await?;
    report.kafka = kafka;
    Ok(report)
}
