//! `keyctl tenant billing`: what invoices say of a tenant, and the rules by which they are issued.

use std::path::PathBuf;

use clap::Args;
use common::{
    config::{self, ConfigError, Document, Place},
    id::TenantId,
    invoice::BillingDetails,
};
use serde::Serialize;

use crate::{
    context::Context,
    error::Failure,
    output::{Rows, View, or_dash},
};

pub(super) const HELP: &str = "\
With --set, the details of a YAML file replace those that there are: legal_name, address, email, tax_id, tax and
tax_of_meters of a buyer; series, payment_days and tax_rounding of an issuer. Finalized invoices keep the old ones.

Examples:
  keyctl tenant billing ten_01jd0000000000000000000001
  keyctl tenant billing ten_01jd0000000000000000000001 --set acme.yaml";

/// The arguments of `keyctl tenant billing`.
#[derive(Debug, Args)]
pub(crate) struct BillingArgs {
    /// Id of the tenant
    #[arg(value_name = "TENANT")]
    id: TenantId,

    /// YAML file with the new details
    #[arg(long, value_name = "FILE")]
    set: Option<PathBuf>,
}

#[derive(Serialize)]
#[serde(transparent)]
struct DetailsView(BillingDetails);

impl BillingArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), Failure> {
        if let Some(path) = &self.set {
            let text = config::read(path)?;
            let file = path.display().to_string();
            let mut document = Document::new(&text, &file);
            let read: Option<BillingDetails> = document.read();
            document.refuse(Vec::new())?;
            let details = read.ok_or_else(|| ConfigError::Fault(Place::START.fault("there are no details")))?;
            context.backend.set_billing_details(self.id, &details).await?;
        }
        context.output.show(&DetailsView(context.backend.billing_details(self.id).await?))
    }
}

impl View for DetailsView {
    fn table(&self) -> Rows {
        let details = &self.0;
        let address = details.address.as_ref().map(|address| {
            let code = address.postal_code.as_deref().unwrap_or_default();
            format!("{}, {code} {}, {}", address.lines.join(", "), address.city, address.country)
        });
        let tax = details.tax.map(|rule| format!("{:?}, {} %", rule.treatment, rule.percent));
        let mut rows = Rows::properties([
            ("legal name", or_dash(details.legal_name.as_ref())),
            ("address", or_dash(address)),
            ("email", or_dash(details.email.as_ref())),
            ("tax id", or_dash(details.tax_id.as_ref())),
            ("tax", or_dash(tax)),
        ]);
        for (meter, rule) in &details.tax_of_meters {
            rows.push(&format!("tax of {meter}"), format!("{:?}, {} %", rule.treatment, rule.percent));
        }
        rows.push("series", details.series().to_owned());
        rows.push("days to pay", details.payment_days().to_string());
        rows
    }
}
