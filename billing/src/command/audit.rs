//! `billing audit`: prints the state of the books, and says with its exit code whether they are in order.

use clap::Args;
use common::{store::Store, time::Period};

use super::{CommandError, log, output::Output, print, store::StoreArguments};
use crate::{
    audit::{AuditError, Report, audit, kafka_backlog, to_table},
    config::{Config, Environment},
};

const HELP: &str = "\
Examples:
  billing audit
  billing audit --period 2026-11 --output json --store sqlite://data/tollgate.db

If usage comes through Kafka, the audit also tells how many messages there are not booked yet (`kafka` in the JSON
form). It finds the brokers in the settings or in TOLLGATE_KAFKA.

Exit codes:
  0  what is booked is in order; messages that still lie in Kafka are told and are no fault
  1  an equality does not hold, a gap is open and not settled, the journal of a gateway's life is gone, a dead letter is
     not resolved, or usage is in quarantine; or the audit failed
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
    let (url, config) = arguments.store.resolve(environment)?;
    let store = Store::open(&url).await?;
    let report = audit_all(&store, arguments.period, config.as_ref(), environment).await;
    store.close().await;
    let report = report?;
    match arguments.output {
        Output::Table => print(&to_table(&report))?,
        Output::Json => print(&(serde_json::to_string_pretty(&report)? + "\n"))?,
    }
    if report.clean { Ok(()) } else { Err(CommandError::Unclean(report.faults().join(", "))) }
}

async fn audit_all(
    store: &Store,
    period: Option<Period>,
    config: Option<&Config>,
    environment: &Environment,
) -> Result<Report, AuditError> {
    // Kafka is asked first: what is booked meanwhile shows as lag, and never as complete books that are not.
    let kafka = kafka_backlog(store, config.map(|config| &config.ingest), environment.kafka.is_some()).await?;
    let mut report = audit(store, period).await?;
    report.kafka = kafka;
    Ok(report)
}
