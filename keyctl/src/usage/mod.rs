//! `keyctl usage`: usage of tenants.

mod report;
mod show;
mod thresholds;
mod totals;

use clap::Subcommand;

use self::{report::ReportArgs, show::ShowArgs, thresholds::ThresholdsArgs};
use crate::{context::Context, error::Failure};

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
    /// List quotas of which 80 % or all was used, newest first
    #[command(after_help = thresholds::HELP)]
    Thresholds(ThresholdsArgs),
}

impl UsageCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Show(arguments) => show::show(&arguments, context).await,
            Self::Report(arguments) => report::report(arguments, context).await,
            Self::Thresholds(arguments) => thresholds::list(arguments, context).await,
        }
    }
}
