//! `keyctl audit-log`: who changed what. `keyctl audit` is its former name, and still works.

use clap::{Args, Subcommand};
use common::{api::audit_log::AuditDocument, id::TenantId, store::AuditAction, time::Micros};

use crate::{
    backend::AuditQuery,
    context::Context,
    error::Failure,
    output::{ListRow, or_dash},
};

const HELP: &str = "\
Examples:
  keyctl audit-log list --tenant ten_01jd0000000000000000000001";

const LIST_HELP: &str = "\
BY and NAME tell the actor: an operator with access to the store and a user name, a person with a token of the \
identity provider, an admin key, a program. JSON also has the thing before and after the change, as the \
store keeps it: times there are microseconds since 1970.

Examples:
  keyctl audit-log list
  keyctl audit-log list --tenant ten_01jd0000000000000000000001 --from 2026-11-01T00:00Z
  keyctl audit-log list --subject key_01jd0000000000000000000002 --output json | jq '.[].after'
  keyctl audit-log list --action tenant.move --limit 1000";

/// The verbs of `keyctl audit-log`.
#[derive(Debug, Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum AuditLogCommand {
    /// List changes, newest first
    #[command(after_help = LIST_HELP)]
    List(ListArgs),
}

/// The arguments of `keyctl audit-log list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only changes of this tenant and of every tenant below it
    #[arg(long)]
    tenant: Option<TenantId>,

    /// Only changes of the thing with this id
    #[arg(long, value_name = "ID")]
    subject: Option<String>,

    /// Only changes by this action, as in key.revoke
    #[arg(long)]
    action: Option<AuditAction>,

    /// Only changes made at this instant or later
    #[arg(long, value_name = "TIME")]
    from: Option<Micros>,

    /// Only changes made before this instant
    #[arg(long, value_name = "TIME")]
    to: Option<Micros>,

    /// Most changes to list
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

impl AuditLogCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let Self::List(ListArgs { tenant: subtree_of, subject, action, from, to, limit }) = self;
        let query = AuditQuery { subtree_of, subject, action, from, to, limit };
        context.output.show(&context.backend.audit_log(&query).await?)
    }
}

impl ListRow for AuditDocument {
    const COLUMNS: &'static [&'static str] = &["AT", "BY", "NAME", "FROM", "ACTION", "SUBJECT", "TENANT"];
    const DROPPABLE: &'static [&'static str] = &["FROM", "TENANT", "BY"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.at.to_string(),
            self.actor.kind.to_string(),
            or_dash(self.actor.name.as_ref()),
            or_dash(self.actor.address),
            self.action.clone(),
            self.subject.clone(),
            or_dash(self.tenant),
        ]
    }
}
