//! A lock-free ring of fixed 128-byte slots in a memory-mapped file, and segments for what has to leave it: the crash-proof
//! part of the usage journal.
//!
//! What holds:
//! - A slot that [`Ring::append`] has returned a number for is in the page cache: it survives `kill -9` at once, and a
//!   power cut once [`Ring::sync`] has returned after it.
//! - Slot number = sequence number; numbers have no gaps; a slot is reused only after it was acknowledged.
//! - Recovery never panics and never invents a slot, whatever the file holds: each slot's checksum covers its number and
//!   the stream it belongs to, so that a slot of an earlier lap, a torn one or a foreign one is told apart.
//!
//! Appending neither allocates nor enters the kernel. Several threads may append to one ring; a ring per thread keeps
//! the cache lines apart. This crate holds the only unsafe code of the workspace, all of it in `map`.
//!
//! What it promises is tried by model checker (`make loom`), by property tests, by miri (`make miri`: all but what is done
//! with files, which miri cannot map), and by fuzzing what recovery makes of damaged files (`make fuzz`).

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
pub use file::{LeftRing, RecoverError, allocate, bytes_of};
#[cfg(not(loom))]
pub use map::MappedWords;
pub use recover::{NotARing, Recovered, recover};
pub use ring::{Full, Ring};
#[cfg(not(loom))]
pub use segment::Segment;
pub use slot::{Found, PAYLOAD_WORDS, Payload, SLOT_BYTES, SLOT_WORDS, Seal, SlotBytes, decode, encode};

/// Most slots of one ring.
pub const SLOTS_MAX: u64 = 1 << 20;
