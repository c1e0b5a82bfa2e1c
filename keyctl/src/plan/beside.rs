//! `keyctl plan pause`, `resume` and `add-on`: what changes a subscription without another plan.

use clap::Args;
use common::{api::subscription::AddOnDocument, id::TenantId, plan::PlanId, time::Micros};

use super::When;
use crate::{
    context::Context,
    error::Failure,
    output::{ListRow, or_dash},
};

pub(super) const PAUSE_HELP: &str = "\
While it is paused, the plan's fee, minimum and maximum do not count. Usage is charged.

Examples:
  keyctl plan pause --tenant ten_01jd0000000000000000000001 --until 2027-02-01T00:00:00Z";

pub(super) const RESUME_HELP: &str = "\
Examples:
  keyctl plan resume --tenant ten_01jd0000000000000000000001";

pub(super) const ADD_ON_HELP: &str = "\
The flat fee of the plan is due so many times in each billing period, beside the tenant's own plan. A quantity of 0 \
ends it; without --quantity, the tenant's add-ons are listed.

Examples:
  keyctl plan add-on seat --tenant ten_01jd0000000000000000000001 --quantity 5
  keyctl plan add-on --tenant ten_01jd0000000000000000000001";

/// The arguments of `keyctl plan pause`.
#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    /// Tenant whose subscription is paused
    #[arg(long)]
    tenant: TenantId,

    /// Start of the pause: now, period-end (of the tenant's billing period), or an instant that has not
    /// passed
    #[arg(long, value_name = "WHEN", default_value = "now")]
    from: When,

    /// End of the pause; none if left out
    #[arg(long, value_name = "TIME")]
    until: Option<Micros>,
}

/// The arguments of `keyctl plan resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// Tenant whose subscription goes on
    #[arg(long)]
    tenant: TenantId,

    /// End of the pause: now, period-end (of the tenant's billing period), or an instant that has not
    /// passed
    #[arg(long, value_name = "WHEN", default_value = "now")]
    from: When,
}

/// The arguments of `keyctl plan add-on`.
#[derive(Debug, Args)]
pub(crate) struct AddOnArgs {
    /// Id of a plan that has a flat fee and nothing else
    #[arg(value_name = "PLAN", requires = "quantity")]
    id: Option<PlanId>,

    /// Tenant whose add-on it is
    #[arg(long)]
    tenant: TenantId,

    /// Number of times that its fee is due
    #[arg(long, value_name = "N", requires = "id")]
    quantity: Option<u32>,

    /// Start of the change: now, period-end (of the tenant's billing period), or an instant that has not
    /// passed
    #[arg(long, value_name = "WHEN", default_value = "now")]
    from: When,
}

impl PauseArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let Self { tenant, from: When(start), until } = self;
        context.output.show(&context.backend.pause_subscription(tenant, start, until).await?)
    }
}

impl ResumeArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let Self { tenant, from: When(start) } = self;
        context.output.show(&context.backend.resume_subscription(tenant, start).await?)
    }
}

impl AddOnArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        let Self { id, tenant, quantity, from: When(start) } = self;
        let add_ons = match id.zip(quantity) {
            Some((plan, quantity)) => context.backend.set_add_on(tenant, &plan, quantity, start).await?,
            None => context.backend.add_ons_of(tenant).await?,
        };
        context.output.show(&add_ons)
    }
}

impl ListRow for AddOnDocument {
    const COLUMNS: &'static [&'static str] = &["PLAN", "VERSION", "QUANTITY", "STARTS", "ENDS"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.plan.to_string(),
            self.version.to_string(),
            self.quantity.to_string(),
            self.starts_at.to_string(),
            or_dash(self.ends_at),
        ]
    }
}
