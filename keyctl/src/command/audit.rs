//! `keyctl audit`: who changed what.

use clap::{Args, Subcommand};
use common::{id::TenantId, store::AuditAction, time::Micros};

use super::Context;
use crate::{backend::AuditQuery, error::Failure};

const HELP: &str = "\
Examples:
  keyctl audit list --tenant ten_01jd0000000000000000000001";

const LIST_HELP: &str = "\
BY and NAME say who: an operator with the store's own address and a user name, a person with a token of the \
identity provider, an admin key, a program. JSON also has what the thing was before and is since, as the \
store keeps it: times there are microseconds since 1970.

Examples:
  keyctl audit list
  keyctl audit list --tenant ten_01jd0000000000000000000001 --from 2026-11-01T00:00Z
  keyctl audit list --subject key_01jd0000000000000000000002 --output json | jq '.[].after'
  keyctl audit list --action tenant.move --limit 1000";

/// The verbs of `keyctl audit`.
#[derive(Debug, Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum AuditCommand {
    /// List changes, newest first
    #[command(after_help = LIST_HELP)]
    List(ListArgs),
}

/// The arguments of `keyctl audit list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only those that concern this tenant or anybody below it
    #[arg(long)]
    tenant: Option<TenantId>,

    /// Only those of the thing with this id
    #[arg(long, value_name = "ID")]
    subject: Option<String>,

    /// Only those of this kind, as in key.revoke
    #[arg(long)]
    action: Option<AuditAction>,

    /// Only those made at this instant or later
    #[arg(long, value_name = "TIME")]
    from: Option<Micros>,

    /// Only those made before this instant
    #[arg(long, value_name = "TIME")]
    to: Option<Micros>,

    /// How many at most
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

impl AuditCommand {
    /// Does what was asked.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let Self::List(ListArgs { tenant: subtree_of, subject, action, from, to, limit }) = self;
        let query = AuditQuery { subtree_of, subject, action, from, to, limit };
        context.output.show(&context.backend.audit_log(&query).await?)
    }
}
