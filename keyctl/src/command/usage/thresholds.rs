//! `keyctl usage thresholds`: quotas that are mostly, or all, used.

use clap::Args;
use common::id::TenantId;

use super::Context;
use crate::error::Failure;

pub(super) const HELP: &str = "\
A quota raises an event when 80 % and when all of it is used: one that the tenant's own plan states, that it inherits, \
or that a tenant above lowers. A hard quota of the tenant's own plan counts what everybody below uses too. When a \
limit changes within the month, the new one raises events of its own.

Examples:
  keyctl usage thresholds
  keyctl usage thresholds --tenant ten_01jd0000000000000000000001 --output json | jq '.[].percent'";

/// The arguments of `keyctl usage thresholds`.
#[derive(Debug, Args)]
pub(crate) struct ThresholdsArgs {
    /// Only those of this tenant and everybody below it
    #[arg(long)]
    tenant: Option<TenantId>,

    /// How many at most
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

pub(super) async fn list(arguments: ThresholdsArgs, context: &Context) -> Result<(), Failure> {
    let ThresholdsArgs { tenant, limit } = arguments;
    context.output.show(&context.backend.thresholds(tenant, limit).await?)
}
