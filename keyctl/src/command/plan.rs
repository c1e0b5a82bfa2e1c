//! `keyctl plan`: what tenants may do and what that costs, from a file that people review.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use common::{
    config::{self, ConfigError},
    plan::{PlanFile, PlanFileError, PlanId},
};

use super::Context;
use crate::{error::Failure, view::PlanView};

const HELP: &str = "\
Examples:
  keyctl plan apply config/plans.yaml
  keyctl plan show growth";

const APPLY_HELP: &str = "\
Stores every plan of the file that differs from its latest version as a new version: all of \
them or, if anything in the file is wrong, none. Tenants that are subscribed already stay on the \
version that they have.

Examples:
  keyctl plan apply config/plans.yaml
  generate-plans | keyctl plan apply -";

const LIST_HELP: &str = "\
Examples:
  keyctl plan list
  keyctl plan list --output json | jq -r '.[].id'";

const SHOW_HELP: &str = "\
Examples:
  keyctl plan show growth
  keyctl plan show growth --version 1 --output json";

/// The verbs of `keyctl plan`.
#[derive(Debug, Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum PlanCommand {
    /// Store the plans of a YAML file
    #[command(after_help = APPLY_HELP)]
    Apply(ApplyArgs),
    /// List the latest version of every plan
    #[command(after_help = LIST_HELP)]
    List,
    /// Show one plan with its prices and limits
    #[command(after_help = SHOW_HELP)]
    Show(ShowArgs),
}

/// The arguments of `keyctl plan apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// YAML file with plans; - reads standard input
    file: PathBuf,
}

/// The arguments of `keyctl plan show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Id of the plan
    #[arg(value_name = "PLAN")]
    id: PlanId,

    /// Version to show; the latest unless said otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    version: Option<i64>,
}

impl PlanCommand {
    /// Does what was asked.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Apply(ApplyArgs { file }) => apply(&file, context).await,
            Self::List => list(context).await,
            Self::Show(ShowArgs { id, version }) => {
                let plan = context.store.plan(&id, version).await?;
                context.output.show(&PlanView::new(plan))
            }
        }
    }
}

async fn apply(file: &Path, context: &Context) -> Result<(), Failure> {
    let plans = read(file)?.plans;
    let applied = context.store.apply_plans(&plans, context.now).await?;
    context.output.show(&applied)
}

async fn list(context: &Context) -> Result<(), Failure> {
    let plans: Vec<_> = context.store.plans().await?.into_iter().map(PlanView::new).collect();
    context.output.show(&plans)
}

fn read(file: &Path) -> Result<PlanFile, PlanFileError> {
    if file != Path::new("-") {
        return PlanFile::parse(&config::read(file)?, &file.display().to_string());
    }
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .read_to_string(&mut text)
        .map_err(|source| ConfigError::Unreadable { file: "standard input".to_owned(), source })?;
    PlanFile::parse(&text, "standard input")
}
