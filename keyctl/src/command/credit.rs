//! `keyctl credit`: units that tenants have paid for in advance, of meters that their plan calls prepaid.

use clap::{Args, Subcommand};
use common::{
    id::TenantId,
    quota::credit::{TOP_UP_UNITS_MAX, TopUp},
};

use super::Context;
use crate::error::Failure;

const HELP: &str = "\
Examples:
  keyctl credit add --tenant ten_01jd0000000000000000000001 --meter tokens --units 1000000
  keyctl credit show --tenant ten_01jd0000000000000000000001";

const ADD_HELP: &str = "\
Gateways serve them within two seconds. With a reference, such as an order number, the same command \
can be repeated and adds once. Each tenant has references of its own.

Negative units take back what was added by mistake, as far as no gateway has drawn it; --reason says why.

Examples:
  keyctl credit add --tenant ten_01jd0000000000000000000001 --meter tokens --units 1000000
  keyctl credit add --tenant ten_01jd0000000000000000000001 --meter tokens --units 5 --reference A1
  keyctl credit add --tenant ten_01jd0000000000000000000001 --meter tokens --units -5 --reason slip";

const SHOW_HELP: &str = "\
PAID units were added in all. DRAWN are those of them that are used or in the hands of gateways, \
which give back what they do not need; LEFT can still be drawn. OWED units were used by answers that cost more than \
was left: the next top-up pays them first.

Examples:
  keyctl credit show --tenant ten_01jd0000000000000000000001
  keyctl credit show --tenant ten_01jd0000000000000000000001 --output json | jq '.credit[].left'";

/// The verbs of `keyctl credit`.
#[derive(Debug, Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum CreditCommand {
    /// Add units to a tenant's credit
    #[command(after_help = ADD_HELP)]
    Add(AddArgs),
    /// Show a tenant's credit and what it was paid with
    #[command(after_help = SHOW_HELP)]
    Show(ShowArgs),
}

/// The arguments of `keyctl credit add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Whose credit
    #[arg(long)]
    tenant: TenantId,

    /// Meter that the units are of
    #[arg(long)]
    meter: String,

    /// How many; below 0 to take some back, with --reason
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i64).range(-TOP_UP_UNITS_MAX..=TOP_UP_UNITS_MAX))]
    units: i64,

    /// What the payment is known by; made up unless said otherwise
    #[arg(long, value_name = "TEXT")]
    reference: Option<String>,

    /// Why; needed to take units back
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// The arguments of `keyctl credit show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Whose credit
    #[arg(long)]
    tenant: TenantId,
}

impl CreditCommand {
    /// Does what was asked.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Add(arguments) => add(arguments, context).await,
            Self::Show(ShowArgs { tenant }) => show(tenant, context).await,
        }
    }
}

async fn add(arguments: AddArgs, context: &Context) -> Result<(), Failure> {
    let AddArgs { tenant, meter, units, reference, reason } = arguments;
    if units < 0 {
        let question = async || Ok(format!("Take {} units of {meter} back from {tenant}?", units.unsigned_abs()));
        context.confirm(question).await?;
    }
    let reference = reference.unwrap_or_else(TopUp::made_up_reference);
    context.backend.add_credit(&TopUp { reference, tenant, meter, units, reason, added_at: context.now }).await?;
    show(tenant, context).await
}

async fn show(tenant: TenantId, context: &Context) -> Result<(), Failure> {
    context.output.show(&context.backend.credit(tenant).await?)
}
