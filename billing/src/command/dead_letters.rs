//! `billing dead-letters`: messages that could not be booked, shown, booked after all, or put
//! aside.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use common::{
    store::{Store, StoreError},
    time::{Clock as _, SystemClock},
    usage::{ApartBatch, Booked, UsageBatch, booking::Booking, dead_letters::DeadLetter},
};
use serde::Serialize;

use super::{CommandError, log, output::Output, print, store::StoreArguments};
use crate::{config::Environment, ingest::apart};

/// Letters that one query reads.
const LETTERS_PER_QUERY: u32 = 1_000;

/// Bytes per line of a payload.
const LINE_BYTES: usize = 32;

const HELP: &str = "\
Examples:
  billing dead-letters list
  billing dead-letters show 17
  billing dead-letters replay 17      after a newer version learned to read it
  billing dead-letters replay --all
  billing dead-letters resolve 17     it never was usage

Exit codes: 0 done, 1 failed, 2 the command line is invalid";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct DeadLettersArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List those that nobody has resolved
    List(Common),
    /// Show one with its payload
    Show {
        /// Number of the letter, as listed
        #[arg(value_name = "ID")]
        id: i64,
        #[command(flatten)]
        common: Common,
    },
    /// Decode again and book; what is booked is resolved, and entries that still cannot be become
    /// letters of their own
    Replay {
        /// Number of the letter, as listed
        #[arg(value_name = "ID", required_unless_present = "all")]
        id: Option<i64>,
        /// Every letter that nobody has resolved
        #[arg(long, conflicts_with = "id")]
        all: bool,
        #[command(flatten)]
        common: Common,
    },
    /// Put one aside without booking it
    Resolve {
        /// Number of the letter, as listed
        #[arg(value_name = "ID")]
        id: i64,
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

/// A letter with its payload, for programs.
#[derive(Serialize)]
struct ShownLetter {
    #[serde(flatten)]
    letter: DeadLetter,
    payload_hex: String,
}

/// The outcome of replaying a letter.
#[derive(Serialize)]
struct Replayed {
    id: i64,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Booked(Booked),
    /// Some of its entries cannot be booked, the others are: the letter is resolved, and each of
    /// those has one of its own.
    Split {
        booked: u64,
        replayed: u64,
        letters: usize,
        error: String,
    },
    StillDead {
        error: String,
    },
}

pub(super) async fn execute(arguments: &DeadLettersArguments, environment: &Environment) -> Result<(), CommandError> {
    log::start("warn");
    let (Action::List(common)
    | Action::Show { common, .. }
    | Action::Replay { common, .. }
    | Action::Resolve { common, .. }) = &arguments.action;
    let store = Store::open(&common.store.url(environment)?).await?;
    let done = act(&store, &arguments.action, common.output).await;
    store.close().await;
    done
}

async fn act(store: &Store, action: &Action, output: Output) -> Result<(), CommandError> {
    match action {
        Action::List(_) => list(&open_letters(store).await?, output),
        Action::Show { id, .. } => show(store.dead_letter(*id).await?, &store.dead_letter_payload(*id).await?, output),
        Action::Replay { id, .. } => {
            let ids = match id {
                Some(id) => vec![*id],
                None => open_letters(store).await?.iter().map(|letter| letter.id).collect(),
            };
            replay(store, &ids, output).await
        }
        Action::Resolve { id, .. } => {
            store.resolve_dead_letter(*id, SystemClock.now()).await?;
            list(&[store.dead_letter(*id).await?], output)
        }
    }
}

async fn open_letters(store: &Store) -> Result<Vec<DeadLetter>, StoreError> {
    let mut letters: Vec<DeadLetter> = Vec::new();
    loop {
        let after = letters.last().map_or(0, |letter| letter.id);
        let more = store.dead_letters(LETTERS_PER_QUERY, after).await?;
        if more.is_empty() {
            return Ok(letters);
        }
        letters.extend(more);
    }
}

fn list(letters: &[DeadLetter], output: Output) -> Result<(), CommandError> {
    if output == Output::Json {
        return print(&(serde_json::to_string_pretty(letters)? + "\n"));
    }
    if letters.is_empty() {
        return print("There are no dead letters.\n");
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_BORDERS_ONLY_CONDENSED);
    table.set_header(["Id", "Arrived", "Origin", "Bytes", "Resolved", "Reason"]);
    for letter in letters {
        table.add_row([
            letter.id.to_string(),
            letter.arrived_at.to_string(),
            place(letter),
            letter.payload_bytes.to_string(),
            letter.resolved_at.map_or_else(|| "no".to_owned(), |at| at.to_string()),
            letter.reason.clone(),
        ]);
    }
    print(&format!("{table}\n"))
}

fn show(letter: DeadLetter, payload: &[u8], output: Output) -> Result<(), CommandError> {
    if output == Output::Json {
        let shown = ShownLetter { letter, payload_hex: hex(payload) };
        return print(&(serde_json::to_string_pretty(&shown)? + "\n"));
    }
    // Writing to a `String` cannot fail.
    let mut text = format!("Dead letter {}: {}, arrived {}\n", letter.id, place(&letter), letter.arrived_at);
    if let Some(at) = letter.resolved_at {
        let _ = writeln!(text, "Resolved: {at}");
    }
    let _ = writeln!(text, "Reason: {}\nPayload: {} bytes", letter.reason, letter.payload_bytes);
    for (index, line) in payload.chunks(LINE_BYTES).enumerate() {
        let readable: String = line.iter().map(|byte| readable(*byte)).collect();
        let _ = writeln!(text, "{:08x}  {:<64}  {readable}", index * LINE_BYTES, hex(line));
    }
    print(&text)
}

async fn replay(store: &Store, ids: &[i64], output: Output) -> Result<(), CommandError> {
    let mut replayed = Vec::with_capacity(ids.len());
    for id in ids {
        let outcome = replay_one(store, *id).await?;
        replayed.push(Replayed { id: *id, outcome });
    }
    match output {
        Output::Json => print(&(serde_json::to_string_pretty(&replayed)? + "\n"))?,
        Output::Table => print(&replayed.iter().map(line).collect::<String>())?,
    }
    match replayed.iter().filter(|replayed| !matches!(replayed.outcome, Outcome::Booked(_))).count() {
        0 => Ok(()),
        failed => Err(CommandError::StillDead(failed)),
    }
}

async fn replay_one(store: &Store, id: i64) -> Result<Outcome, StoreError> {
    let payload = store.dead_letter_payload(id).await?;
    let apart = match UsageBatch::decode_apart(&payload) {
        Ok(apart) => apart,
        Err(error) => return Ok(Outcome::StillDead { error: error.to_string() }),
    };
    let now = SystemClock.now();
    match (&*apart.batches, &*apart.unread) {
        ([], [unread]) => return Ok(Outcome::StillDead { error: unread.reason.clone() }),
        ([batch], []) => match store.replay_dead_letter(id, batch, now).await {
            Ok(booked) => return Ok(Outcome::Booked(booked)),
            Err(StoreError::Refused(error)) if batch.entries.len() == 1 => return Ok(Outcome::StillDead { error }),
            Err(StoreError::Refused(_)) => {}
            Err(error) => return Err(error),
        },
        _ => {}
    }
    if store.dead_letter(id).await?.resolved_at.is_some() {
        return Ok(Outcome::StillDead { error: format!("dead letter {id} was resolved before") });
    }
    split(store, id, apart).await
}

/// Books the entries of a letter that can be booked, and puts each of the others into a letter of
/// its own. The letter is resolved last: if this ends half-way, it can be done again.
async fn split(store: &Store, id: i64, apart: ApartBatch) -> Result<Outcome, StoreError> {
    let ApartBatch { stream, batches, unread } = apart;
    let now = SystemClock.now();
    let mut letters = apart::letters_of(&stream, unread);
    store.book_all(&Booking { dead_letters: &letters, ..Booking::default() }, now).await?;
    let (mut booked, mut replayed) = (0, 0);
    for batch in batches {
        let apart = apart::book_apart(store, batch, now).await?;
        booked += apart.booked.iter().map(|(_, booked)| booked.booked).sum::<u64>();
        replayed += apart.booked.iter().map(|(_, booked)| booked.replayed).sum::<u64>();
        letters.extend(apart.letters);
    }
    store.resolve_dead_letter(id, now).await?;
    let error = letters.first().map_or_else(String::new, |letter| letter.reason.clone());
    Ok(Outcome::Split { booked, replayed, letters: letters.len(), error })
}

fn line(replayed: &Replayed) -> String {
    let id = replayed.id;
    match &replayed.outcome {
        Outcome::Booked(booked) => {
            format!("{id}: {} entries booked, {} were booked before\n", booked.booked, booked.replayed)
        }
        Outcome::Split { booked, replayed, letters, error } => format!(
            "{id}: {booked} entries booked, {replayed} were booked before; {letters} are letters of their own now: {error}\n"
        ),
        Outcome::StillDead { error } => format!("{id}: not booked: {error}\n"),
    }
}

/// The source of a letter: topic, partition and offset, or for one that came over HTTP, the stream.
fn place(letter: &DeadLetter) -> String {
    if letter.is_no_message() {
        return letter.topic.clone();
    }
    format!("{}/{}/{}", letter.topic, letter.partition, letter.offset)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

const fn readable(byte: u8) -> char {
    if byte.is_ascii_graphic() || byte == b' ' { byte as char } else { '.' }
}
