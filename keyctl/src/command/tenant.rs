//! `keyctl tenant`: the companies and people who use the API.

use std::collections::HashMap;

use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use common::{
    id::TenantId,
    plan::PlanId,
    store::{NewTenant, Subscription},
    tenant::{Tenant, TenantKind, TenantStatus},
    time::Zone,
};

use super::Context;
use crate::{error::Failure, view::TenantView};

const HELP: &str = "\
Examples:
  keyctl tenant create --name Acme --parent ten_01jd0000000000000000000000 --plan growth
  keyctl tenant list
  keyctl tenant suspend ten_01jd0000000000000000000001";

const CREATE_HELP: &str = "\
A root is the company that sells the API. Resellers and customers stand below a root or a reseller.
The time zone decides when the tenant's billing periods start; it cannot be changed later.

Examples:
  keyctl tenant create --name 'Example API'
  keyctl tenant create --name Acme --parent ten_01jd0000000000000000000000 --plan growth
  keyctl tenant create --name Partner --parent ten_01jd0000000000000000000000 --kind reseller
  keyctl tenant create --name Anna --parent ten_01jd0000000000000000000001 --time-zone Europe/Berlin";

const LIST_HELP: &str = "\
Examples:
  keyctl tenant list
  keyctl tenant list --output json | jq -r '.[] | select(.status == \"suspended\") | .id'";

const SHOW_HELP: &str = "\
Examples:
  keyctl tenant show ten_01jd0000000000000000000001";

const SUSPEND_HELP: &str = "\
Gateways refuse the tenant's keys and those of all tenants below it within a second. \
Suspending twice changes nothing.

Examples:
  keyctl tenant suspend ten_01jd0000000000000000000001";

const RESUME_HELP: &str = "\
Gateways serve the tenant's keys again within a second, unless a tenant above is \
suspended. Resuming twice changes nothing.

Examples:
  keyctl tenant resume ten_01jd0000000000000000000001";

/// The verbs of `keyctl tenant`.
#[derive(Debug, Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum TenantCommand {
    /// Create a tenant
    #[command(after_help = CREATE_HELP)]
    Create(CreateArgs),
    /// List all tenants, oldest first
    #[command(after_help = LIST_HELP)]
    List,
    /// Show one tenant
    #[command(after_help = SHOW_HELP)]
    Show(TenantArgs),
    /// Refuse a tenant's requests until it is resumed
    #[command(after_help = SUSPEND_HELP)]
    Suspend(TenantArgs),
    /// Serve a suspended tenant again
    #[command(after_help = RESUME_HELP)]
    Resume(TenantArgs),
}

/// The arguments of `keyctl tenant create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// What people call it
    #[arg(long)]
    name: String,

    /// Tenant above; without one, a root is created
    #[arg(long, value_name = "TENANT")]
    parent: Option<TenantId>,

    /// Place in the tree: customer if there is a parent, root if not, unless said otherwise
    #[arg(long, value_parser = kind_parser())]
    kind: Option<TenantKind>,

    /// Plan to subscribe to from now on, in its latest version
    #[arg(long)]
    plan: Option<PlanId>,

    /// Clock of its billing periods, by its IANA name
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: Zone,
}

/// The tenant that a verb is about.
#[derive(Debug, Args)]
pub(crate) struct TenantArgs {
    /// Id of the tenant
    #[arg(value_name = "TENANT")]
    id: TenantId,
}

impl TenantCommand {
    /// Does what was asked.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Create(arguments) => create(arguments, context).await,
            Self::List => list(context).await,
            Self::Show(TenantArgs { id }) => show(context.store.tenant(id).await?, context).await,
            Self::Suspend(TenantArgs { id }) => set_status(id, TenantStatus::Suspended, context).await,
            Self::Resume(TenantArgs { id }) => set_status(id, TenantStatus::Active, context).await,
        }
    }
}

async fn create(arguments: CreateArgs, context: &Context) -> Result<(), Failure> {
    let default_kind = if arguments.parent.is_some() { TenantKind::Customer } else { TenantKind::Root };
    let new = NewTenant {
        parent: arguments.parent,
        kind: arguments.kind.unwrap_or(default_kind),
        name: arguments.name,
        zone: arguments.time_zone,
        plan: arguments.plan,
    };
    show(context.store.create_tenant(&new, context.now).await?, context).await
}

async fn list(context: &Context) -> Result<(), Failure> {
    let mut in_force: HashMap<TenantId, Subscription> = HashMap::new();
    for subscription in context.store.subscriptions().await? {
        let ended = subscription.ends_at.is_some_and(|end| end <= context.now);
        if subscription.starts_at <= context.now && !ended {
            in_force.insert(subscription.tenant, subscription);
        }
    }
    let tenants = context.store.tenants().await?;
    let views: Vec<_> = tenants
        .into_iter()
        .map(|tenant| {
            let subscription = in_force.remove(&tenant.id);
            TenantView::new(tenant, subscription)
        })
        .collect();
    context.output.show(&views)
}

async fn set_status(id: TenantId, status: TenantStatus, context: &Context) -> Result<(), Failure> {
    show(context.store.set_tenant_status(id, status, context.now).await?, context).await
}

async fn show(tenant: Tenant, context: &Context) -> Result<(), Failure> {
    let subscription = context.store.subscription_at(tenant.id, context.now).await?;
    context.output.show(&TenantView::new(tenant, subscription))
}

/// Lists the kinds in help texts and completions, and leaves reading them to the domain.
fn kind_parser() -> impl clap::builder::TypedValueParser<Value = TenantKind> {
    PossibleValuesParser::new([TenantKind::Root, TenantKind::Reseller, TenantKind::Customer].map(TenantKind::as_str))
        .try_map(|word| word.parse::<TenantKind>())
}
