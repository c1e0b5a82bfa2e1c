//! `keyctl tenant`: the companies and people who use the API.

mod billing;
mod branding;
mod limits;
mod quotas;
mod table;

use std::collections::HashMap;

use clap::{Args, Subcommand};
use common::{
    id::TenantId,
    plan::PlanId,
    tenant::{TenantFilter, TenantKind, TenantStatus, lifecycle::NewTenant},
    time::Zone,
};

use self::table::TenantView;
use crate::{backend::PlanRef, context::Context, error::Failure, words::one_of};

const HELP: &str = "\
Examples:
  keyctl tenant create --name Acme --parent ten_01jd0000000000000000000000 --plan growth
  keyctl tenant list
  keyctl tenant suspend ten_01jd0000000000000000000001";

const CREATE_HELP: &str = "\
A root is the company that sells the API. Resellers and customers stand below a root or a reseller.
Billing periods start in the tenant's time zone, which cannot be changed later.

Examples:
  keyctl tenant create --name 'Example API'
  keyctl tenant create --name Acme --parent ten_01jd0000000000000000000000 --plan growth
  keyctl tenant create --name Partner --parent ten_01jd0000000000000000000000 --kind reseller
  keyctl tenant create --name Anna --parent ten_01jd0000000000000000000001 --time-zone Europe/Berlin";

const LIST_HELP: &str = "\
Deleted tenants are listed only with --status deleted. PLAN is the plan that a tenant has of its own; \
`keyctl tenant limits` shows an inherited plan.

Examples:
  keyctl tenant list
  keyctl tenant list --subtree-of ten_01jd0000000000000000000000 --status suspended
  keyctl tenant list --output json | jq -r '.[] | select(.status == \"suspended\") | .id'";

const SHOW_HELP: &str = "\
Examples:
  keyctl tenant show ten_01jd0000000000000000000001";

const UPDATE_HELP: &str = "\
Examples:
  keyctl tenant update ten_01jd0000000000000000000001 --name 'Acme GmbH'";

const MOVE_HELP: &str = "\
Every tenant below it moves with it. Gateways follow the move within a second. Refused: a root, a parent \
below the tenant itself, below a customer or below another root, and a tree of more than five levels.

Examples:
  keyctl tenant move ten_01jd0000000000000000000001 --parent ten_01jd0000000000000000000002";

const DELETE_HELP: &str = "\
Its keys are revoked and its plan ends, for good; its usage stays on the books and is billed. Refused: a \
tenant with tenants below it. Deleting twice changes nothing.

Examples:
  keyctl tenant delete ten_01jd0000000000000000000001";

const LIMITS_HELP: &str = "\
The tenant's own plan, or the plan of the nearest tenant above that has one, lowered to the limits of every \
tenant above; each limit names the tenant that lowered it.

Examples:
  keyctl tenant limits ten_01jd0000000000000000000001
  keyctl tenant limits ten_01jd0000000000000000000001 --output json | jq .terms.tenant.per_second";

const QUOTAS_HELP: &str = "\
Hard quotas by month, and credit (PERIOD `prepaid`), as far as gateways have drawn on them. A tenant shares its quota \
with every tenant below it. DRAWN units are used or leased to gateways. OWED units were used by answers that cost more \
than was left; they are paid first when there is more, and are not billed.

Examples:
  keyctl tenant quotas ten_01jd0000000000000000000001";

const PLANS_HELP: &str = "\
Oldest first; a scheduled change is the last. `keyctl tenant limits` shows an inherited plan.

Examples:
  keyctl tenant plans ten_01jd0000000000000000000001";

const SUSPEND_HELP: &str = "\
Gateways refuse the tenant's keys and those of all tenants below it within a second. \
Suspending twice changes nothing. At a terminal, it asks first, and twice about a root.

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
    /// List tenants, oldest first
    #[command(after_help = LIST_HELP)]
    List(ListArgs),
    /// Show one tenant
    #[command(after_help = SHOW_HELP)]
    Show(TenantArgs),
    /// Show the limits of a tenant, and the tenant that lowered each
    #[command(after_help = LIMITS_HELP)]
    Limits(TenantArgs),
    /// Show a tenant's hard quotas and its credit
    #[command(after_help = QUOTAS_HELP)]
    Quotas(TenantArgs),
    /// List all plans that a tenant has of its own: ended, current and scheduled
    #[command(after_help = PLANS_HELP)]
    Plans(TenantArgs),
    /// Show what invoices say of a tenant, or replace it
    #[command(after_help = billing::HELP)]
    Billing(billing::BillingArgs),
    /// Show the looks of the documents that a tenant issues, or replace them
    #[command(after_help = branding::HELP)]
    Branding(branding::BrandingArgs),
    /// Change the name of a tenant
    #[command(after_help = UPDATE_HELP)]
    Update(UpdateArgs),
    /// Move a tenant, with every tenant below it, under another parent
    #[command(after_help = MOVE_HELP)]
    Move(MoveArgs),
    /// Refuse a tenant's requests until it is resumed
    #[command(after_help = SUSPEND_HELP)]
    Suspend(TenantArgs),
    /// Serve a suspended tenant again
    #[command(after_help = RESUME_HELP)]
    Resume(TenantArgs),
    /// Delete a tenant for good
    #[command(after_help = DELETE_HELP)]
    Delete(TenantArgs),
}

/// The arguments of `keyctl tenant create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Name for people
    #[arg(long)]
    name: String,

    /// Tenant above; without one, a root is created
    #[arg(long, value_name = "TENANT")]
    parent: Option<TenantId>,

    /// Place in the tree; if left out, customer with a parent, root without one
    #[arg(long, value_parser = one_of::<TenantKind, _>(["root", "reseller", "customer"]))]
    kind: Option<TenantKind>,

    /// Plan to subscribe to from now on, in its latest version
    #[arg(long)]
    plan: Option<PlanId>,

    /// Time zone of its billing periods, by its IANA name
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: Zone,
}

/// The arguments of `keyctl tenant list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only tenants right below this one
    #[arg(long, value_name = "TENANT")]
    parent: Option<TenantId>,

    /// Only this tenant and every tenant below it
    #[arg(long, value_name = "TENANT")]
    subtree_of: Option<TenantId>,

    /// Only tenants with this status
    #[arg(long, value_parser = one_of::<TenantStatus, _>(["active", "suspended", "deleted"]))]
    status: Option<TenantStatus>,

    /// Only tenants whose name contains this text, upper or lower case
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
}

/// The arguments of `keyctl tenant update`.
#[derive(Debug, Args)]
pub(crate) struct UpdateArgs {
    /// Id of the tenant
    #[arg(value_name = "TENANT")]
    id: TenantId,

    /// New name for people
    #[arg(long)]
    name: String,
}

/// The arguments of `keyctl tenant move`.
#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// Id of the tenant
    #[arg(value_name = "TENANT")]
    id: TenantId,

    /// New tenant right above it
    #[arg(long, value_name = "TENANT")]
    parent: TenantId,
}

/// Names one tenant.
#[derive(Debug, Args)]
pub(crate) struct TenantArgs {
    /// Id of the tenant
    #[arg(value_name = "TENANT")]
    id: TenantId,
}

impl TenantCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let backend = &context.backend;
        let has_changed = !matches!(self, Self::Show(_));
        self.confirm(context).await?;
        let tenant = match self {
            Self::Create(arguments) => backend.create_tenant(&arguments.into_tenant()).await?,
            Self::Show(TenantArgs { id }) => backend.tenant(id).await?,
            Self::Update(UpdateArgs { id, name }) => backend.rename_tenant(id, &name).await?,
            Self::Move(MoveArgs { id, parent }) => backend.move_tenant(id, parent).await?,
            Self::Suspend(TenantArgs { id }) => backend.set_tenant_status(id, TenantStatus::Suspended).await?,
            Self::Resume(TenantArgs { id }) => backend.set_tenant_status(id, TenantStatus::Active).await?,
            Self::Delete(TenantArgs { id }) => backend.delete_tenant(id).await?,
            Self::List(arguments) => return list(arguments, context).await,
            Self::Billing(arguments) => return arguments.run(context).await,
            Self::Branding(arguments) => return arguments.run(context).await,
            Self::Limits(TenantArgs { id }) => return context.output.show(&backend.limits(id).await?),
            Self::Quotas(TenantArgs { id }) => return context.output.show(&backend.quotas(id).await?),
            Self::Plans(TenantArgs { id }) => return context.output.show(&backend.subscriptions_of(id).await?),
        };
        let plan = plans(context, &[tenant.id], has_changed).await?.remove(&tenant.id);
        context.output.show(&TenantView::new(tenant, plan))
    }
}

impl TenantCommand {
    /// Asks for confirmation before a tenant, and every tenant below it, loses service.
    async fn confirm(&self, context: &Context) -> Result<(), Failure> {
        let (id, what, consequence) = match self {
            Self::Suspend(TenantArgs { id }) => {
                (id, "Suspend", "Gateways refuse it and every tenant below it at once.")
            }
            Self::Delete(TenantArgs { id }) => (id, "Delete", "Its keys are revoked, for good."),
            Self::Move(MoveArgs { id, .. }) => {
                (id, "Move", "Keys made by a tenant above that is not above the new place are revoked.")
            }
            _ => return Ok(()),
        };
        if !context.asking.is_person() {
            return Ok(());
        }
        let tenant = context.backend.tenant(*id).await?;
        let name = &tenant.name;
        context.confirm(async || Ok(format!("{what} {} {name} ({id})? {consequence}", tenant.kind))).await?;
        if tenant.kind == TenantKind::Root && matches!(self, Self::Suspend(_) | Self::Delete(_)) {
            let question = format!("{name} is a root: every tenant below it is refused from now on.");
            context.asking.confirm_by_name(&question, name)?;
            context.heard();
        }
        Ok(())
    }
}

impl CreateArgs {
    fn into_tenant(self) -> NewTenant {
        let default_kind = if self.parent.is_some() { TenantKind::Customer } else { TenantKind::Root };
        NewTenant {
            parent: self.parent,
            kind: self.kind.unwrap_or(default_kind),
            name: self.name,
            zone: self.time_zone,
            plan: self.plan,
        }
    }
}

/// The plans of these tenants. They only complete the answer: without the right to read them, the
/// answer leaves them out, and a change that was already made is not reported as failed.
async fn plans(
    context: &Context,
    tenants: &[TenantId],
    has_changed: bool,
) -> Result<HashMap<TenantId, PlanRef>, Failure> {
    match context.backend.own_plans(tenants).await {
        Err(failure) if has_changed || failure.is_forbidden() => {
            context.output.warn(&format!("plans are left out, as they cannot be read: {failure}"));
            Ok(HashMap::new())
        }
        plans => plans,
    }
}

async fn list(arguments: ListArgs, context: &Context) -> Result<(), Failure> {
    let ListArgs { parent, subtree_of, status, name } = arguments;
    let tenants = context.backend.tenants(&TenantFilter { parent, subtree_of, status, name }).await?;
    let ids: Vec<_> = tenants.iter().map(|tenant| tenant.id).collect();
    let mut plans = plans(context, &ids, false).await?;
    let views = tenants.into_iter().map(|tenant| {
        let plan = plans.remove(&tenant.id);
        TenantView::new(tenant, plan)
    });
    context.output.show(&views.collect::<Vec<_>>())
}
