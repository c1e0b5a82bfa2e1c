//! `keyctl plan`: plans from a file that people review, and the tenants that have them.

mod apply;
mod beside;
mod difference;
mod table;

use std::str::FromStr;

use apply::ApplyArgs;
use clap::{Args, Subcommand};
use common::{
    api::plan::{MigrationStart, PlanVersionDocument},
    id::TenantId,
    money::Decimal,
    plan::{
        PlanId,
        subscription::{Agreement, PlanStart, TRIAL_DAYS_MAX},
    },
    time::Micros,
};
pub(crate) use difference::PlanDifference;
use serde::Serialize;

use self::{
    beside::{AddOnArgs, PauseArgs, ResumeArgs},
    table::PlanView,
};
use crate::{backend::NamedPlan, context::Context, error::Failure, output::ListRow};

const HELP: &str = "\
Examples:
  keyctl plan apply config/plans.yaml
  keyctl plan show growth
  keyctl plan assign growth --tenant ten_01jd0000000000000000000001 --from period-end";

const LIST_HELP: &str = "\
Examples:
  keyctl plan list
  keyctl plan list --output json | jq -r '.[].id'";

const SHOW_HELP: &str = "\
Examples:
  keyctl plan show growth
  keyctl plan show growth --version 1 --output json";

const VERSIONS_HELP: &str = "\
Examples:
  keyctl plan versions growth";

const ASSIGN_HELP: &str = "\
The tenant keeps this version until another is assigned. Earlier subscriptions stay as they were; a change \
that was scheduled is dropped. The same again changes nothing.

Examples:
  keyctl plan assign growth --tenant ten_01jd0000000000000000000001
  keyctl plan assign growth --tenant ten_01jd0000000000000000000001 --from period-end
  keyctl plan assign growth --tenant ten_01jd0000000000000000000001 --from 2027-01-01T00:00Z
  keyctl plan assign growth --tenant ten_01jd0000000000000000000001 --version 2
  keyctl plan assign growth --tenant ten_01jd0000000000000000000001 --trial-days 14
  keyctl plan assign growth --tenant ten_01jd0000000000000000000001 --discount-percent 15";

const END_HELP: &str = "\
From then on the tenant has the plan of the nearest tenant above that has one; if there is none, nothing \
is served. Shows all subscriptions of the tenant.

Examples:
  keyctl plan end --tenant ten_01jd0000000000000000000001 --from period-end";

const DEPRECATE_HELP: &str = "\
Tenants that have the plan keep it. A second time changes nothing.

Examples:
  keyctl plan deprecate starter";

const RESTORE_HELP: &str = "\
Examples:
  keyctl plan restore starter";

const MIGRATE_HELP: &str = "\
Shows the tenants that were moved. A tenant with another change of plan scheduled is left out. Earlier \
subscriptions stay as they were.

Examples:
  keyctl plan migrate growth --from period-end
  keyctl plan migrate growth --output json | jq length";

/// The verbs of `keyctl plan`.
#[derive(Debug, Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum PlanCommand {
    /// Store the plans of a YAML file
    #[command(after_help = apply::HELP)]
    Apply(ApplyArgs),
    /// List the latest version of every plan
    #[command(after_help = LIST_HELP)]
    List(OwnerArgs),
    /// Show one plan with its prices and limits
    #[command(after_help = SHOW_HELP)]
    Show(ShowArgs),
    /// List every version of a plan, the latest first
    #[command(after_help = VERSIONS_HELP)]
    Versions(PlanArgs),
    /// Subscribe a tenant to a plan
    #[command(after_help = ASSIGN_HELP)]
    Assign(AssignArgs),
    /// End the subscription that a tenant has of its own
    #[command(after_help = END_HELP)]
    End(EndArgs),
    /// Pause the subscription of a tenant
    #[command(after_help = beside::PAUSE_HELP)]
    Pause(PauseArgs),
    /// Resume the paused subscription of a tenant
    #[command(after_help = beside::RESUME_HELP)]
    Resume(ResumeArgs),
    /// Set or list add-ons of a tenant: fees beside that of its plan
    #[command(after_help = beside::ADD_ON_HELP)]
    AddOn(AddOnArgs),
    /// Take a plan off offer
    #[command(after_help = DEPRECATE_HELP)]
    Deprecate(PlanArgs),
    /// Put a deprecated plan back on offer
    #[command(after_help = RESTORE_HELP)]
    Restore(PlanArgs),
    /// Move all tenants that have an older version of a plan to its latest
    #[command(after_help = MIGRATE_HELP)]
    Migrate(MigrateArgs),
}

/// Names the owner of plans.
#[derive(Debug, Args)]
pub(crate) struct OwnerArgs {
    /// Tenant that the plans belong to. If left out: on a store, the only root; through the API,
    /// the tenant of the token, or the nearest above that has a plan of this name
    #[arg(long, value_name = "TENANT")]
    owner: Option<TenantId>,
}

/// The arguments of `keyctl plan show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Id of the plan
    #[arg(value_name = "PLAN")]
    id: PlanId,

    /// Version to show; the latest if left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    version: Option<i64>,

    #[command(flatten)]
    owner: OwnerArgs,
}

/// Names one plan.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Id of the plan
    #[arg(value_name = "PLAN")]
    id: PlanId,

    #[command(flatten)]
    owner: OwnerArgs,
}

/// The arguments of `keyctl plan assign`.
#[derive(Debug, Args)]
pub(crate) struct AssignArgs {
    /// Id of the plan
    #[arg(value_name = "PLAN")]
    id: PlanId,

    /// Tenant that gets the plan
    #[arg(long)]
    tenant: TenantId,

    /// Version to assign; the latest if left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    version: Option<i64>,

    /// Start of the change: now, period-end (of the tenant's billing period), or an instant that
    /// has not passed
    #[arg(long, value_name = "WHEN", default_value = "now")]
    from: When,

    /// Days of a trial, in which neither fee nor usage is charged
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=i64::from(TRIAL_DAYS_MAX)))]
    trial_days: u32,

    /// Percent off every line of the tenant's bills
    #[arg(long, value_name = "PERCENT")]
    discount_percent: Option<Decimal>,

    /// Flat fee in place of the plan's
    #[arg(long, value_name = "AMOUNT")]
    flat_fee: Option<String>,

    /// Day of the month on which billing periods begin, in place of the plan's alignment
    #[arg(long, value_name = "DAY", value_parser = clap::value_parser!(i8).range(1..=31))]
    anchor_day: Option<i8>,
}

/// The arguments of `keyctl plan end`.
#[derive(Debug, Args)]
pub(crate) struct EndArgs {
    /// Tenant whose subscription ends
    #[arg(long)]
    tenant: TenantId,

    /// Start of the change: now, period-end (of the tenant's billing period), or an instant that
    /// has not passed
    #[arg(long, value_name = "WHEN", default_value = "now")]
    from: When,
}

/// The arguments of `keyctl plan migrate`.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// Id of the plan
    #[arg(value_name = "PLAN")]
    id: PlanId,

    /// Start of the change: now, or at the end of each tenant's billing period
    #[arg(long, value_name = "WHEN", default_value = "now", value_parser = ["now", "period-end"])]
    from: String,

    #[command(flatten)]
    owner: OwnerArgs,
}

/// Start of a change of plan.
#[derive(Debug, Clone, Copy)]
struct When(PlanStart);

/// A tenant that was moved to another version of its plan.
#[derive(Debug, Serialize)]
struct MovedTenant {
    tenant: TenantId,
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let start = match text {
            "now" => PlanStart::Now,
            "period-end" => PlanStart::PeriodEnd,
            _ => {
                let at: Micros = text.parse().map_err(|error| format!("{error}; or now, or period-end"))?;
                PlanStart::At(at)
            }
        };
        Ok(Self(start))
    }
}

impl OwnerArgs {
    /// The plan of this owner.
    const fn plan(self, id: PlanId) -> NamedPlan {
        NamedPlan { owner: self.owner, id }
    }
}

impl From<PlanArgs> for NamedPlan {
    fn from(PlanArgs { id, owner }: PlanArgs) -> Self {
        owner.plan(id)
    }
}

impl PlanCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (backend, output) = (&context.backend, context.output);
        match self {
            Self::Apply(arguments) => arguments.run(context).await,
            Self::List(OwnerArgs { owner }) => output.show(&views(backend.plans(owner).await?)),
            Self::Show(ShowArgs { id, version, owner }) => {
                output.show(&PlanView::from(backend.plan(&owner.plan(id), version).await?))
            }
            Self::Versions(plan) => output.show(&views(backend.plan_versions(&plan.into()).await?)),
            Self::Assign(AssignArgs {
                id,
                tenant,
                version,
                from: When(start),
                trial_days,
                discount_percent,
                flat_fee,
                anchor_day,
            }) => {
                let agreement = Agreement { trial_days, discount_percent, flat_fee, anchor_day };
                output.show(&backend.assign_plan(tenant, &id, version, start, &agreement).await?)
            }
            Self::End(EndArgs { tenant, from: When(end) }) => {
                let question = format!("End the plan of {tenant}? Unless it inherits another, nothing is served then.");
                context.confirm(async || Ok(question)).await?;
                backend.end_subscription(tenant, end).await?;
                output.show(&backend.subscriptions_of(tenant).await?)
            }
            Self::Pause(arguments) => arguments.run(context).await,
            Self::Resume(arguments) => arguments.run(context).await,
            Self::AddOn(arguments) => arguments.run(context).await,
            Self::Deprecate(plan) => {
                output.show(&PlanView::from(backend.set_plan_deprecated(&plan.into(), true).await?))
            }
            Self::Restore(plan) => {
                output.show(&PlanView::from(backend.set_plan_deprecated(&plan.into(), false).await?))
            }
            Self::Migrate(MigrateArgs { id, from, owner }) => {
                let starts = if from == "now" { MigrationStart::Now } else { MigrationStart::PeriodEnd };
                let moved = backend.migrate_plan(&owner.plan(id), starts).await?;
                output.show(&moved.into_iter().map(|tenant| MovedTenant { tenant }).collect::<Vec<_>>())
            }
        }
    }
}

fn views(plans: Vec<PlanVersionDocument>) -> Vec<PlanView> {
    plans.into_iter().map(PlanView::from).collect()
}

impl ListRow for MovedTenant {
    const COLUMNS: &'static [&'static str] = &["TENANT"];

    fn cells(&self) -> Vec<String> {
        vec![self.tenant.to_string()]
    }
}
