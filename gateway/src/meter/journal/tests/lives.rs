//! From one life to the next: appended entries are drained once, by the next process.

use super::*;

#[test]
fn appended_entries_are_recovered_by_the_next_life_under_the_old_stream() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let (journal, dead) = open(&settings);
    assert!(dead.is_empty());
    for number in 0..100 {
        journal.append_request(&record(number)).unwrap();
    }
    let stream = journal.readers()[0].stream().clone();
    // A process that is killed does no more than this: its files and its lock are closed.
    drop(journal);
    let (next, mut dead) = open(&settings);
    assert_eq!((dead.len(), next.unacknowledged()), (1, 100));
    let lane = &mut dead[0].lanes[0];
    assert_eq!(*lane.stream(), stream);
    let found = contents(lane, 7);
    assert_eq!((found.void, found.unreadable), (0, 0));
    assert_eq!(found.entries, expected(0..100));
    assert_eq!(next.unacknowledged(), 0);
    assert!(next.recover().unwrap().is_empty(), "each once");
    dead.remove(0).remove().unwrap();
    assert_eq!(next.spooled_bytes(), 0);
    drop(next);
    assert_eq!(open(&settings).1.len(), 1, "only the empty life in between is left");
}

#[test]
fn process_that_dies_later_is_recovered_by_living_ones() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let (doomed, _) = open(&settings);
    let (living, _) = open(&settings);
    doomed.append_request(&record(0)).unwrap();
    assert!(living.recover().unwrap().is_empty());
    drop(doomed);
    let mut dead = living.recover().unwrap();
    assert_eq!(contents(&mut dead[0].lanes[0], 10).entries, expected(0..1));
}

/// The lock of an earlier life is held by somebody else, as by another gateway of the same name.
#[test]
fn earlier_life_locked_by_another_process_is_reported_until_it_is_released() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let (held, _) = open(&settings);
    held.append_request(&record(0)).unwrap();
    let (living, dead) = open(&settings);
    assert!(dead.is_empty());
    assert_eq!(living.unrecovered(), Unrecovered { unusable: 0, locked: 1 });
    drop(held);
    let mut dead = living.recover().unwrap();
    assert_eq!(contents(&mut dead[0].lanes[0], 10).entries, expected(0..1));
    assert_eq!(living.unrecovered(), Unrecovered::default());
}

#[test]
fn earlier_life_that_cannot_be_locked_is_reported_and_recovered_once_it_can_be() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let (killed, _) = open(&settings);
    killed.append_request(&record(0)).unwrap();
    let lock = killed.directory.path().join("lock");
    drop(killed);
    // Nobody can open a directory for writing, whoever runs the test.
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    let (living, dead) = open(&settings);
    assert!(dead.is_empty());
    assert_eq!(living.unrecovered(), Unrecovered { unusable: 1, locked: 0 });
    std::fs::remove_dir(&lock).unwrap();
    let mut dead = living.recover().unwrap();
    assert_eq!(contents(&mut dead[0].lanes[0], 10).entries, expected(0..1));
    assert_eq!(living.unrecovered(), Unrecovered::default());
}

#[test]
fn missing_files_leave_no_room_until_they_are_back() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, _) = open(&settings(directory.path(), 2));
    let own = journal.directory.path().to_owned();
    let elsewhere = directory.path().join("elsewhere");
    assert_eq!((journal.look_for_files(), journal.has_room()), (None, true));
    std::fs::rename(&own, &elsewhere).unwrap();
    assert!(journal.look_for_files().is_some() && !journal.has_room());
    // A directory of the same name with other files is not the journal.
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("lock"), "").unwrap();
    assert!(journal.look_for_files().is_some());
    std::fs::remove_dir_all(&own).unwrap();
    std::fs::rename(&elsewhere, &own).unwrap();
    assert_eq!((journal.look_for_files(), journal.has_room()), (None, true));
    for file in ["lane-1.ring", "names", "lock"] {
        std::fs::rename(own.join(file), own.join("aside")).unwrap();
        assert_eq!(journal.look_for_files(), Some(own.join(file)));
        std::fs::rename(own.join("aside"), own.join(file)).unwrap();
    }
    assert_eq!(journal.look_for_files(), None);
}

#[test]
fn journal_of_a_living_process_is_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let settings = settings(directory.path(), 1);
    let (living, _) = open(&settings);
    living.append_request(&record(1)).unwrap();
    let (other, dead) = open(&settings);
    assert!(dead.is_empty());
    drop(living);
    let (_third, dead) = open(&settings);
    assert_eq!(dead.len(), 1);
    drop(other);
}

#[test]
fn acknowledged_entries_are_freed_and_not_read_again() {
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
    let (_next, mut dead) = open(&settings);
    assert_eq!(contents(&mut dead[0].lanes[0], 64).entries, expected(5_000..5_001));
}

#[test]
fn full_journal_has_no_room_and_refuses_records() {
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
    let (_next, mut dead) = open(&settings);
    contents(&mut dead[0].lanes[0], 10);
    assert!(dead.remove(0).remove().is_err());
    assert!(theirs.exists());
}

#[test]
fn renamed_gateway_drains_its_old_streams() {
    let directory = tempfile::tempdir().unwrap();
    let old = settings(directory.path(), 1);
    let (journal, _) = open(&old);
    journal.append_request(&record(1)).unwrap();
    drop(journal);
    let (_next, dead) = open(&MeterSettings { gateway: "edge-2".into(), ..old });
    assert_eq!(dead[0].lanes[0].stream().gateway(), "edge-1");
}
