//! Entries that leave the ring: in order, within the budget, and kept for the next life.

use super::{super::spool::SpoolError, *};

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
fn spooled_entries_are_read_first_and_stay_within_the_budget() {
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
fn entry_may_be_spooled_while_it_is_being_delivered() {
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
fn spooled_entries_are_recovered_by_the_next_life_and_count_for_its_budget() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let (journal, _) = open(&settings);
    let mut reader = journal.readers().remove(0);
    let appended = fill_up(&journal, &mut reader);
    let chunk = reader.read(10).unwrap().unwrap();
    reader.acknowledge(chunk.batch.end_seq()).unwrap();
    drop((journal, reader));
    let (next, mut dead) = open(&settings);
    let spooled = next.spooled_bytes();
    assert!(spooled > settings.budget_bytes / 2, "{spooled}");
    let mut own = next.readers().remove(0);
    next.append_request(&record(0)).unwrap();
    assert!(matches!(own.spill(), Err(SpoolError::Budget)), "there is no disk left for it");
    let found = contents(&mut dead[0].lanes[0], 64);
    assert_eq!((found.void, found.unreadable), (0, 0));
    assert_eq!(found.entries, expected(10..appended), "not even the rest of a segment comes twice");
    dead.remove(0).remove().unwrap();
    own.spill().unwrap();
    assert_eq!(files(directory.path()).iter().filter(|file| file.ends_with("lock")).count(), 1);
}

#[test]
fn spool_that_cannot_be_written_loses_no_entry() {
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
fn default_budget_lasts_ten_minutes_without_a_sink_at_ten_thousand_requests_a_second() {
    let settings = MeterSettings::new("unused", "edge-1");
    let rings = u64::from(settings.lanes) * ring::bytes_of(ring_slots(settings.budget_bytes));
    assert!((settings.budget_bytes - rings) / SLOT_BYTES as u64 >= 10 * 60 * 10_000);
}
