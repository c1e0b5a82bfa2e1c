//! What a journal holds after its process is gone, whatever happened to its files.

use std::{collections::BTreeMap, fs, os::unix::fs::FileExt as _, path::Path};

use common::{
    id::{KeyId, TenantId},
    time::Micros,
    usage::{StreamId, UsageEntry},
};
use proptest::prelude::*;

use super::{spool::SpoolError, *};

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

/// A journal, and what was left before it.
fn open(settings: &MeterSettings) -> (Journal, Vec<LeftBoot>) {
    let journal = Journal::open(settings).unwrap();
    let left = journal.take_over().unwrap();
    (journal, left)
}

/// What a lane holds.
#[derive(Debug, Default)]
struct Contents {
    /// By number, without those that are void.
    entries: BTreeMap<u64, UsageEntry>,
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
        let numbered = (chunk.batch.first_seq..).zip(chunk.batch.entries);
        contents.entries.extend(numbered.filter(|(_, entry)| *entry != UsageEntry::Void));
        lane.acknowledge(next.unwrap()).unwrap();
    }
    contents
}

fn expected(numbers: std::ops::Range<u64>) -> BTreeMap<u64, UsageEntry> {
    numbers.map(|number| (number, UsageEntry::Request(record(number)))).collect()
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
    let (journal, left) = open(&settings);
    assert!(left.is_empty());
    for number in 0..100 {
        journal.append_request(&record(number)).unwrap();
    }
    let stream = journal.readers()[0].stream().clone();
    // A process that is killed does no more than this: its files and its lock are closed.
    drop(journal);
    let (next, mut left) = open(&settings);
    assert_eq!((left.len(), next.unacknowledged()), (1, 100));
    let lane = &mut left[0].lanes[0];
    assert_eq!(*lane.stream(), stream);
    let found = contents(lane, 7);
    assert_eq!((found.void, found.unreadable), (0, 0));
    assert_eq!(found.entries, expected(0..100));
    assert_eq!(next.unacknowledged(), 0);
    assert!(next.take_over().unwrap().is_empty(), "each once");
    left.remove(0).remove().unwrap();
    assert_eq!(next.spooled_bytes(), 0);
    drop(next);
    assert_eq!(open(&settings).1.len(), 1, "only the empty life in between is left");
}

#[test]
fn a_process_that_dies_later_is_found_by_those_that_live() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let (doomed, _) = open(&settings);
    let (living, _) = open(&settings);
    doomed.append_request(&record(0)).unwrap();
    assert!(living.take_over().unwrap().is_empty());
    drop(doomed);
    let mut left = living.take_over().unwrap();
    assert_eq!(contents(&mut left[0].lanes[0], 10).entries, expected(0..1));
}

#[test]
fn a_living_journal_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let (living, _) = open(&settings);
    living.append_request(&record(1)).unwrap();
    let (other, left) = open(&settings);
    assert!(left.is_empty());
    drop(living);
    let (_third, left) = open(&settings);
    assert_eq!(left.len(), 1);
    drop(other);
}

#[test]
fn what_was_acknowledged_is_freed_and_not_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let (journal, _) = open(&settings);
    let mut reader = journal.readers().remove(0);
    let files_at_first = files(directory.path()).len();
    // Far more than the ring holds at once.
    for number in 0..5_000 {
        journal.append_request(&record(number)).unwrap();
        if number % 100 == 99 {
            assert_eq!(contents(&mut reader, 64).entries, expected(number - 99..number + 1));
        }
    }
    assert_eq!(files(directory.path()).len(), files_at_first);
    journal.append_request(&record(5_000)).unwrap();
    drop((journal, reader));
    let (_next, mut left) = open(&settings);
    assert_eq!(contents(&mut left[0].lanes[0], 64).entries, expected(5_000..5_001));
}

#[test]
fn a_full_journal_says_so_before_and_refuses_then() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 2);
    let (journal, _) = open(&settings);
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
    let mut read = 0;
    for lane in &mut journal.readers() {
        read += contents(lane, 100).entries.len() as u64;
    }
    assert_eq!(read, appended, "none was dropped");
    assert!(journal.has_room());
    journal.append_request(&record(0)).unwrap();
}

/// Appends and spills until the spool takes no more; returns how many entries there are.
fn fill_up(journal: &Journal, reader: &mut LaneReader) -> u64 {
    let mut appended = 0;
    loop {
        journal.append_request(&record(appended)).unwrap();
        appended += 1;
        if reader.is_filling() {
            match reader.spill() {
                Ok(()) => assert!(!reader.is_filling()),
                Err(SpoolError::Budget) => return appended,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn what_leaves_the_ring_for_the_spool_comes_first_and_stays_within_the_budget() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let (journal, _) = open(&settings);
    let mut reader = journal.readers().remove(0);
    let appended = fill_up(&journal, &mut reader);
    assert!(appended > 300, "the spool holds more than the ring: {appended}");
    let on_disk: u64 = files(directory.path()).iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(on_disk <= settings.budget_bytes + 100, "{on_disk}");
    assert!(journal.spooled_bytes() > 0);
    assert!(journal.has_room(), "half a ring is left");
    assert_eq!(journal.unacknowledged(), appended);
    // A receipt for half a batch, and a spool that grows while it is read.
    let chunk = reader.read(50).unwrap().unwrap();
    reader.acknowledge(chunk.batch.first_seq + 25).unwrap();
    let found = contents(&mut reader, 50);
    assert_eq!(found.entries, expected(25..appended));
    assert_eq!((journal.spooled_bytes(), journal.unacknowledged()), (0, 0));
    assert!(!files(directory.path()).iter().any(|file| file.extension().is_some_and(|end| end == "spool")));
    assert_eq!(fill_up(&journal, &mut reader), appended, "there is as much room as before");
}

#[test]
fn an_entry_on_its_way_may_be_spooled_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(&settings(directory.path(), 1));
    let mut reader = journal.readers().remove(0);
    for number in 0..100 {
        journal.append_request(&record(number)).unwrap();
    }
    let on_its_way = reader.read(10).unwrap().unwrap().batch;
    reader.spill().unwrap();
    reader.acknowledge(on_its_way.end_seq()).unwrap();
    assert_eq!(contents(&mut reader, 64).entries, expected(10..100));
}

#[test]
fn what_was_spooled_is_found_by_the_next_life_and_counts_for_its_budget() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let (journal, _) = open(&settings);
    let mut reader = journal.readers().remove(0);
    let appended = fill_up(&journal, &mut reader);
    let chunk = reader.read(10).unwrap().unwrap();
    reader.acknowledge(chunk.batch.end_seq()).unwrap();
    drop((journal, reader));
    let (next, mut left) = open(&settings);
    let spooled = next.spooled_bytes();
    assert!(spooled > settings.budget_bytes / 2, "{spooled}");
    let mut own = next.readers().remove(0);
    next.append_request(&record(0)).unwrap();
    assert!(matches!(own.spill(), Err(SpoolError::Budget)), "there is no disk left for it");
    let found = contents(&mut left[0].lanes[0], 64);
    assert_eq!((found.void, found.unreadable), (0, 0));
    // The segment that the sink had begun with may come once more.
    let first = *found.entries.first_key_value().unwrap().0;
    assert!(first <= 10, "{first}");
    assert_eq!(found.entries, expected(first..appended));
    left.remove(0).remove().unwrap();
    own.spill().unwrap();
    assert_eq!(files(directory.path()).iter().filter(|file| file.ends_with("lock")).count(), 1);
}

#[test]
fn a_spool_that_cannot_be_written_costs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(&settings(directory.path(), 1));
    let mut reader = journal.readers().remove(0);
    for number in 0..100 {
        journal.append_request(&record(number)).unwrap();
    }
    // A directory stands where the segment is to be written.
    let obstacle = journal.directory.path().join("lane-0.spool-unfinished");
    fs::create_dir(&obstacle).unwrap();
    assert!(matches!(reader.spill(), Err(SpoolError::Io(_))));
    assert_eq!(journal.spooled_bytes(), 0);
    fs::remove_dir(&obstacle).unwrap();
    reader.spill().unwrap();
    assert_eq!(contents(&mut reader, 64).entries, expected(0..100));
}

#[test]
fn a_segment_that_is_gone_leaves_no_gap_and_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let (journal, _) = open(&settings);
    let mut reader = journal.readers().remove(0);
    for number in 0..90 {
        journal.append_request(&record(number)).unwrap();
        if number % 30 == 29 {
            reader.spill().unwrap();
        }
    }
    fs::remove_file(journal.directory.path().join("lane-0.00000000000000000030.spool")).unwrap();
    drop((journal, reader));
    let (_next, mut left) = open(&settings);
    let found = contents(&mut left[0].lanes[0], 7);
    assert_eq!((found.void, found.unreadable), (0, 30));
    assert_eq!(found.entries.into_keys().collect::<Vec<_>>(), (0..30).chain(60..90).collect::<Vec<_>>());
}

#[test]
fn the_default_budget_outlasts_ten_minutes_without_a_sink_at_ten_thousand_requests_a_second() {
    let settings = MeterSettings::new("unused", "edge-1");
    let rings = u64::from(settings.lanes) * ring::bytes_of(ring_slots(settings.budget_bytes));
    assert!((settings.budget_bytes - rings) / SLOT_BYTES as u64 >= 10 * 60 * 10_000);
}

#[test]
fn records_that_no_sink_would_take_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(&settings(directory.path(), 1));
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
    let (journal, _) = open(&settings);
    journal.append_request(&record(1)).unwrap();
    let theirs = journal.directory.path().join("theirs");
    fs::write(&theirs, "keep").unwrap();
    drop(journal);
    let (_next, mut left) = open(&settings);
    contents(&mut left[0].lanes[0], 10);
    assert!(left.remove(0).remove().is_err());
    assert!(theirs.exists());
}

#[test]
fn a_gateway_that_was_renamed_drains_its_old_streams() {
    let directory = tempfile::tempdir().unwrap();
    let old = settings(directory.path(), 1);
    let (journal, _) = open(&old);
    journal.append_request(&record(1)).unwrap();
    drop(journal);
    let (_next, left) = open(&MeterSettings { gateway: "edge-2".into(), ..old });
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
        spooled in prop::collection::vec(1_u64..60, 0..4),
        appended in 1_u64..120,
        acknowledged in 0_u64..300,
        damages in prop::collection::vec(damage(), 1..4),
        most in 1_usize..100,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path(), 1);
        let (journal, _) = open(&settings);
        let mut reader = journal.readers().remove(0);
        let mut numbers = 0..;
        for count in spooled {
            for number in numbers.by_ref().take(count.try_into().unwrap()) {
                journal.append_request(&record(number)).unwrap();
            }
            reader.spill().unwrap();
        }
        for number in numbers.by_ref().take(appended.try_into().unwrap()) {
            journal.append_request(&record(number)).unwrap();
        }
        let appended = journal.appended();
        reader.acknowledge(acknowledged.min(appended)).unwrap();
        let stream: StreamId = reader.stream().clone();
        drop((journal, reader));
        for damage in &damages {
            inflict(damage, directory.path());
        }
        let (next, mut left) = open(&settings);
        for boot in &mut left {
            for lane in &mut boot.lanes {
                prop_assert_eq!(lane.stream(), &stream);
                let found = contents(lane, most);
                prop_assert!(found.entries.len() as u64 <= appended);
                for (seq, entry) in found.entries {
                    prop_assert_eq!(entry, UsageEntry::Request(record(seq)));
                }
            }
        }
        prop_assert_eq!(next.unacknowledged(), 0, "damage must not block the journal");
    }

    #[test]
    fn a_damaged_slot_costs_one_entry_that_is_counted(
        appended in 1_u64..120,
        spools in any::<bool>(),
        victim in any::<prop::sample::Index>(),
        // Not the stamp, which an entry does not need to be whole.
        bit in 64_u64..1024,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path(), 1);
        let (journal, _) = open(&settings);
        for number in 0..appended {
            journal.append_request(&record(number)).unwrap();
        }
        if spools {
            journal.readers().remove(0).spill().unwrap();
        }
        let end = if spools { ".spool" } else { ".ring" };
        drop(journal);
        let damaged = files(directory.path()).into_iter().find(|path| path.to_str().unwrap().ends_with(end)).unwrap();
        let victim = victim.index(appended.try_into().unwrap()) as u64;
        let file = fs::File::options().read(true).write(true).open(damaged).unwrap();
        let at = (1 + victim) * SLOT_BYTES as u64 + bit / 8;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ (1 << (bit % 8))], at).unwrap();
        let (_next, mut left) = open(&settings);
        let mut found = contents(&mut left[0].lanes[0], 64);
        prop_assert_eq!((found.void, found.unreadable), (0, 1));
        found.entries.insert(victim, UsageEntry::Request(record(victim)));
        prop_assert_eq!(found.entries, expected(0..appended));
    }
}
