//! `keyctl payment disputes`: payments that payers' banks take back.

use clap::Args;
use common::{api::invoice::DisputeDocument, id::TenantId, payment::DisputeStatus};

use crate::{
    context::Context,
    error::Failure,
    output::{ListRow, or_dash},
};

pub(super) const HELP: &str = "\
The newest first. While one is open, its tenant is not dunned; once it is lost, the invoice is open again.
Evidence goes to the provider, on its own pages.

Examples:
  keyctl payment disputes --status open
  keyctl payment disputes --tenant ten_01jd0000000000000000000000";

/// The arguments of `keyctl payment disputes`.
#[derive(Debug, Args)]
pub(crate) struct DisputesArgs {
    /// Only of payments by this tenant and every tenant below it
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantId>,

    /// Only with this status: inquiry, open, won or lost
    #[arg(long, value_name = "STATUS")]
    status: Option<DisputeStatus>,
}

impl DisputesArgs {
    /// Runs the command.
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        context.output.show(&context.backend.disputes(self.tenant, self.status).await?)
    }
}

impl ListRow for DisputeDocument {
    const COLUMNS: &'static [&'static str] =
        &["ID", "INVOICE", "AMOUNT", "CURRENCY", "STATUS", "REASON", "EVIDENCE UNTIL"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.invoice.to_string(),
            self.amount.amount.clone(),
            self.currency.code().to_owned(),
            self.status.to_string(),
            self.reason.clone(),
            or_dash(self.evidence_due_at.as_ref()),
        ]
    }
}
