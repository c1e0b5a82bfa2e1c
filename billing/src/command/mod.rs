//! The command line: one file per command. Results go to stdout, logs and errors to stderr.

mod dead_letters;
mod documents;
mod drop_records;
mod explain;
mod gaps;
mod ingest;
mod jobs;
mod listen;
mod log;
mod mail;
mod migrate;
mod outbox;
mod output;
mod progress;
mod quarantine;
mod reconcile;
mod run;
mod serve;
mod signals;
mod simulate;
mod store;

use std::{io::Write as _, net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand};
use common::{config::ConfigError, key::PepperError, store::StoreError};

use crate::{
    access::{BootstrapTokenError, oidc::IssuerSetupError},
    config::{Config, DEFAULT_FILE, Environment, PaymentsError},
    document::LanguageError,
    ingest::kafka::{IngestSetupError, KafkaIngestError},
    invoice::InvoiceError,
    job::JobError,
    outbox::{deliverers::DelivererError, mail::TemplateError},
    publish::PublishSetupError,
    reconcile::ReconcileError,
};

const HELP: &str = "\
Exit codes:
  0  done
  1  failed; stderr says why
  2  the command line is invalid

Environment:
  TOLLGATE_STORE   URL of the store, in place of the file's `store`
  TOLLGATE_KAFKA   brokers of Kafka, in place of the file's `ingest.brokers` and `changes.brokers`
  TOLLGATE_PEPPER  the pepper itself, in place of the file's `pepper_file`
  TOLLGATE_SMTP_PASSWORD
                   the password for mail, in place of the file's `mail.password_file`
  TOLLGATE_BOOTSTRAP_TOKEN
                   the bootstrap token, in place of the file's `access.bootstrap_token_file`
  RUST_LOG         level of the logs, as in `debug` or `billing=debug,info`

Examples:
  billing --config config/billing.yaml --check
  billing migrate --dry-run
  billing migrate --store sqlite://data/tollgate.db
  billing serve --config config/billing.yaml
  billing ingest --config config/billing.yaml
  billing audit --period 2026-11
  billing run --period 2026-11
  billing run --dry-run --output json --store sqlite://data/tollgate.db";

/// The business plane of Tollgate: takes usage from the gateways and turns it into invoices.
#[derive(Debug, Parser)]
#[command(
    name = "billing",
    version = common::version(),
    after_help = HELP,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Validate the settings and exit: 0 if they are valid, else 1, with every fault on stderr
    #[arg(long)]
    check: bool,
    /// Settings to validate
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE, requires = "check")]
    config: PathBuf,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the business API, usage batches, health and metrics
    Serve(serve::ServeArguments),
    /// Book usage from Kafka
    Ingest(ingest::IngestArguments),
    /// Reconcile usage: acknowledged = stored = summed up
    Audit(reconcile::AuditArguments),
    /// List messages that could not be booked, and book them again
    DeadLetters(dead_letters::DeadLettersArguments),
    /// List usage that streams have skipped or lost, and accept gaps that will never be filled
    Gaps(gaps::GapsArguments),
    /// List usage that was set aside, and book or discard it
    Quarantine(quarantine::QuarantineArguments),
    /// Delete old records of usage that is billed
    DropRecords(drop_records::DropRecordsArguments),
    /// List the jobs of this store and their runs, and do what is due
    Jobs(jobs::JobsArguments),
    /// List messages that are to leave the system, send what is due, and send messages again
    Outbox(outbox::OutboxArguments),
    /// Show what templates of mail write
    Mail(mail::MailArguments),
    /// Issue the invoices of a period, or draft them
    Run(run::RunArguments),
    /// Write the PDFs of invoices into a folder
    Documents(documents::DocumentsArguments),
    /// Show what the lines of an invoice were computed from
    Explain(explain::ExplainArguments),
    /// Rate past usage by other plans
    Simulate(simulate::SimulateArguments),
    /// Bring the store's schema up to date
    Migrate(migrate::MigrateArguments),
}

/// Reason why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The command line is invalid.
    #[error("{0}")]
    Usage(&'static str),
    /// The settings are not usable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Payments cannot be collected as the settings say.
    #[error(transparent)]
    Payments(#[from] PaymentsError),
    /// The pepper is missing or unusable.
    #[error(transparent)]
    Pepper(#[from] PepperError),
    /// The bootstrap token is not usable.
    #[error(transparent)]
    BootstrapToken(#[from] BootstrapTokenError),
    /// The identity provider cannot be asked.
    #[error(transparent)]
    Identity(#[from] IssuerSetupError),
    /// The languages of documents cannot be read.
    #[error("documents.languages: {0}")]
    Languages(#[from] LanguageError),
    /// The store is not usable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The schema is older than the program, and `--migrate` was not given.
    #[error("{0}, or start with --migrate")]
    Pending(StoreError),
    /// The address cannot be listened on.
    #[error("cannot listen on port {port} ({address}): {source}; set `{setting}` in {file} to another address")]
    Listen {
        /// The port.
        port: u16,
        /// The whole address.
        address: SocketAddr,
        /// The setting that names it.
        setting: &'static str,
        /// The file with the setting.
        file: String,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// The metrics conflict.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The server ended by itself.
    #[error("cannot serve: {0}")]
    Serve(std::io::Error),
    /// Usage cannot be taken from Kafka.
    #[error(transparent)]
    IngestSetup(#[from] IngestSetupError),
    /// Ingest from Kafka ended by itself.
    #[error(transparent)]
    Ingest(#[from] KafkaIngestError),
    /// Changes cannot be published.
    #[error(transparent)]
    PublishSetup(#[from] PublishSetupError),
    /// The books could not be reconciled.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
    /// The books have a fault, which is on stdout.
    #[error("the books are not in order: {0}")]
    Unclean(String),
    /// Some dead letters still cannot be booked; the reasons are on stdout.
    #[error("{0} of the dead letters could not be booked")]
    StillDead(usize),
    /// Some tenants could not be billed; the reasons are on stdout and stderr.
    #[error("{0} of the tenants could not be billed; all others were")]
    Unbilled(usize),
    /// Some documents could not be made; the reasons are on stderr.
    #[error("{0} of the documents could not be made; all others were")]
    Undocumented(usize),
    /// No document could be made.
    #[error(transparent)]
    Documents(#[from] documents::DocumentsError),
    /// Usage of the period may be missing.
    #[error("nothing was issued, as usage may be missing: {0}; mend that, or pass --incomplete with a reason")]
    Incomplete(String),
    /// Invoices could not be drafted.
    #[error(transparent)]
    Invoice(#[from] InvoiceError),
    /// Messages cannot be sent.
    #[error(transparent)]
    Deliverer(#[from] DelivererError),
    /// A template of mail is not usable.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Jobs could not be done.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The result cannot be written as JSON.
    #[error("cannot write the result as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The result cannot be written.
    #[error("cannot write to stdout: {0}")]
    Output(std::io::Error),
}

impl Cli {
    /// Runs the command.
    pub async fn execute(self) -> Result<(), CommandError> {
        let environment = Environment::of_process();
        let Some(command) = self.command else {
            Config::load(&self.config, &environment)?;
            return print(&format!("{}: ok\n", self.config.display()));
        };
        match command {
            Command::Serve(arguments) => serve::execute(&arguments, &environment).await,
            Command::Ingest(arguments) => ingest::execute(&arguments, &environment).await,
            Command::Audit(arguments) => reconcile::execute(&arguments, &environment).await,
            Command::DeadLetters(arguments) => dead_letters::execute(&arguments, &environment).await,
            Command::Gaps(arguments) => gaps::execute(&arguments, &environment).await,
            Command::Quarantine(arguments) => quarantine::execute(&arguments, &environment).await,
            Command::DropRecords(arguments) => drop_records::execute(&arguments, &environment).await,
            Command::Jobs(arguments) => jobs::execute(&arguments, &environment).await,
            Command::Outbox(arguments) => outbox::execute(&arguments, &environment).await,
            Command::Mail(arguments) => mail::execute(&arguments, &environment),
            Command::Run(arguments) => run::execute(&arguments, &environment).await,
            Command::Documents(arguments) => documents::execute(&arguments, &environment).await,
            Command::Explain(arguments) => explain::execute(&arguments, &environment).await,
            Command::Simulate(arguments) => simulate::execute(&arguments, &environment).await,
            Command::Migrate(arguments) => migrate::execute(&arguments, &environment).await,
        }
    }
}

impl CommandError {
    /// The exit code: 2 for an invalid command line, 1 for every other failure.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            _ => 1,
        }
    }
}

/// Writes a result to stdout. A closed reader, such as `head`, is no error.
fn print(text: &str) -> Result<(), CommandError> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(CommandError::Output(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
