//! `billing gaps`: usage that has not come, shown, and settled once it is certain that it never will.

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
  billing gaps settle edge-1/01jd0000000000000000000000/0 512..1024 --reason 'disk of edge-1 is gone, ticket 17'
  billing gaps settle edge-1/01jd0000000000000000000000/0 --reason 'edge-1 was stolen'    all gaps of the stream
  billing gaps settlements
  billing gaps lives
  billing gaps settle-life edge-1/01jd0000000000000000000000 --reason 'disk of edge-1 is gone, ticket 17'

A life of a gateway is lost if its journal was not handed over to its end and a later life of the gateway did not find it:
nobody knows what was in it. Settle it to accept that.

A settled gap is no fault of the books any more; `billing audit` goes on showing it. Entries that turn up after all are
booked, once. Quota that the gateway held stays held back, as nobody knows what it used.

Exit codes: 0 done, 1 failed, 2 the command line makes no sense";

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
    /// Declare that a gap will never be filled
    Settle {
        /// The stream, as listed
        #[arg(value_name = "STREAM")]
        stream: StreamId,
        /// The gap, as listed; every open gap of the stream if none is named
        #[arg(value_name = "FROM..TO")]
        numbers: Option<Numbers>,
        /// Why it will never be filled; kept for ever
        #[arg(long)]
        reason: String,
        /// Who says so; kept for ever
        #[arg(long, value_name = "NAME", env = "USER")]
        by: String,
        #[command(flatten)]
        common: Common,
    },
    /// List all that was ever settled, filled since or not
    Settlements(Common),
    /// List lives of gateways whose journals are gone, accepted ones too
    Lives(Common),
    /// Accept that the journal of a life is gone
    SettleLife {
        /// The life, as listed
        #[arg(value_name = "LIFE")]
        life: Life,
        /// Why its journal will not turn up; kept for ever
        #[arg(long)]
        reason: String,
        /// Who says so; kept for ever
        #[arg(long, value_name = "NAME", env = "USER")]
        by: String,
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

/// Numbers of a stream, as in `512..1024`.
#[derive(Debug, Clone)]
struct Numbers(Range<u64>);

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
    | Action::Settle { common, .. }
    | Action::Settlements(common)
    | Action::Lives(common)
    | Action::SettleLife { common, .. }) = &arguments.action;
    let store = Store::open(&common.store.url(environment)?).await?;
    let done = act(&store, &arguments.action, common.output).await;
    store.close().await;
    done
}

async fn act(store: &Store, action: &Action, output: Output) -> Result<(), CommandError> {
    match action {
        Action::List(_) => list(&store.usage_gaps().await?, output),
        Action::Settle { stream, numbers, reason, by, .. } => {
            let settling = Acceptance { at: SystemClock.now(), by: by.clone(), reason: reason.clone() };
            let numbers = numbers.as_ref().map(|numbers| numbers.0.clone());
            list(&store.accept_gaps(stream, numbers, settling).await?, output)
        }
        Action::Settlements(_) => settlements(&store.accepted_gaps().await?, output),
        Action::Lives(_) => lives(&store.lost_lives().await?, output),
        Action::SettleLife { life, reason, by, .. } => {
            let settling = Acceptance { at: SystemClock.now(), by: by.clone(), reason: reason.clone() };
            lives(&[store.accept_lost_life(life, &settling).await?], output)
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
    let mut table = table(["Stream", "Numbers", "Cause", "Since", "Settled"]);
    for gap in gaps {
        table.add_row([
            gap.stream.to_string(),
            format!("{}..{}", gap.from, gap.to),
            cause(gap.lost).to_owned(),
            gap.opened_at.map_or_else(|| "unknown".to_owned(), |at| at.to_string()),
            gap.accepted.as_ref().map_or_else(|| "no".to_owned(), settling),
        ]);
    }
    print(&format!("{table}\n"))
}

fn settlements(settlements: &[AcceptedGap], output: Output) -> Result<(), CommandError> {
    if output == Output::Json {
        return print(&(serde_json::to_string_pretty(settlements)? + "\n"));
    }
    if settlements.is_empty() {
        return print("No gap was ever settled.\n");
    }
    let mut table = table(["Stream", "Numbers", "Cause", "Still missing", "Settled"]);
    for settlement in settlements {
        table.add_row([
            settlement.stream.to_string(),
            format!("{}..{}", settlement.from, settlement.to),
            cause(settlement.lost).to_owned(),
            settlement.missing.to_string(),
            settling(&settlement.acceptance),
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
    let mut table = table(["Life", "Began", "Missed", "Entries booked", "Settled"]);
    for life in lives {
        table.add_row([
            life.life.to_string(),
            life.began_at.to_string(),
            life.noticed_at.to_string(),
            life.booked.to_string(),
            life.accepted.as_ref().map_or_else(|| "no".to_owned(), settling),
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

fn settling(settling: &Acceptance) -> String {
    format!("{} by {}: {}", settling.at, settling.by, settling.reason)
}
