//! A lock-free ring of fixed 128-byte slots in a memory-mapped file, and segments for what has to
//! leave it: the crash-proof part of the usage journal.
//!
//! Invariants:
//! - A slot whose number [`Ring::append`] has returned is in the page cache: it survives `kill -9`
//!   at once, and a power cut once a later [`Ring::sync`] has returned.
//! - Slot number = sequence number; numbers have no gaps; a slot is reused only after it was
//!   acknowledged.
//! - Recovery never panics and never invents a slot, whatever the file holds: each slot's checksum
//!   covers its number and its stream, so that a torn slot and one of an earlier lap or of another
//!   stream do not pass.
//!
//! Appending neither allocates nor enters the kernel. Several threads may append to one ring; a
//! ring per thread keeps the cache lines apart. This crate holds the only unsafe code of the
//! workspace, all of it in `map`.
//!
//! The invariants are tested by a model checker (`make loom`), by property tests, by miri (`make
//! miri`, without the file operations, which miri cannot map), and by fuzzing the recovery of
//! damaged files (`make fuzz`).

#[cfg(not(loom))]
mod file;
mod header;
#[cfg(not(loom))]
mod map;
mod recover;
mod ring;
#[cfg(not(loom))]
mod segment;
mod slot;

#[cfg(test)]
#[cfg(loom)]
mod loom_model;
#[cfg(test)]
#[cfg(not(loom))]
mod tests;

#[cfg(not(loom))]
pub(crate) use std::sync::atomic;

#[cfg(loom)]
pub(crate) use loom::sync::atomic;

#[cfg(not(loom))]
pub use file::{DeadRing, RecoverError, allocate, bytes_of};
#[cfg(not(loom))]
pub use map::MappedWords;
pub use recover::{NotARing, Recovered, recover};
pub use ring::{Full, Ring};
#[cfg(not(loom))]
pub use segment::Segment;
pub use slot::{Found, PAYLOAD_WORDS, Payload, SLOT_BYTES, SLOT_WORDS, Seal, SlotBytes, decode, encode};

/// Most slots of one ring.
pub const SLOTS_MAX: u64 = 1 << 20;
