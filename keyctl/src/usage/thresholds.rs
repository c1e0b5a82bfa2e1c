//! `keyctl usage thresholds`: quotas that are mostly or fully used.

use clap::Args;
use common::{api::threshold::ThresholdDocument, id::TenantId};

use crate::{context::Context, error::Failure, output::ListRow};

pub(super) const HELP: &str = "\
A quota raises an event when 80 % and when all of it is used: a quota of the tenant's own plan, an inherited one, or one \
that a tenant above lowers. A hard quota of the tenant's own plan also counts the usage of every tenant below. When a \
limit changes within the month, the new limit raises events of its own.

Examples:
  keyctl usage thresholds
  keyctl usage thresholds --tenant ten_01jd0000000000000000000001 --output json | jq '.[].percent'";

/// The arguments of `keyctl usage thresholds`.
#[derive(Debug, Args)]
pub(crate) struct ThresholdsArgs {
    /// Only quotas of this tenant and of every tenant below it
    #[arg(long)]
    tenant: Option<TenantId>,

    /// Most events to list
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

pub(super) async fn list(arguments: ThresholdsArgs, context: &Context) -> Result<(), Failure> {
    let ThresholdsArgs { tenant, limit } = arguments;
    context.output.show(&context.backend.thresholds(tenant, limit).await?)
}

impl ListRow for ThresholdDocument {
    const COLUMNS: &'static [&'static str] = &["AT", "TENANT", "METER", "PERIOD", "REACHED", "LIMIT", "USED"];
    const DROPPABLE: &'static [&'static str] = &["PERIOD", "LIMIT"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.raised_at.to_string(),
            self.tenant.to_string(),
            self.meter.clone(),
            self.period.to_string(),
            format!("{} %", self.percent),
            self.limit.to_string(),
            self.used.to_string(),
        ]
    }
}
