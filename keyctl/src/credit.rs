//! `keyctl credit`: units that tenants have paid for in advance, of the prepaid meters of their
//! plan.

use clap::{Args, Subcommand};
use common::{
    api::credit::{CreditDocument, TenantCreditDocument, TopUpDocument},
    id::TenantId,
    quota::credit::{TOP_UP_UNITS_MAX, TopUp},
};
use serde::Serialize;

use crate::{
    context::Context,
    error::Failure,
    output::{ListRow, Rows, View},
};

const HELP: &str = "\
Examples:
  keyctl credit add --tenant ten_01jd0000000000000000000001 --meter tokens --units 1000000
  keyctl credit show --tenant ten_01jd0000000000000000000001";

const ADD_HELP: &str = "\
Gateways serve the units within two seconds. With a reference, such as an order number, a repeated command \
adds only once. Each tenant has references of its own.

Negative units take back units that were added by mistake and that no gateway has drawn; --reason is required.

Examples:
  keyctl credit add --tenant ten_01jd0000000000000000000001 --meter tokens --units 1000000
  keyctl credit add --tenant ten_01jd0000000000000000000001 --meter tokens --units 5 --reference A1
  keyctl credit add --tenant ten_01jd0000000000000000000001 --meter tokens --units -5 --reason slip";

const SHOW_HELP: &str = "\
PAID units were added in all. DRAWN units are used or leased to gateways, which return units that they do \
not need; LEFT units can still be drawn. OWED units were used by answers that cost more than was left: the next top-up \
pays them first.

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
    /// Show a tenant's credit and its top-ups
    #[command(after_help = SHOW_HELP)]
    Show(ShowArgs),
}

/// The arguments of `keyctl credit add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// Tenant whose credit it is
    #[arg(long)]
    tenant: TenantId,

    /// Meter that counts the units
    #[arg(long)]
    meter: String,

    /// Number of units; below 0 to take units back, with --reason
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i64).range(-TOP_UP_UNITS_MAX..=TOP_UP_UNITS_MAX))]
    units: i64,

    /// Reference of the payment; generated if left out
    #[arg(long, value_name = "TEXT")]
    reference: Option<String>,

    /// Reason; required to take units back
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// The arguments of `keyctl credit show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Tenant whose credit it is
    #[arg(long)]
    tenant: TenantId,
}

/// A tenant's credit.
#[derive(Debug, Serialize)]
struct CreditReport {
    tenant: TenantId,
    credit: Vec<CreditDocument>,
    top_ups: Vec<TopUpDocument>,
}

impl CreditCommand {
    /// Runs the command.
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
    let TenantCreditDocument { credit, top_ups, .. } = context.backend.credit(tenant).await?;
    context.output.show(&CreditReport { tenant, credit, top_ups })
}

impl View for CreditReport {
    fn table(&self) -> Rows {
        self.credit.table()
    }
}

impl ListRow for CreditDocument {
    const COLUMNS: &'static [&'static str] = &["METER", "PAID", "DRAWN", "OWED", "LEFT"];

    fn cells(&self) -> Vec<String> {
        let numbers = [self.paid, self.drawn, self.owed, self.left].map(|number| number.to_string());
        [self.meter.clone()].into_iter().chain(numbers).collect()
    }
}
