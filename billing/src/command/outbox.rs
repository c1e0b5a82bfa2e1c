//! `billing outbox`: messages that leave the system, shown, sent at once, and sent again.

use std::sync::Arc;

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use common::{
    api::outbox::MessageDocument,
    id::MessageId,
    outbox::{MessageFilter, MessageState, OutboxDepth},
    store::{PageRequest, Store},
    time::{Clock, FixedClock, Micros, SystemClock},
};
use serde::Serialize;

use super::{CommandError, log, output::Output, print, store::StoreArguments};
use crate::{
    config::Environment,
    outbox::{deliver_due, deliverers::deliverers},
};

const HELP: &str = "\
`billing serve` sends the messages: each when it is due, those of one object and receiver in their order, again after a
failure, with longer and longer waits, and with the same id every time. After the last try a message is given up; it can
be replayed.

Examples:
  billing outbox
  billing outbox --state given_up --output json
  billing outbox --target whk_01jd0000000000000000000003
  billing outbox depth
  billing outbox replay msg_01jd0000000000000000000009
  billing outbox run --now 2026-12-01T00:00:00Z

Exit codes: 0 done, 1 failed, 2 the command line is invalid";

const STATE_HELP: &str = "Only messages in this state: pending, delivered or given_up";

#[derive(Debug, Args)]
#[command(after_help = HELP, args_conflicts_with_subcommands = true)]
pub(super) struct OutboxArguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[arg(long, value_name = "STATE", help = STATE_HELP)]
    state: Option<MessageState>,
    /// Only messages of this kind: webhook, mail or payment
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Only messages to this receiver: the id of an endpoint, or an address
    #[arg(long, value_name = "RECEIVER")]
    target: Option<String>,
    /// Most messages to list
    #[arg(long, value_name = "N", default_value = "50", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show how much waits, by kind of message
    Depth {
        #[command(flatten)]
        common: Common,
    },
    /// Send a message again, from its first try on
    Replay {
        /// Message
        message: MessageId,
        #[command(flatten)]
        common: Common,
    },
    /// Send everything that is due, here
    Run {
        /// Instant that counts as now
        #[arg(long, value_name = "TIME")]
        now: Option<Micros>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Args)]
struct Common {
    /// Form of the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    store: StoreArguments,
}

/// Messages of one kind that wait.
#[derive(Serialize)]
struct DepthReport {
    kind: String,
    pending: u64,
    retrying: u64,
    oldest: Option<String>,
}

/// Messages that were sent at once.
#[derive(Serialize)]
struct RunReport {
    tries: u32,
    failed: u32,
}

pub(super) async fn execute(arguments: &OutboxArguments, environment: &Environment) -> Result<(), CommandError> {
    log::start("warn");
    let common = match &arguments.action {
        None => &arguments.common,
        Some(Action::Depth { common } | Action::Replay { common, .. } | Action::Run { common, .. }) => common,
    };
    let (url, _) = common.store.resolve(environment)?;
    let store = Store::open(&url).await?;
    let done = act(arguments, common, environment, &store).await;
    store.close().await;
    print(&done?)
}

async fn act(
    arguments: &OutboxArguments,
    common: &Common,
    environment: &Environment,
    store: &Store,
) -> Result<String, CommandError> {
    match &arguments.action {
        None => list(arguments, store).await,
        Some(Action::Depth { .. }) => {
            let depths = store.outbox_depth().await?.into_iter().map(DepthReport::of).collect::<Vec<_>>();
            match common.output {
                Output::Json => json(&depths),
                Output::Table => Ok(depths_table(&depths)),
            }
        }
        Some(Action::Replay { message, .. }) => {
            let message: MessageDocument = replay(store, *message).await?;
            match common.output {
                Output::Json => json(&message),
                Output::Table => Ok(messages_table(&[message])),
            }
        }
        Some(Action::Run { now, .. }) => {
            let clock: Arc<dyn Clock> = match now {
                Some(now) => Arc::new(FixedClock(*now)),
                None => Arc::new(SystemClock),
            };
            let (_, config) = common.store.resolve(environment)?;
            let config = config.unwrap_or_default();
            let pepper = config.pepper(environment)?;
            store.check_pepper(&pepper, clock.now()).await?;
            let providers = config.payments.providers()?;
            let deliverers = deliverers(store, &pepper, &providers, &config, environment)?;
            let worker = format!("billing outbox {}", std::process::id());
            let (tries, failed) = deliver_due(store, &clock, deliverers, &worker).await?;
            match common.output {
                Output::Json => json(&RunReport { tries, failed }),
                Output::Table => Ok(format!("{tries} tries, {failed} of them failed\n")),
            }
        }
    }
}

async fn replay(store: &Store, message: MessageId) -> Result<MessageDocument, CommandError> {
    let tenant = store.message(message).await?.tenant;
    Ok(store.replay_message(tenant, message, SystemClock.now()).await?.into())
}

async fn list(arguments: &OutboxArguments, store: &Store) -> Result<String, CommandError> {
    let filter = MessageFilter {
        subtree_of: None,
        state: arguments.state,
        kind: arguments.kind.clone(),
        target: arguments.target.clone(),
    };
    let page = PageRequest { after: None, limit: arguments.limit };
    let messages: Vec<MessageDocument> =
        store.messages(&filter, page).await?.items.into_iter().map(Into::into).collect();
    match arguments.common.output {
        Output::Json => json(&messages),
        Output::Table => Ok(messages_table(&messages)),
    }
}

impl DepthReport {
    fn of(depth: OutboxDepth) -> Self {
        let OutboxDepth { kind, pending, retrying, oldest } = depth;
        Self { kind, pending, retrying, oldest: oldest.map(|at| at.to_string()) }
    }
}

fn json(document: &impl Serialize) -> Result<String, CommandError> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}

fn messages_table(messages: &[MessageDocument]) -> String {
    let mut table = with_header(&["Message", "Kind", "Subject", "Receiver", "State", "Tries", "Due", "Result"]);
    for message in messages {
        table.add_row([
            message.id.to_string(),
            message.kind.clone(),
            message.subject.clone(),
            message.target.clone(),
            message.state.to_string(),
            message.attempt.to_string(),
            message.due_at.map_or_else(|| "-".to_owned(), |at| at.to_string()),
            message.result.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    format!("{table}\n")
}

fn depths_table(depths: &[DepthReport]) -> String {
    let mut table = with_header(&["Kind", "Waiting", "Tried before", "Oldest"]);
    for depth in depths {
        table.add_row([
            depth.kind.clone(),
            depth.pending.to_string(),
            depth.retrying.to_string(),
            depth.oldest.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    format!("{table}\n")
}

fn with_header(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header(header);
    table
}
