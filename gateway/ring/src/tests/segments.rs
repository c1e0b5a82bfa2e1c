//! Segments in files, and what is left of them.
#![cfg(not(miri))]

use std::{fs, path::PathBuf};

use super::*;

/// A segment of entries 10 to 49.
fn written() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lane-0.spool");
    let entries: Vec<_> = (10..50).map(payload).collect();
    let segment = Segment::write(&path, &path.with_extension("unfinished"), 10, &entries, seal()).unwrap();
    assert_eq!((segment.first(), segment.end()), (10, 50));
    assert_eq!(fs::metadata(&path).unwrap().len(), Segment::bytes_of(40));
    (directory, path)
}

fn found(numbers: std::ops::Range<u64>) -> Vec<Found> {
    numbers.map(|number| Found::Entry(payload(number))).collect()
}

#[test]
fn written_entries_are_read_from_any_number() {
    let (directory, path) = written();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    let mut segment = Segment::open(&path, 10, seal()).unwrap().unwrap();
    assert_eq!((segment.first(), segment.end()), (10, 50));
    assert_eq!(segment.read(10, 7).unwrap(), found(10..17));
    assert_eq!(segment.read(47, 7).unwrap(), found(47..50));
    assert!(segment.read(50, 7).unwrap().is_empty() && segment.read(9, 7).unwrap().is_empty());
    segment.remove().unwrap();
    segment.remove().unwrap();
    assert!(!path.exists());
}

#[test]
fn cut_off_entries_are_unreadable_as_far_as_the_header_reaches() {
    let (_directory, path) = written();
    fs::write(&path, &fs::read(&path).unwrap()[..SLOT_BYTES * 31 - 1]).unwrap();
    let mut segment = Segment::open(&path, 10, seal()).unwrap().unwrap();
    assert_eq!(segment.end(), 50);
    assert_eq!(segment.read(10, 40).unwrap(), [found(10..39), vec![Found::Unreadable; 11]].concat());
    let mut segment = Segment::open(&path, 10, seal()).unwrap().unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(segment.read(10, 40).unwrap(), vec![Found::Unreadable; 40]);
}

#[test]
fn without_its_header_a_segment_is_as_long_as_its_file() {
    let (_directory, path) = written();
    let mut bytes = fs::read(&path).unwrap();
    bytes[..SLOT_BYTES].fill(0x55);
    fs::write(&path, &bytes).unwrap();
    let mut segment = Segment::open(&path, 10, seal()).unwrap().unwrap();
    assert_eq!(segment.read(10, 100).unwrap(), found(10..50));
}

#[test]
fn segment_of_another_stream_or_place_is_none() {
    let (_directory, path) = written();
    assert!(Segment::open(&path, 10, Seal::of("another")).unwrap().is_none());
    assert!(Segment::open(&path, 11, seal()).unwrap().is_none());
    for impossible in [u64::MAX - 1, u64::MAX] {
        assert!(Segment::open(&path, impossible, seal()).unwrap().is_none());
    }
    fs::write(&path, b"nothing of ours").unwrap();
    assert!(Segment::open(&path, 10, seal()).unwrap().is_none());
}

#[test]
fn segment_that_cannot_be_written_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let (path, obstacle) = (directory.path().join("lane-0.spool"), directory.path().join("obstacle"));
    fs::create_dir(&obstacle).unwrap();
    assert!(Segment::write(&path, &obstacle, 10, &[payload(10)], seal()).is_err());
    assert!(!path.exists());
}
