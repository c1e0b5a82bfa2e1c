//! Recovery of a ring: never a panic, never an entry that was not appended, and without damage all
//! that were.

#![no_main]

use std::sync::atomic::AtomicU64;

use fuzz::{Damage, inflict, payload};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use ring::{Found, Ring, SLOTS_MAX, Seal, recover};

#[derive(Debug, Arbitrary)]
enum Input {
    /// The file of a process that has ended, and the damage since.
    Left(Life),
    /// Words of any origin.
    Anything(Vec<u64>),
}

#[derive(Debug, Arbitrary)]
struct Life {
    slots_log2: u8,
    appended: u8,
    waiting: u8,
    delivered: u8,
    damages: Vec<Damage>,
}

fuzz_target!(|input: Input| match input {
    Input::Left(life) => left(&life),
    Input::Anything(words) => {
        if let Ok(recovered) = recover(&words, seal()) {
            assert!(recovered.slots.len() as u64 <= SLOTS_MAX);
        }
    }
});

fn left(life: &Life) {
    let slots = 1_usize << (life.slots_log2 % 6);
    let appended = u64::from(life.appended);
    let waiting = u64::from(life.waiting).min(slots as u64).min(appended);
    let words = image(slots, appended, appended - waiting, u64::from(life.delivered));
    let mut bytes: Vec<_> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    inflict(&life.damages, &mut bytes);
    let words: Vec<_> = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect();
    let Ok(recovered) = recover(&words, seal()) else {
        assert!(!life.damages.is_empty(), "an intact ring is one");
        return;
    };
    assert!(recovered.slots.len() as u64 <= SLOTS_MAX);
    for (number, found) in (recovered.first..).zip(&recovered.slots) {
        if let Found::Entry(entry) = found {
            assert!(number < appended && *entry == payload(number), "entry {number} is invented");
        }
    }
    if life.damages.is_empty() {
        let range = (recovered.first, recovered.end(), recovered.delivered);
        assert_eq!(range, (appended - waiting, appended, Some(u64::from(life.delivered))));
        assert!(!recovered.header_damaged);
        assert!(recovered.slots.iter().all(|found| matches!(found, Found::Entry(_))));
    }
}

/// The memory of a ring that has been appended to, freed and delivered up to these numbers.
fn image(slots: usize, appended: u64, freed: u64, delivered: u64) -> Vec<u64> {
    let memory: Vec<_> = (0..Ring::<&[AtomicU64]>::words_of(slots)).map(|_| AtomicU64::new(0)).collect();
    let ring = Ring::new(memory.as_slice(), seal()).expect("there is room");
    for number in 0..appended {
        ring.acknowledge((number + 1).saturating_sub(ring.capacity()));
        ring.append(&payload(number)).expect("there is room");
    }
    ring.mark_delivered(delivered);
    ring.acknowledge(freed);
    memory.into_iter().map(AtomicU64::into_inner).collect()
}

fn seal() -> Seal {
    Seal::of("edge-1/01jd0000000000000000000000/0")
}
