//! `keyctl usage`: usage of tenants.

mod event;
mod report;
mod show;
mod thresholds;
mod totals;

use clap::Subcommand;

use self::{
    event::{AmendArgs, EventArgs, EventsArgs, RecordArgs},
    report::ReportArgs,
    show::ShowArgs,
    thresholds::ThresholdsArgs,
};
use crate::{
    context::Context,
    error::Failure,
    export::{COSTS_HELP, CostExportArgs},
};

const HELP: &str = "\
Examples:
  keyctl usage show --period 2026-11 --by key
  keyctl usage report --tenant ten_01jd0000000000000000000001 --subtree --step day --by tenant,meter";

/// The verbs of `keyctl usage`.
#[derive(Debug, Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum UsageCommand {
    /// Show the usage of a month
    #[command(after_help = show::HELP)]
    Show(ShowArgs),
    /// Sum usage by hour, day or month, and by tenant, key, route, meter or mode
    #[command(after_help = report::HELP)]
    Report(ReportArgs),
    /// Write what a tenant is charged as a file for another program
    #[command(after_help = COSTS_HELP)]
    Export(CostExportArgs),
    /// List quotas of which 80 % or all was used, newest first
    #[command(after_help = thresholds::HELP)]
    Thresholds(ThresholdsArgs),
    /// Record usage that no gateway has seen
    #[command(after_help = event::RECORD_HELP)]
    Record(RecordArgs),
    /// Give a recorded event other units
    #[command(after_help = event::AMEND_HELP)]
    Amend(AmendArgs),
    /// Take a recorded event out of the sums
    #[command(after_help = event::REVERT_HELP)]
    Revert(EventArgs),
    /// List recorded events and their corrections
    #[command(after_help = event::EVENTS_HELP)]
    Events(EventsArgs),
}

impl UsageCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Show(arguments) => show::show(&arguments, context).await,
            Self::Report(arguments) => report::report(arguments, context).await,
            Self::Export(arguments) => arguments.run(context).await,
            Self::Thresholds(arguments) => thresholds::list(arguments, context).await,
            Self::Record(arguments) => event::record(arguments, context).await,
            Self::Amend(arguments) => event::amend(arguments, context).await,
            Self::Revert(arguments) => event::revert(arguments, context).await,
            Self::Events(arguments) => event::list(arguments, context).await,
        }
    }
}
