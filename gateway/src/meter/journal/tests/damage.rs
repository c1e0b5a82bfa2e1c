//! Files that are damaged or gone: nothing is invented, and what is lost is told by its numbers.

use std::{os::unix::fs::FileExt as _, path::PathBuf};

use common::usage::StreamId;
use proptest::prelude::*;

use super::*;

/// A life that spooled three segments of 30 entries, with an empty ring behind them, and had
/// `delivered` of them.
fn spooled(settings: &MeterSettings, delivered: u64) -> [PathBuf; 3] {
    let (journal, _) = open(settings);
    let mut reader = journal.readers().remove(0);
    for number in 0..90 {
        journal.append_request(&record(number)).unwrap();
        if number % 30 == 29 {
            reader.spill().unwrap();
        }
    }
    reader.acknowledge(delivered).unwrap();
    [0, 30, 60].map(|first| journal.directory.path().join(format!("lane-0.{first:020}.spool")))
}

#[test]
fn missing_segment_is_reported_as_lost_wherever_it_was() {
    for (victim, delivered) in [(0, 0), (0, 7), (1, 0), (2, 0), (2, 60), (2, 75)] {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path(), 1);
        let segments = spooled(&settings, delivered);
        fs::remove_file(&segments[victim]).unwrap();
        let (_next, mut dead) = open(&settings);
        let found = contents(&mut dead[0].lanes[0], 7);
        let start = victim as u64 * 30;
        let lost: Vec<_> = (start.max(delivered)..start + 30).collect();
        assert_eq!((found.void, found.unreadable), (0, lost.len() as u64));
        assert_eq!(found.lost, lost, "segment {victim}, {delivered} delivered");
        assert!(found.entries.into_keys().eq((delivered..90).filter(|number| !lost.contains(number))));
        dead.remove(0).remove().unwrap();
    }
}

#[test]
fn unreadable_segment_is_reported_as_lost_once_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let segments = spooled(&settings, 0);
    let garbage = vec![0x55; fs::read(&segments[2]).unwrap().len()];
    fs::write(&segments[2], &garbage).unwrap();
    for lost in [60..90, 0..0] {
        let (_next, mut dead) = open(&settings);
        assert_eq!(dead[0].unreadable_files(), 1);
        let found = contents(&mut dead[0].lanes[0], 7);
        assert!(found.lost.into_iter().eq(lost));
        let error = dead.remove(0).remove().unwrap_err().to_string();
        assert!(error.contains("cannot be read"), "{error}");
    }
    assert_eq!(fs::read(&segments[2]).unwrap(), garbage);
}

#[test]
fn entries_without_their_names_are_reported_as_lost() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let (journal, _) = open(&settings);
    for number in 0..4 {
        journal.append_request(&record(number)).unwrap();
    }
    fs::write(journal.directory.path().join("names"), "").unwrap();
    drop(journal);
    let (_next, mut dead) = open(&settings);
    let found = contents(&mut dead[0].lanes[0], 7);
    assert_eq!((found.lost, found.void, found.unreadable), (vec![0, 1, 2, 3], 0, 4));
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
        let (next, mut dead) = open(&settings);
        for boot in &mut dead {
            for lane in &mut boot.lanes {
                prop_assert_eq!(lane.stream(), &stream);
                let found = contents(lane, most);
                prop_assert_eq!(found.lost.len() as u64, found.unreadable);
                prop_assert!(found.entries.len() as u64 <= appended);
                for (seq, entry) in found.entries {
                    prop_assert_eq!(entry, UsageEntry::Request(record(seq)));
                }
            }
        }
        prop_assert_eq!(next.unacknowledged(), 0, "damage must not block the journal");
    }

    #[test]
    fn damaged_slot_costs_one_entry_that_is_counted(
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
        let (_next, mut dead) = open(&settings);
        let mut found = contents(&mut dead[0].lanes[0], 64);
        prop_assert_eq!((found.void, found.unreadable), (0, 1));
        prop_assert_eq!(found.lost, [victim]);
        found.entries.insert(victim, UsageEntry::Request(record(victim)));
        prop_assert_eq!(found.entries, expected(0..appended));
    }
}
