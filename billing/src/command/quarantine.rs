//! `billing quarantine`: usage that was set aside, shown, and let into the books or kept out of
//! them.

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use common::{
    store::{Store, StoreError},
    time::{Clock as _, Micros, SystemClock},
    usage::{
        StreamId,
        quarantine::{QuarantineAction, QuarantinedUsage},
    },
};

use super::{CommandError, log, output::Output, print, store::StoreArguments};
use crate::config::Environment;

/// Entries that one query reads.
const ENTRIES_PER_QUERY: u32 = 1_000;

const HELP: &str = "\
Usage is set aside, and is in no month and on no invoice, when it is of more than `ingest.late_days` before its tenant's
current month, of more than an hour from now, or of a tenant in a time zone that `billing` does not know.

Examples:
  billing quarantine list
  billing quarantine accept 17 --note 'edge-3 was offline for two months'
  billing quarantine accept --all --stream edge-3/01jd0000000000000000000000/0 --note 'the same'
  billing quarantine move 18 --to 2026-11-20T10:00:00Z --note 'the clock of edge-4 was wrong'
  billing quarantine discard 19 --note 'a test'

What is accepted is booked at the instant that it says, what is moved at the one that you say. What is discarded is
never billed. `billing audit` counts all of it.

Exit codes: 0 done, 1 failed, 2 the command line is invalid";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct QuarantineArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List what nobody has looked at
    List(Common),
    /// Book at the instant that the usage says it is of
    Accept(Resolving),
    /// Book at another instant
    Move {
        /// The instant
        #[arg(long, value_name = "TIME")]
        to: Micros,
        #[command(flatten)]
        resolving: Resolving,
    },
    /// Keep out of the books for good
    Discard(Resolving),
}

#[derive(Debug, Args)]
struct Resolving {
    /// Number of the entry, as listed
    #[arg(value_name = "ID", required_unless_present = "all")]
    id: Option<i64>,
    /// Every entry that nobody has looked at
    #[arg(long, conflicts_with = "id")]
    all: bool,
    /// Only those of this stream
    #[arg(long, value_name = "STREAM", requires = "all")]
    stream: Option<StreamId>,
    /// The reason, kept for ever
    #[arg(long, value_name = "TEXT")]
    note: String,
    /// The operator's name, kept for ever
    #[arg(long, value_name = "NAME", env = "USER")]
    by: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// Form of the result
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    store: StoreArguments,
}

pub(super) async fn execute(arguments: &QuarantineArguments, environment: &Environment) -> Result<(), CommandError> {
    log::start("warn");
    let (resolving, action) = match &arguments.action {
        Action::List(common) => {
            let store = Store::open(&common.store.url(environment)?).await?;
            let entries = open_entries(&store, None).await;
            store.close().await;
            return list(&entries?, common.output);
        }
        Action::Accept(resolving) => (resolving, QuarantineAction::Accept),
        Action::Move { to, resolving } => (resolving, QuarantineAction::MoveTo(*to)),
        Action::Discard(resolving) => (resolving, QuarantineAction::Discard),
    };
    let store = Store::open(&resolving.common.store.url(environment)?).await?;
    let resolved = resolve(&store, resolving, action).await;
    store.close().await;
    list(&resolved?, resolving.common.output)
}

/// One after another: what was resolved before one fails stays resolved.
async fn resolve(
    store: &Store,
    resolving: &Resolving,
    action: QuarantineAction,
) -> Result<Vec<QuarantinedUsage>, StoreError> {
    let Resolving { id, stream, note, by, .. } = resolving;
    let ids = match id {
        Some(id) => vec![*id],
        None => open_entries(store, stream.as_ref()).await?.iter().map(|entry| entry.id).collect(),
    };
    let mut resolved = Vec::with_capacity(ids.len());
    for id in ids {
        resolved.push(store.resolve_quarantined(id, action, by, note, SystemClock.now()).await?);
    }
    Ok(resolved)
}

async fn open_entries(store: &Store, stream: Option<&StreamId>) -> Result<Vec<QuarantinedUsage>, StoreError> {
    let (mut entries, mut after) = (Vec::new(), 0);
    loop {
        let more = store.quarantine(ENTRIES_PER_QUERY, after).await?;
        let Some(last) = more.last() else { return Ok(entries) };
        after = last.id;
        entries.extend(more.into_iter().filter(|entry| stream.is_none_or(|stream| entry.stream == *stream)));
    }
}

fn list(entries: &[QuarantinedUsage], output: Output) -> Result<(), CommandError> {
    if output == Output::Json {
        return print(&(serde_json::to_string_pretty(entries)? + "\n"));
    }
    if entries.is_empty() {
        return print("Nothing is in quarantine.\n");
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header(["Id", "At", "Arrived", "Tenant", "What", "Units", "Stream", "Reason", "Outcome"]);
    for entry in entries {
        let what = if entry.meter.is_empty() { &entry.route } else { &entry.meter };
        table.add_row([
            entry.id.to_string(),
            entry.at.to_string(),
            entry.arrived_at.to_string(),
            entry.tenant.to_string(),
            format!("{} {what}", entry.kind),
            entry.units.to_string(),
            format!("{}#{}", entry.stream, entry.seq),
            entry.reason.clone(),
            outcome(entry),
        ]);
    }
    print(&format!("{table}\n"))
}

fn outcome(entry: &QuarantinedUsage) -> String {
    match &entry.resolved {
        None => "open".to_owned(),
        Some(verdict) => match verdict.booked_at {
            Some(at) => format!("booked at {at}"),
            None => "discarded".to_owned(),
        },
    }
}
