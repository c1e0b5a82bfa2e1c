//! Contents of a journal after its process is gone, whatever happened to its files.

mod damage;
mod lives;
mod spool;

use std::{collections::BTreeMap, fs, path::Path};

use common::{
    id::{KeyId, TenantId},
    time::Micros,
    usage::UsageEntry,
};

use super::*;

fn settings(directory: &Path, lanes: u16) -> MeterSettings {
    MeterSettings {
        lanes,
        budget_bytes: u64::from(lanes) * BUDGET_MIN_PER_LANE,
        ..MeterSettings::new(directory, "edge-1")
    }
}

fn record(number: u64) -> UsageRecord {
    UsageRecord {
        at: Micros(i64::try_from(number).unwrap()),
        tenant: TenantId::from_u128(7),
        key: KeyId::from_u128(8),
        route: if number.is_multiple_of(2) { "search".into() } else { "upload".into() },
        meter: "requests".into(),
        units: number,
        status: 200,
        billable: true,
        mode: Mode::Live,
        prepaid: false,
    }
}

/// Opens a journal, and recovers the dead lives before it.
fn open(settings: &MeterSettings) -> (Journal, Vec<DeadLife>) {
    let journal = Journal::open(settings).unwrap();
    let dead = journal.recover().unwrap();
    (journal, dead)
}

/// Contents of a lane.
#[derive(Debug, Default)]
struct Contents {
    /// By number.
    entries: BTreeMap<u64, UsageEntry>,
    /// Numbers that are delivered as lost.
    lost: Vec<u64>,
    /// Numbers counted as void. Those counted as unreadable follow.
    void: u64,
    unreadable: u64,
}

/// Everything a lane holds, acknowledged as it is read.
fn contents(lane: &mut LaneReader, most: usize) -> Contents {
    let mut contents = Contents::default();
    let mut next = None;
    while let Some(chunk) = lane.read(most).unwrap() {
        assert!(next.is_none_or(|next| next == chunk.batch.first_seq), "a gap in the numbers");
        next = Some(chunk.batch.end_seq());
        contents.void += chunk.void;
        contents.unreadable += chunk.unreadable;
        for (number, entry) in (chunk.batch.first_seq..).zip(chunk.batch.entries) {
            match entry {
                UsageEntry::Void => {}
                UsageEntry::Lost => contents.lost.push(number),
                entry => drop(contents.entries.insert(number, entry)),
            }
        }
        lane.acknowledge(next.unwrap()).unwrap();
    }
    contents
}

fn expected(numbers: std::ops::Range<u64>) -> BTreeMap<u64, UsageEntry> {
    numbers.map(|number| (number, UsageEntry::Request(record(number)))).collect()
}

/// All files of all lives; the reserve is none of them.
fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.file_name().unwrap().to_str().unwrap().starts_with(".reserve") {
            found.push(path);
        }
    }
    found.sort();
    found
}
