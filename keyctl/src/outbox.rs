//! `keyctl outbox`: messages that leave the system.

use clap::{Args, Subcommand};
use common::{
    api::outbox::MessageDocument,
    id::{MessageId, TenantId},
    outbox::MessageState,
};

use crate::{
    backend::MessageQuery,
    context::Context,
    error::Failure,
    output::{ListRow, Rows, View, or_dash},
};

const HELP: &str = "\
Examples:
  keyctl outbox list --state given_up
  keyctl outbox replay msg_01jd0000000000000000000009 --tenant ten_01jd0000000000000000000001";

const LIST_HELP: &str = "\
Examples:
  keyctl outbox list
  keyctl outbox list --tenant ten_01jd0000000000000000000001 --state pending
  keyctl outbox list --target whk_01jd0000000000000000000003 --limit 20";

const REPLAY_HELP: &str = "\
From its first try on, with the id that it had; one that waits is due now.

Examples:
  keyctl outbox replay msg_01jd0000000000000000000009 --tenant ten_01jd0000000000000000000001";

const STATE_HELP: &str = "Messages in this state: pending, delivered or given_up";

/// The verbs of `keyctl outbox`.
#[derive(Debug, Subcommand)]
#[command(after_help = HELP)]
pub(crate) enum OutboxCommand {
    /// List messages, newest first
    #[command(after_help = LIST_HELP)]
    List(ListArgs),
    /// Send a message again
    #[command(after_help = REPLAY_HELP)]
    Replay(ReplayArgs),
}

/// The arguments of `keyctl outbox list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Messages for a tenant and every tenant below it
    #[arg(long)]
    tenant: Option<TenantId>,

    #[arg(long, help = STATE_HELP)]
    state: Option<MessageState>,

    /// Messages of this kind: webhook, mail or payment
    #[arg(long)]
    kind: Option<String>,

    /// Messages to this receiver: the id of an endpoint, or an address
    #[arg(long, value_name = "RECEIVER")]
    target: Option<String>,

    /// Most messages to list
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// The arguments of `keyctl outbox replay`.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Message
    message: MessageId,

    /// Tenant that it is sent for
    #[arg(long)]
    tenant: TenantId,
}

impl OutboxCommand {
    /// Runs the command.
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let (backend, output) = (&context.backend, context.output);
        match self {
            Self::List(ListArgs { tenant, state, kind, target, limit }) => {
                output.show(&backend.messages(&MessageQuery { tenant, state, kind, target, limit }).await?)
            }
            Self::Replay(ReplayArgs { message, tenant }) => {
                output.show(&backend.replay_message(tenant, message).await?)
            }
        }
    }
}

impl View for MessageDocument {
    fn table(&self) -> Rows {
        Rows::properties([
            ("id", self.id.to_string()),
            ("kind", self.kind.clone()),
            ("tenant", self.tenant.to_string()),
            ("to", self.target.clone()),
            ("subject", self.subject.clone()),
            ("event", or_dash(self.event.as_ref())),
            ("state", self.state.to_string()),
            ("tries", self.attempt.to_string()),
            ("created", self.created_at.to_string()),
            ("due", or_dash(self.due_at.as_ref())),
            ("ended", or_dash(self.ended_at.as_ref())),
            ("result", or_dash(self.result.as_ref())),
        ])
    }
}

impl ListRow for MessageDocument {
    const COLUMNS: &'static [&'static str] = &["ID", "KIND", "SUBJECT", "TO", "STATE", "TRIES", "DUE", "RESULT"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.kind.clone(),
            self.subject.clone(),
            self.target.clone(),
            self.state.to_string(),
            self.attempt.to_string(),
            or_dash(self.due_at.as_ref()),
            or_dash(self.result.as_ref()),
        ]
    }
}
