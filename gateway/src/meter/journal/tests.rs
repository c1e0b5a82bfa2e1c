//! What a journal holds after its process is gone, whatever happened to its files.

use std::{collections::BTreeMap, fs, os::unix::fs::FileExt as _};

use common::{
    id::{KeyId, TenantId},
    time::Micros,
    usage::{StreamId, UsageEntry},
};
use proptest::prelude::*;

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
    }
}

/// Everything a lane holds, by number, acknowledged as it is read; and how many slots cannot be read.
fn contents(lane: &mut LaneReader, most: usize) -> (BTreeMap<u64, UsageEntry>, u64) {
    let (mut found, mut unreadable) = (BTreeMap::new(), 0);
    loop {
        let chunk = lane.read(most).unwrap();
        if chunk.batch.is_none() && chunk.unreadable == 0 {
            return (found, unreadable);
        }
        unreadable += chunk.unreadable;
        for (seq, entry) in chunk.batch.iter().flat_map(|batch| (batch.first_seq..).zip(&batch.entries)) {
            found.insert(seq, entry.clone());
        }
        lane.acknowledge(chunk.end).unwrap();
    }
}

fn files(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn what_was_appended_is_found_by_the_next_life_under_the_old_stream() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let (journal, left) = Journal::open(&settings).unwrap();
    assert!(left.is_empty());
    for number in 0..300 {
        journal.append_request(&record(number)).unwrap();
    }
    let stream = journal.readers().unwrap()[0].stream().clone();
    // A process that is killed does no more than this: its files and its lock are closed.
    drop(journal);
    let (next, mut left) = Journal::open(&settings).unwrap();
    assert_eq!((left.len(), next.unacknowledged()), (1, 300));
    let lane = &mut left[0].lanes[0];
    assert_eq!(*lane.stream(), stream);
    let (found, unreadable) = contents(lane, 7);
    assert_eq!(unreadable, 0);
    let expected: BTreeMap<_, _> = (0..300).map(|number| (number, UsageEntry::Request(record(number)))).collect();
    assert_eq!(found, expected);
    assert_eq!(next.unacknowledged(), 0);
    left.remove(0).remove().unwrap();
    drop(next);
    assert_eq!(Journal::open(&settings).unwrap().1.len(), 1, "only the empty life in between is left");
}

#[test]
fn a_living_journal_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let (living, _) = Journal::open(&settings).unwrap();
    living.append_request(&record(1)).unwrap();
    let (other, left) = Journal::open(&settings).unwrap();
    assert!(left.is_empty());
    drop(living);
    let (_third, left) = Journal::open(&settings).unwrap();
    assert_eq!(left.len(), 1);
    drop(other);
}

#[test]
fn what_was_acknowledged_is_freed_and_not_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let (journal, _) = Journal::open(&settings).unwrap();
    let mut reader = journal.readers().unwrap().remove(0);
    let mut most_files = 0;
    // Far more than the budget holds at once.
    for number in 0..5_000 {
        journal.append_request(&record(number)).unwrap();
        if number % 100 == 99 {
            let (found, _) = contents(&mut reader, 64);
            assert_eq!(found.into_keys().collect::<Vec<_>>(), (number - 99..=number).collect::<Vec<_>>());
            most_files = most_files.max(files(directory.path()).len());
        }
    }
    assert!(most_files <= 6, "{most_files} files");
    journal.append_request(&record(5_000)).unwrap();
    drop((journal, reader));
    let (_next, mut left) = Journal::open(&settings).unwrap();
    let (found, _) = contents(&mut left[0].lanes[0], 64);
    assert_eq!(found.into_keys().collect::<Vec<_>>(), [5_000]);
}

#[test]
fn a_full_journal_says_so_before_and_refuses_then() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 2);
    let (journal, _) = Journal::open(&settings).unwrap();
    let (mut appended, mut after_warning) = (0, 0);
    loop {
        if !journal.has_room() {
            after_warning += 1;
        }
        match journal.append_request(&record(appended)) {
            Ok(()) => appended += 1,
            Err(error) => break assert!(matches!(error, MeterError::Full), "{error}"),
        }
    }
    assert!(after_warning > 10, "there must be a margin for requests that were let in");
    let on_disk: u64 = files(directory.path()).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(on_disk <= settings.budget_bytes, "{on_disk}");
    let mut read = 0;
    for lane in &mut journal.readers().unwrap() {
        read += contents(lane, 100).0.len() as u64;
    }
    assert_eq!(read, appended, "none was dropped");
    assert!(journal.has_room());
    journal.append_request(&record(0)).unwrap();
}

#[test]
fn records_that_no_sink_would_take_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(&settings(directory.path(), 1)).unwrap();
    let bad = [
        UsageRecord { status: 99, ..record(1) },
        UsageRecord { units: u64::MAX, ..record(1) },
        UsageRecord { route: "".into(), ..record(1) },
        UsageRecord { meter: "x".repeat(300).into(), ..record(1) },
    ];
    for record in bad {
        assert!(matches!(journal.append_request(&record), Err(MeterError::Invalid(_))));
    }
    assert_eq!(journal.unacknowledged(), 0);
}

#[test]
fn foreign_files_are_neither_read_nor_removed() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    fs::create_dir_all(directory.path().join("somebody@else")).unwrap();
    fs::write(directory.path().join("notes.txt"), "hello").unwrap();
    let (journal, _) = Journal::open(&settings).unwrap();
    journal.append_request(&record(1)).unwrap();
    let theirs = journal.lanes[0].directory.join("theirs");
    fs::write(&theirs, "keep").unwrap();
    drop(journal);
    let (_next, mut left) = Journal::open(&settings).unwrap();
    contents(&mut left[0].lanes[0], 10);
    assert!(left.remove(0).remove().is_err());
    assert!(theirs.exists());
}

#[test]
fn a_gateway_that_was_renamed_drains_its_old_streams() {
    let directory = tempfile::tempdir().unwrap();
    let old = settings(directory.path(), 1);
    let (journal, _) = Journal::open(&old).unwrap();
    journal.append_request(&record(1)).unwrap();
    drop(journal);
    let (_next, left) = Journal::open(&MeterSettings { gateway: "edge-2".into(), ..old }).unwrap();
    assert_eq!(left[0].lanes[0].stream().gateway(), "edge-1");
}

/// Something that happens to a file behind the journal's back.
#[derive(Debug, Clone)]
enum Damage {
    Flip { file: usize, at: u64, bit: u8 },
    Cut { file: usize, at: u64 },
    Zero { file: usize, from: u64, bytes: usize },
    Remove { file: usize },
    Append { file: usize, bytes: Vec<u8> },
}

fn damage() -> impl Strategy<Value = Damage> {
    let (file, at) = (0_usize..20, 0_u64..20_000);
    prop_oneof![
        4 => (file.clone(), at.clone(), 0_u8..8).prop_map(|(file, at, bit)| Damage::Flip { file, at, bit }),
        3 => (file.clone(), at.clone()).prop_map(|(file, at)| Damage::Cut { file, at }),
        2 => (file.clone(), at, 1_usize..600).prop_map(|(file, from, bytes)| Damage::Zero { file, from, bytes }),
        1 => file.clone().prop_map(|file| Damage::Remove { file }),
        1 => (file, prop::collection::vec(any::<u8>(), 1..300)).prop_map(|(file, bytes)| Damage::Append { file, bytes }),
    ]
}

fn inflict(damage: &Damage, directory: &Path) {
    let files = files(directory);
    let pick = |index: &usize| files[index % files.len()].clone();
    let open = |index: &usize| fs::File::options().read(true).write(true).open(pick(index)).unwrap();
    match damage {
        Damage::Flip { file, at, bit } => {
            let file = open(file);
            let length = file.metadata().unwrap().len();
            if length > 0 {
                let mut byte = [0];
                file.read_exact_at(&mut byte, at % length).unwrap();
                byte[0] ^= 1 << bit;
                file.write_all_at(&byte, at % length).unwrap();
            }
        }
        Damage::Cut { file, at } => {
            let file = open(file);
            let length = file.metadata().unwrap().len();
            file.set_len(at % (length + 1)).unwrap();
        }
        Damage::Zero { file, from, bytes } => {
            let file = open(file);
            let length = file.metadata().unwrap().len();
            let from = from % (length + 1);
            let bytes = (*bytes).min(usize::try_from(length - from).unwrap());
            file.write_all_at(&vec![0; bytes], from).unwrap();
        }
        Damage::Remove { file } => fs::remove_file(pick(file)).unwrap(),
        Damage::Append { file, bytes } => {
            let file = open(file);
            file.write_all_at(bytes, file.metadata().unwrap().len()).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn damaged_files_yield_no_panic_and_no_invented_record(
        appended in 1_u64..350,
        acknowledged in 0_u64..350,
        damages in prop::collection::vec(damage(), 1..4),
        most in 1_usize..100,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path(), 1);
        let (journal, _) = Journal::open(&settings).unwrap();
        let mut reader = journal.readers().unwrap().remove(0);
        for number in 0..appended {
            journal.append_request(&record(number)).unwrap();
        }
        reader.acknowledge(acknowledged.min(appended)).unwrap();
        let stream: StreamId = reader.stream().clone();
        drop((journal, reader));
        for damage in &damages {
            inflict(damage, directory.path());
        }
        let (next, mut left) = Journal::open(&settings).unwrap();
        for boot in &mut left {
            for lane in &mut boot.lanes {
                prop_assert_eq!(lane.stream(), &stream);
                let (found, _) = contents(lane, most);
                prop_assert!(found.len() as u64 <= appended);
                for (seq, entry) in found {
                    prop_assert_eq!(entry, UsageEntry::Request(record(seq)));
                }
            }
        }
        prop_assert_eq!(next.unacknowledged(), 0, "damage must not block the journal");
    }

    #[test]
    fn a_torn_end_costs_the_torn_slot_only(appended in 1_u64..300, torn in 1_u64..128) {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path(), 1);
        let (journal, _) = Journal::open(&settings).unwrap();
        for number in 0..appended {
            journal.append_request(&record(number)).unwrap();
        }
        let lane = journal.lanes[0].directory.clone();
        drop(journal);
        let last = files(&lane).into_iter().rfind(|file| file.extension().is_some_and(|end| end == "seg")).unwrap();
        let file = fs::File::options().write(true).open(last).unwrap();
        file.set_len(file.metadata().unwrap().len() - torn).unwrap();
        let (_next, mut left) = Journal::open(&settings).unwrap();
        let (found, unreadable) = contents(&mut left[0].lanes[0], 64);
        prop_assert_eq!(found.len() as u64, appended - 1);
        prop_assert_eq!(unreadable, 1);
    }
}
