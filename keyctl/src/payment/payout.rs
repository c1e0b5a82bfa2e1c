//! `keyctl payment payouts` and `keyctl payment payout`: what providers send to issuers' banks.

use clap::Args;
use common::{
    api::invoice::{PayoutDocument, PayoutItemDocument},
    id::{PayoutId, TenantId},
};

use crate::{
    context::Context,
    error::Failure,
    output::{ListRow, or_dash},
};

pub(super) const LIST_HELP: &str = "\
The newest first. `unmatched` counts the items that nothing here explains.

Examples:
  keyctl payment payouts
  keyctl payment payouts --unmatched";

pub(super) const HELP: &str = "\
Each item with what it stands for here, or the reason for which nothing is found.

Examples:
  keyctl payment payout ten_01jd0000000000000000000000 pyo_01jd0000000000000000000001";

/// The arguments of `keyctl payment payouts`.
#[derive(Debug, Args)]
pub(crate) struct PayoutsArgs {
    /// Only to this tenant and every tenant below it
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantId>,

    /// Only those with items that nothing here explains
    #[arg(long)]
    unmatched: bool,
}

/// The arguments of `keyctl payment payout`.
#[derive(Debug, Args)]
pub(crate) struct PayoutArgs {
    /// Id of the tenant that gets it
    #[arg(value_name = "TENANT")]
    tenant: TenantId,

    /// Id of the payout
    #[arg(value_name = "PAYOUT")]
    payout: PayoutId,
}

impl PayoutsArgs {
    /// Runs the command.
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        context.output.show(&context.backend.payouts(self.tenant, self.unmatched).await?)
    }
}

impl PayoutArgs {
    /// Runs the command.
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        context.output.show(&context.backend.payout_items(self.tenant, self.payout).await?)
    }
}

impl ListRow for PayoutDocument {
    const COLUMNS: &'static [&'static str] =
        &["ID", "ISSUER", "AMOUNT", "CURRENCY", "STATUS", "ARRIVES", "RECONCILED", "UNMATCHED"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.issuer.to_string(),
            self.amount.amount.clone(),
            self.currency.code().to_owned(),
            self.status.to_string(),
            self.arrives_at.to_string(),
            or_dash(self.reconciled_at.as_ref()),
            self.unmatched.to_string(),
        ]
    }
}

impl ListRow for PayoutItemDocument {
    const COLUMNS: &'static [&'static str] = &["ID", "KIND", "AMOUNT", "FEE", "SOURCE", "MATCHED", "NOTE"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.kind.to_string(),
            self.amount.amount.clone(),
            self.fee.amount.clone(),
            or_dash(self.source.as_ref()),
            or_dash(self.matched.as_ref()),
            or_dash(self.note.as_ref()),
        ]
    }
}
