//! Rings in files, and what is left of them.
#![cfg(not(miri))]

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::PathBuf,
};

use super::*;

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("lane-0.ring");
    (directory, path)
}

fn written(path: &std::path::Path, slots: u64, entries: u64) -> Ring<MappedWords> {
    let ring = Ring::create(path, slots, seal()).unwrap();
    for number in 0..entries {
        ring.append(&payload(number)).unwrap();
    }
    ring
}

#[test]
fn appended_entries_are_in_the_file_at_once() {
    let (_directory, path) = place();
    let ring = written(&path, 64, 40);
    ring.acknowledge(10);
    let (dead, recovered) = DeadRing::open(&path, seal()).unwrap();
    assert_eq!((recovered.first, recovered.header_damaged), (10, false));
    assert_eq!(recovered.slots, (10..40).map(|number| Found::Entry(payload(number))).collect::<Vec<_>>());
    dead.acknowledge(35).unwrap();
    assert_eq!(DeadRing::open(&path, seal()).unwrap().1.first, 35);
}

#[test]
fn delivered_position_is_kept_by_live_and_dead_rings() {
    let (_directory, path) = place();
    let ring = written(&path, 64, 40);
    let delivered = || DeadRing::open(&path, seal()).unwrap().1.delivered;
    assert_eq!(delivered(), Some(0));
    ring.mark_delivered(10);
    ring.acknowledge(30);
    assert_eq!(delivered(), Some(10));
    drop(ring);
    DeadRing::open(&path, seal()).unwrap().0.mark_delivered(33).unwrap();
    let (_, recovered) = DeadRing::open(&path, seal()).unwrap();
    assert_eq!((recovered.delivered, recovered.first, recovered.header_damaged), (Some(33), 30, false));
}

#[test]
fn every_block_is_allocated_before_it_is_used() {
    let (_directory, path) = place();
    let _ring = written(&path, 1024, 0);
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(metadata.len(), bytes_of(1024));
    assert!(metadata.blocks() * 512 >= metadata.len());
}

#[test]
fn ring_is_not_made_over_another_file() {
    let (_directory, path) = place();
    fs::write(&path, "theirs").unwrap();
    assert!(Ring::create(&path, 64, seal()).is_err());
    assert!(Ring::create(&path.with_extension("odd"), 63, seal()).is_err());
    assert_eq!(fs::read(&path).unwrap(), b"theirs");
}

#[test]
fn flushed_entry_whose_block_is_gone_is_reported_as_lost() {
    let (_directory, path) = place();
    let ring = written(&path, 64, 20);
    ring.sync().unwrap();
    ring.head.0.fetch_add(1, Ordering::Relaxed);
    ring.append(&payload(21)).unwrap();
    drop(ring);
    let file = File::options().write(true).open(&path).unwrap();
    file.write_all_at(&vec![0; SLOT_BYTES * 5], bytes_of(15)).unwrap();
    let (_, recovered) = DeadRing::open(&path, seal()).unwrap();
    let gone = [Found::Unreadable; 5];
    assert_eq!(recovered.slots[15..], [&gone[..], &[Found::Void, Found::Entry(payload(21))]].concat());
    // Without the slots that prove where the ring stands, the header still says how far it had got.
    file.write_all_at(&vec![0; SLOT_BYTES * 7], bytes_of(15)).unwrap();
    let (_, recovered) = DeadRing::open(&path, seal()).unwrap();
    assert_eq!((recovered.end(), &recovered.slots[15..]), (20, &gone[..]));
    file.set_len(bytes_of(10)).unwrap();
    let (_, recovered) = DeadRing::open(&path, seal()).unwrap();
    assert_eq!(recovered.end(), 20);
    assert!(recovered.slots[10..].iter().all(|found| *found == Found::Unreadable));
}

#[test]
fn flushing_follows_the_ring_around() {
    let (_directory, path) = place();
    let ring = written(&path, 8, 0);
    for number in 0..50 {
        ring.append(&payload(number)).unwrap();
        ring.acknowledge(number.saturating_sub(2));
        if number % 3 == 0 {
            ring.sync().unwrap();
            ring.sync().unwrap();
            assert_eq!(ring.flushed.load(Ordering::Relaxed), number + 1);
        }
    }
}

#[test]
fn taken_number_is_flushed_once_it_is_published() {
    let (_directory, path) = place();
    let ring = written(&path, 8, 3);
    let taken = ring.head.0.fetch_add(1, Ordering::Relaxed);
    ring.append(&payload(4)).unwrap();
    ring.sync().unwrap();
    assert_eq!(ring.flushed.load(Ordering::Relaxed), taken);
    slot::publish(ring.slot(taken), taken, &payload(taken), seal());
    ring.sync().unwrap();
    assert_eq!(ring.flushed.load(Ordering::Relaxed), 5);
}
