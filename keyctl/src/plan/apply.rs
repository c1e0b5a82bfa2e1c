//! `keyctl plan apply`: stores the plans of a file. The changes can be shown first, and limits are
//! not dropped by accident.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use clap::Args;
use common::{
    config::{self, ConfigError},
    id::TenantId,
    plan::{Plan, PlanFile},
};

use super::{
    OwnerArgs,
    difference::{PlanChanges, PlanDifference},
};
use crate::{context::Context, error::Failure, terminal::Asking};

pub(super) const HELP: &str = "\
Stores every plan of the file that differs from its latest version as a new version: all of \
them or, if anything in the file is wrong, none. Tenants that are subscribed already stay on the \
version that they have.

A limit, quota or prepaid meter that the latest version has and the file has not would be dropped: at a terminal, the \
command asks first; in a script, the file is refused without --yes. --dry-run shows every change, and makes none.

Plans belong to a tenant, and are offered to it and to every tenant below it: to the only root, unless --owner names \
another tenant. Before there is a root, plans wait for the first one.

Examples:
  keyctl plan apply config/plans.yaml --dry-run
  keyctl plan apply config/plans.yaml
  keyctl plan apply partner.yaml --owner ten_01jd0000000000000000000001
  generate-plans | keyctl plan apply - --yes";

/// The arguments of `keyctl plan apply`.
#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// YAML file with plans; - reads standard input
    file: PathBuf,

    /// Show the changes, and make none
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    owner: OwnerArgs,
}

impl ApplyArgs {
    /// Applies the file, or shows the changes.
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (owner, plans) = (self.owner.owner, read(&self.file)?.plans);
        if self.dry_run || context.asking != Asking::Waived {
            match changes(owner, &plans, context).await {
                Ok(changes) if self.dry_run => return context.output.show(&changes),
                Ok(changes) => confirm(context, &changes).await?,
                Err(failure) if failure.is_forbidden() && !self.dry_run => {
                    context.output.warn(&format!("plans may not be read, so dropped limits are not shown: {failure}"));
                }
                Err(failure) => return Err(failure),
            }
        }
        context.output.show(&context.backend.apply_plans(owner, plans).await?)
    }
}

/// The changes that applying the plans would make.
async fn changes(owner: Option<TenantId>, plans: &[Plan], context: &Context) -> Result<PlanChanges, Failure> {
    let mut differences = Vec::new();
    for plan in plans {
        let latest = context.backend.plan_to_replace(owner, &plan.id).await?;
        differences.push(PlanDifference::new(latest.as_ref(), plan)?);
    }
    Ok(PlanChanges(differences))
}

/// Asks a person to confirm that limits are dropped; refuses it in a script.
async fn confirm(context: &Context, changes: &PlanChanges) -> Result<(), Failure> {
    let dropped = changes.dropped();
    if dropped.is_empty() {
        return Ok(());
    }
    let listed = dropped.join(", ");
    if !context.asking.is_person() {
        return Err(Failure::LimitsDropped(listed));
    }
    context.confirm(async || Ok(format!("Drop limits ({listed})?"))).await
}

fn read(file: &Path) -> Result<PlanFile, ConfigError> {
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
