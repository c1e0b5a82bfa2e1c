//! `billing gaps`: usage that is missing, and its acceptance once it is certain that it will never
//! come.

use std::{ops::Range, str::FromStr};

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use common::{
    store::Store,
    time::{Clock as _, SystemClock},
    usage::{
        Life, StreamId,
        gaps::{Acceptance, AcceptedGap, UsageGap},
        lives::LostLife,
    },
};

use super::{CommandError, log, output::Output, print, store::StoreArguments};
use crate::config::Environment;

const HELP: &str = "\
Examples:
  billing gaps list
  billing gaps accept edge-1/01jd0000000000000000000000/0 512..1024 --reason 'disk of edge-1 is gone, ticket 17'
  billing gaps accept edge-1/01jd0000000000000000000000/0 --reason 'edge-1 was stolen'    all gaps of the stream
  billing gaps accepted
  billing gaps lives
  billing gaps accept-life edge-1/01jd0000000000000000000000 --reason 'disk of edge-1 is gone, ticket 17'

A life of a gateway is lost if its journal was not handed over to its end and a later life of the gateway did not find it:
its content is unknown. Accept the life to acknowledge that.

An accepted gap is no longer a fault of the books; `billing audit` still shows it. Entries that turn up later are booked,
once. Quota that the gateway held stays held back, as its usage is unknown.

The former names still work: settle, settlements, settle-life.

Exit codes: 0 done, 1 failed, 2 the command line is invalid";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct GapsArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the gaps that are not filled
    List(Common),
    /// Accept that a gap will never be filled
    #[command(alias = "settle")]
    Accept {
        /// Stream, as listed
        #[arg(value_name = "STREAM")]
        stream: StreamId,

        /// Gap, as listed; every open gap of the stream if left out
        #[arg(value_name = "FROM..TO")]
        numbers: Option<Numbers>,

        #[command(flatten)]
        acceptance: AcceptanceArguments,
    },
    /// List every acceptance of a gap, filled since or not
    #[command(alias = "settlements")]
    Accepted(Common),
    /// List lives of gateways whose journals are gone, including accepted ones
    Lives(Common),
    /// Accept that the journal of a life is gone
    #[command(alias = "settle-life")]
    AcceptLife {
        /// Life, as listed
        #[arg(value_name = "LIFE")]
        life: Life,

        #[command(flatten)]
        acceptance: AcceptanceArguments,
    },
}

/// Reason and author of an acceptance.
#[derive(Debug, Args)]
struct AcceptanceArguments {
    /// Reason why the usage will never come; kept for ever
    #[arg(long)]
    reason: String,

    /// Name of the person who accepts; kept for ever
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

/// Numbers of a stream, as in `512..1024`.
#[derive(Debug, Clone)]
struct Numbers(Range<u64>);

impl AcceptanceArguments {
    /// The acceptance, made now.
    fn now(&self) -> Acceptance {
        Acceptance { at: SystemClock.now(), by: self.by.clone(), reason: self.reason.clone() }
    }
}

impl FromStr for Numbers {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ends = text.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        match ends {
            Some((from, to)) if from < to => Ok(Self(from..to)),
            _ => Err("write the gap as it is listed, as in 512..1024"),
        }
    }
}

pub(super) async fn execute(arguments: &GapsArguments, environment: &Environment) -> Result<(), CommandError> {
    log::start("warn");
    let (Action::List(common)
    | Action::Accept { acceptance: AcceptanceArguments { common, .. }, .. }
    | Action::Accepted(common)
    | Action::Lives(common)
    | Action::AcceptLife { acceptance: AcceptanceArguments { common, .. }, .. }) = &arguments.action;
    let store = Store::open(&common.store.url(environment)?).await?;
    let done = act(&store, &arguments.action, common.output).await;
    store.close().await;
    done
}

async fn act(store: &Store, action: &Action, output: Output) -> Result<(), CommandError> {
    match action {
        Action::List(_) => list(&store.usage_gaps().await?, output),
        Action::Accept { stream, numbers, acceptance } => {
            let numbers = numbers.as_ref().map(|numbers| numbers.0.clone());
            list(&store.accept_gaps(stream, numbers, acceptance.now()).await?, output)
        }
        Action::Accepted(_) => accepted(&store.accepted_gaps().await?, output),
        Action::Lives(_) => lives(&store.lost_lives().await?, output),
        Action::AcceptLife { life, acceptance } => {
            lives(&[store.accept_lost_life(life, &acceptance.now()).await?], output)
        }
    }
}

fn list(gaps: &[UsageGap], output: Output) -> Result<(), CommandError> {
    if output == Output::Json {
        return print(&(serde_json::to_string_pretty(gaps)? + "\n"));
    }
    if gaps.is_empty() {
        return print("There are no gaps.\n");
    }
    let mut table = table(["Stream", "Numbers", "Cause", "Since", "Accepted"]);
    for gap in gaps {
        table.add_row([
            gap.stream.to_string(),
            format!("{}..{}", gap.from, gap.to),
            cause(gap.lost).to_owned(),
            gap.opened_at.map_or_else(|| "unknown".to_owned(), |at| at.to_string()),
            gap.accepted.as_ref().map_or_else(|| "no".to_owned(), author),
        ]);
    }
    print(&format!("{table}\n"))
}

fn accepted(acceptances: &[AcceptedGap], output: Output) -> Result<(), CommandError> {
    if output == Output::Json {
        return print(&(serde_json::to_string_pretty(acceptances)? + "\n"));
    }
    if acceptances.is_empty() {
        return print("No gap was ever accepted.\n");
    }
    let mut table = table(["Stream", "Numbers", "Cause", "Still missing", "Accepted"]);
    for acceptance in acceptances {
        table.add_row([
            acceptance.stream.to_string(),
            format!("{}..{}", acceptance.from, acceptance.to),
            cause(acceptance.lost).to_owned(),
            acceptance.missing.to_string(),
            author(&acceptance.acceptance),
        ]);
    }
    print(&format!("{table}\n"))
}

fn lives(lives: &[LostLife], output: Output) -> Result<(), CommandError> {
    if output == Output::Json {
        return print(&(serde_json::to_string_pretty(lives)? + "\n"));
    }
    if lives.is_empty() {
        return print("No life of a gateway is lost.\n");
    }
    let mut table = table(["Life", "Began", "Missed", "Entries booked", "Accepted"]);
    for life in lives {
        table.add_row([
            life.life.to_string(),
            life.began_at.to_string(),
            life.noticed_at.to_string(),
            life.booked.to_string(),
            life.accepted.as_ref().map_or_else(|| "no".to_owned(), author),
        ]);
    }
    print(&format!("{table}\n"))
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header(header);
    table
}

const fn cause(lost: bool) -> &'static str {
    if lost { "lost by the gateway" } else { "skipped" }
}

fn author(acceptance: &Acceptance) -> String {
    format!("{} by {}: {}", acceptance.at, acceptance.by, acceptance.reason)
}
