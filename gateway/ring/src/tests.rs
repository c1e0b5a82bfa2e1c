//! Rings against a model, in ordinary memory; and what recovery makes of memory that was damaged.
//! The tests of files are in [`files`] and [`segments`]; the others run under miri, too.

mod files;
mod segments;

use std::{collections::VecDeque, sync::Arc, thread};

use proptest::prelude::*;

use crate::{
    atomic::{AtomicU64, Ordering},
    header::HEADER_WORDS,
    *,
};

type MemoryRing = Ring<Vec<AtomicU64>>;

fn seal() -> Seal {
    Seal::of("edge-1/01jd0000000000000000000000/0")
}

fn ring(slots: usize) -> MemoryRing {
    let memory = (0..MemoryRing::words_of(slots)).map(|_| AtomicU64::new(0)).collect();
    Ring::new(memory, seal()).unwrap()
}

/// Payload of entry `number` in every test.
fn payload(number: u64) -> Payload {
    std::array::from_fn(|index| number.wrapping_mul(0x1_0000_0001).wrapping_add(index as u64))
}

fn image(ring: &MemoryRing) -> Vec<u64> {
    ring.memory.iter().map(|word| word.load(Ordering::Acquire)).collect()
}

fn filled(slots: usize, appended: u64, acknowledged: u64) -> MemoryRing {
    let ring = ring(slots);
    for number in 0..appended {
        ring.acknowledge((number + 1).saturating_sub(ring.capacity()));
        ring.append(&payload(number)).unwrap();
    }
    ring.acknowledge(acknowledged);
    ring
}

/// Takes a number as a process does that dies before it writes.
fn take_number(ring: &MemoryRing) -> u64 {
    ring.head.0.fetch_add(1, Ordering::Relaxed)
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases: if cfg!(miri) { 3 } else { cases }, failure_persistence: None, ..ProptestConfig::default() }
}

#[derive(Debug, Clone)]
enum Step {
    Append,
    Read(usize),
    Acknowledge(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Append),
        1 => (0_usize..12).prop_map(Step::Read),
        1 => (0_u64..12).prop_map(Step::Acknowledge),
    ]
}

/// Something that happens to memory behind the ring's back; places are taken modulo its length.
#[derive(Debug, Clone)]
enum Damage {
    Flip { at: usize, bit: u32 },
    Zero { at: usize, words: usize },
    Copy { from: usize, to: usize, words: usize },
    Cut { at: usize },
    Extend { words: usize, value: u64 },
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = 0_usize..100_000;
    prop_oneof![
        4 => (at.clone(), 0_u32..64).prop_map(|(at, bit)| Damage::Flip { at, bit }),
        2 => (at.clone(), 1_usize..40).prop_map(|(at, words)| Damage::Zero { at, words }),
        2 => (at.clone(), at.clone(), 1_usize..40).prop_map(|(from, to, words)| Damage::Copy { from, to, words }),
        1 => at.prop_map(|at| Damage::Cut { at }),
        1 => (1_usize..40, any::<u64>()).prop_map(|(words, value)| Damage::Extend { words, value }),
    ]
}

fn inflict(damage: &Damage, memory: &mut Vec<u64>) {
    let length = memory.len();
    if length == 0 {
        return;
    }
    match damage {
        Damage::Flip { at, bit } => memory[at % length] ^= 1 << bit,
        Damage::Zero { at, words } => memory.iter_mut().skip(at % length).take(*words).for_each(|word| *word = 0),
        Damage::Copy { from, to, words } => {
            let copied: Vec<_> = memory.iter().skip(from % length).take(*words).copied().collect();
            for (word, value) in memory.iter_mut().skip(to % length).zip(copied) {
                *word = value;
            }
        }
        Damage::Cut { at } => memory.truncate(at % length),
        Damage::Extend { words, value } => memory.extend(std::iter::repeat_n(*value, *words)),
    }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn ring_behaves_like_a_bounded_queue(steps in prop::collection::vec(step(), 1..200)) {
        let ring = ring(8);
        let (mut model, mut next, mut first) = (VecDeque::new(), 0, 0);
        for step in steps {
            match step {
                Step::Append => {
                    let room = model.len() < 8;
                    prop_assert_eq!(ring.append(&payload(next)), if room { Ok(next) } else { Err(Full) });
                    if room {
                        model.push_back(payload(next));
                        next += 1;
                    }
                }
                Step::Read(limit) => {
                    let mut found = Vec::new();
                    let count = ring.read(first, limit, |entry| found.push(entry));
                    prop_assert_eq!(count, found.len());
                    let expected: Vec<_> = model.iter().take(limit).map(|entry| Found::Entry(*entry)).collect();
                    prop_assert_eq!(found, expected);
                }
                Step::Acknowledge(count) => {
                    ring.acknowledge(first + count);
                    let freed = count.min(model.len() as u64);
                    first += freed;
                    model.drain(..usize::try_from(freed).unwrap());
                }
            }
            prop_assert_eq!(ring.pending(), first..next);
        }
        let recovered = recover(&image(&ring), seal()).unwrap();
        prop_assert_eq!(recovered.first, first);
        prop_assert!(!recovered.header_damaged);
        prop_assert_eq!(recovered.slots, model.into_iter().map(Found::Entry).collect::<Vec<_>>());
    }

    #[test]
    fn damage_yields_no_panic_and_no_invented_entry(
        appended in 0_u64..100,
        waiting in 0_u64..17,
        damages in prop::collection::vec(damage(), 1..5),
    ) {
        let mut memory = image(&filled(16, appended, appended.saturating_sub(waiting)));
        for damage in &damages {
            inflict(damage, &mut memory);
        }
        if let Ok(recovered) = recover(&memory, seal()) {
            prop_assert!(recovered.slots.len() <= SLOTS_MAX.try_into().unwrap());
            for (number, found) in (recovered.first..).zip(&recovered.slots) {
                if let Found::Entry(found) = found {
                    prop_assert!(number < appended);
                    prop_assert_eq!(*found, payload(number));
                }
            }
        }
    }

    #[test]
    fn one_damaged_slot_costs_one_entry(appended in 1_u64..100, victim in 0_u64..16, word in 0..SLOT_WORDS, bit in 0..64) {
        let waiting = appended.min(16);
        let mut memory = image(&filled(16, appended, appended - waiting));
        let victim = appended - 1 - victim % waiting;
        memory[HEADER_WORDS + usize::try_from(victim % 16).unwrap() * SLOT_WORDS + word] ^= 1_u64 << bit;
        let recovered = recover(&memory, seal()).unwrap();
        prop_assert_eq!((recovered.first, recovered.end()), (appended - waiting, appended));
        for (number, found) in (recovered.first..).zip(recovered.slots) {
            // The stamp is not needed to read an entry that is whole.
            let lost = number == victim && word != 0;
            prop_assert_eq!(found, if lost { Found::Unreadable } else { Found::Entry(payload(number)) });
        }
    }

    #[test]
    fn any_memory_is_judged_without_a_panic(memory in prop::collection::vec(any::<u64>(), 0..200)) {
        let found = recover(&memory, seal()).map(|recovered| recovered.slots).unwrap_or_default();
        prop_assert!(found.iter().all(|found| !matches!(found, Found::Entry(_))));
    }

    #[test]
    fn slot_outside_of_a_ring_proves_number_and_stream(number in any::<u64>(), bit in 64..SLOT_BYTES * 8) {
        let mut bytes = encode(number, &payload(number), seal());
        prop_assert_eq!(decode(&bytes, number, seal()), Some(payload(number)));
        prop_assert_eq!(decode(&bytes, number.wrapping_add(1), seal()), None);
        prop_assert_eq!(decode(&bytes, number, Seal::of("edge-1/01jd0000000000000000000000/1")), None);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(decode(&bytes, number, seal()), None);
    }
}

#[test]
fn entries_of_many_threads_arrive_once_and_in_the_order_of_each() {
    let per_thread = if cfg!(miri) { 20 } else { 20_000 };
    let ring = Arc::new(ring(16));
    let writers: Vec<_> = (0..3_u64)
        .map(|writer| {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                for number in 0..per_thread {
                    while ring.append(&[writer << 32 | number; PAYLOAD_WORDS]).is_err() {
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    let (mut next, mut seen) = (0, [0; 3]);
    while next < 3 * per_thread {
        let count = ring.read(next, 5, |found| {
            let Found::Entry(entry) = found else { panic!("{found:?}") };
            assert!(entry.iter().all(|word| *word == entry[0]), "torn: {entry:?}");
            let writer = usize::try_from(entry[0] >> 32).unwrap();
            assert_eq!(entry[0] & 0xFFFF_FFFF, seen[writer], "lost, doubled or out of order");
            seen[writer] += 1;
        });
        next += count as u64;
        ring.acknowledge(next);
        thread::yield_now();
    }
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(ring.pending(), next..next);
}

#[test]
fn numbers_taken_by_a_process_that_died_are_void() {
    for lap in [0, 3] {
        let ring = filled(8, lap * 8, lap * 8);
        let first = ring.pending().start;
        ring.append(&payload(first)).unwrap();
        take_number(&ring);
        ring.append(&payload(first + 2)).unwrap();
        let torn = take_number(&ring);
        ring.slot(torn)[3].store(7, Ordering::Relaxed);
        ring.append(&payload(first + 4)).unwrap();
        take_number(&ring);
        let mut read = Vec::new();
        ring.read(first, 8, |found| read.push(found));
        assert_eq!(read, [Found::Entry(payload(first))], "a reader waits for what is not published");
        let recovered = recover(&image(&ring), seal()).unwrap();
        let entry = |number| Found::Entry(payload(number));
        assert_eq!(recovered.slots, [entry(first), Found::Void, entry(first + 2), Found::Void, entry(first + 4)]);
    }
}

#[test]
fn entry_that_was_written_and_not_stamped_is_whole() {
    let ring = filled(8, 20, 20);
    ring.append(&payload(20)).unwrap();
    ring.slot(20)[0].store(13, Ordering::Relaxed);
    assert_eq!(recover(&image(&ring), seal()).unwrap().slots, [Found::Entry(payload(20))]);
}

#[test]
fn damaged_position_repeats_entries_and_loses_none() {
    let mut memory = image(&filled(8, 21, 18));
    memory[header::FREED_AT] ^= 1 << 20;
    let recovered = recover(&memory, seal()).unwrap();
    assert!(recovered.header_damaged);
    assert_eq!((recovered.first, recovered.end()), (13, 21));
    assert!(recovered.slots.iter().all(|found| matches!(found, Found::Entry(_))));
}

#[test]
fn memory_that_is_no_ring_is_refused() {
    let memory = image(&filled(8, 5, 0));
    assert_eq!(recover(&memory, Seal::of("another")), Err(NotARing::Foreign));
    let garbage = vec![0x5555; HEADER_WORDS + 3 * SLOT_WORDS];
    assert_eq!(recover(&garbage, seal()), Err(NotARing::Shapeless));
    assert!(recover(&[], seal()).unwrap().slots.is_empty());
}

#[test]
fn ring_needs_room_for_a_slot() {
    let words = |count| (0..count).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
    assert!(Ring::new(words(HEADER_WORDS + SLOT_WORDS - 1), seal()).is_none());
    assert_eq!(Ring::new(words(HEADER_WORDS + 7 * SLOT_WORDS), seal()).unwrap().capacity(), 4);
}
