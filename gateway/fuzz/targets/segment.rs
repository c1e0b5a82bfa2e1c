//! Recovery of a spool segment: never a panic, never an entry that was not written, and without
//! damage all that were.

#![no_main]

use std::{fs, path::Path};

use fuzz::{Damage, inflict, payload};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use ring::{Found, Seal, Segment};

/// Files in memory: a segment is forced to disk when it is written.
const IN_MEMORY: &str = "/dev/shm";

/// Reads of a segment of any origin, which may state any number of entries.
const READS: usize = 4;

#[derive(Debug, Arbitrary)]
enum Input {
    /// The file of a process that has ended, and the damage since.
    Left(Life),
    /// Bytes of any origin.
    Anything { first: u64, bytes: Vec<u8> },
}

#[derive(Debug, Arbitrary)]
struct Life {
    first: u32,
    entries: u8,
    /// Entries to read at once.
    step: u8,
    damages: Vec<Damage>,
}

fuzz_target!(|input: Input| {
    let directory = tempfile::tempdir_in(IN_MEMORY).expect("there is memory");
    let path = directory.path().join("lane-0.spool");
    match input {
        Input::Left(life) => left(&path, &life),
        Input::Anything { first, bytes } => {
            fs::write(&path, bytes).expect("there is memory");
            let Some(mut segment) = Segment::open(&path, first, seal()).expect("it can be read") else { return };
            let mut from = first;
            for _ in 0..READS {
                from = from.saturating_add(segment.read(from, 100).expect("it can be read").len() as u64);
            }
        }
    }
});

fn left(path: &Path, life: &Life) {
    let first = u64::from(life.first);
    let end = first + u64::from(life.entries);
    let entries: Vec<_> = (first..end).map(payload).collect();
    Segment::write(path, &path.with_extension("unfinished"), first, &entries, seal()).expect("there is memory");
    let mut bytes = fs::read(path).expect("it is there");
    inflict(&life.damages, &mut bytes);
    fs::write(path, bytes).expect("there is memory");
    let Some(mut segment) = Segment::open(path, first, seal()).expect("it can be read") else {
        assert!(!life.damages.is_empty() || entries.is_empty(), "an intact segment is one");
        return;
    };
    let (mut from, mut read) = (first, 0);
    while from < segment.end() {
        let found = segment.read(from, usize::from(life.step) + 1).expect("it can be read");
        assert!(!found.is_empty(), "it ends before its end");
        for (number, found) in (from..).zip(&found) {
            if let Found::Entry(entry) = found {
                assert!(number < end && *entry == payload(number), "entry {number} is invented");
                read += 1;
            }
        }
        from += found.len() as u64;
    }
    if life.damages.is_empty() {
        assert_eq!((segment.end(), read), (end, entries.len()));
    }
}

fn seal() -> Seal {
    Seal::of("edge-1/01jd0000000000000000000000/0")
}
