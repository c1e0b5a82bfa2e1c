//! Every interleaving of few threads on a tiny ring, by loom.

use loom::{
    sync::{Arc, atomic::AtomicU64},
    thread,
};

use crate::{
    Found, Ring, Seal,
    atomic::Ordering,
    recover,
    slot::{Payload, encode},
};

type ModelRing = Ring<Vec<AtomicU64>>;

fn ring(slots: usize) -> Arc<ModelRing> {
    let memory = (0..ModelRing::words_of(slots)).map(|_| AtomicU64::new(0)).collect();
    Arc::new(Ring::new(memory, Seal::of("model")).unwrap())
}

/// Reads what is published from `next` on and frees it.
fn drain(ring: &ModelRing, next: &mut u64, seen: &mut Vec<u64>) {
    let count = ring.read(*next, 4, |found| match found {
        Found::Entry(payload) => seen.push(payload[0]),
        other => panic!("{other:?}"),
    });
    *next += count as u64;
    ring.acknowledge(*next);
}

fn payload(value: u64) -> Payload {
    [value; crate::PAYLOAD_WORDS]
}

/// Two producers that each append twice as long as there is room, and a reader that frees in
/// between.
#[test]
fn accepted_entries_are_read_once_whole_and_in_the_order_of_each_producer() {
    loom::model(|| {
        let ring = ring(2);
        let producers = [10, 20].map(|base| {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                (0..2)
                    .filter(|turn| ring.append(&payload(base + turn)).is_ok())
                    .map(|turn| base + turn)
                    .collect::<Vec<_>>()
            })
        });
        let (mut next, mut seen) = (0, Vec::new());
        drain(&ring, &mut next, &mut seen);
        drain(&ring, &mut next, &mut seen);
        let accepted = producers.map(|producer| producer.join().unwrap());
        drain(&ring, &mut next, &mut seen);
        for accepted in &accepted {
            let of_producer: Vec<_> = seen.iter().filter(|value| accepted.contains(value)).copied().collect();
            assert_eq!(of_producer, *accepted);
        }
        assert_eq!(seen.len(), accepted.iter().map(Vec::len).sum::<usize>());
        assert_eq!(ring.pending(), next..next);
    });
}

/// Numbers are handed out without gaps, and never more than there are slots.
#[test]
fn full_ring_refuses_and_overwrites_nothing() {
    loom::model(|| {
        let ring = ring(2);
        let producers = [1, 2].map(|value| {
            let ring = Arc::clone(&ring);
            thread::spawn(move || [ring.append(&payload(value)).ok(), ring.append(&payload(value)).ok()])
        });
        let mut numbers: Vec<_> =
            producers.into_iter().flat_map(|producer| producer.join().unwrap()).flatten().collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1]);
    });
}

/// A process that dies at any moment leaves what it had been told is appended, and nothing else.
#[test]
fn image_taken_at_any_moment_holds_every_confirmed_entry() {
    loom::model(|| {
        let ring = ring(2);
        let confirmed = Arc::new(AtomicU64::new(0));
        let producer = {
            let (ring, confirmed) = (Arc::clone(&ring), Arc::clone(&confirmed));
            thread::spawn(move || {
                for value in 0..2 {
                    ring.append(&payload(value + 7)).unwrap();
                    confirmed.store(value + 1, Ordering::Release);
                }
            })
        };
        let least = confirmed.load(Ordering::Acquire);
        let image: Vec<_> = ring.memory.iter().map(|word| word.load(Ordering::Acquire)).collect();
        let recovered = recover(&image, Seal::of("model")).unwrap();
        assert!(recovered.end() >= least);
        for (number, found) in (0..).zip(recovered.slots) {
            match found {
                Found::Entry(found) => assert_eq!(found, payload(number + 7)),
                other => assert!(number >= least, "{other:?}"),
            }
        }
        producer.join().unwrap();
    });
}

#[test]
fn short_slots_are_slots() {
    let seal = Seal::of("model");
    assert_eq!(crate::decode(&encode(3, &payload(1), seal), 3, seal), Some(payload(1)));
}
