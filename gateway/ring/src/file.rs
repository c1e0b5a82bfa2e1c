//! Rings in files: made by the process that writes them, read by a later one.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
};

use rustix::fs::{FallocateFlags, fallocate};

use crate::{
    SLOTS_MAX,
    atomic::Ordering,
    header::{self, DELIVERED_AT, FLUSHED_AT, FREED_AT, HEADER_WORDS, TAKEN_AT},
    map::MappedWords,
    recover::{NotARing, Recovered, recover},
    ring::Ring,
    slot::{SLOT_WORDS, Seal, was_published},
};

/// Bytes of the file of a ring of this many slots.
pub const fn bytes_of(slots: u64) -> u64 {
    (HEADER_WORDS as u64 + slots * SLOT_WORDS as u64) * 8
}

impl Ring<MappedWords> {
    /// Makes an empty ring in a new file. Its blocks are allocated here, so that a full disk is an
    /// error now and not a fault later. `slots` must be a power of two.
    pub fn create(path: &Path, slots: u64, seal: Seal) -> io::Result<Self> {
        if !slots.is_power_of_two() || slots > SLOTS_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a ring has a power of two of slots, up to 2^20"));
        }
        let file = File::options().read(true).write(true).create_new(true).open(path)?;
        allocate(&file, bytes_of(slots))?;
        file.sync_all()?;
        let words = usize::try_from(bytes_of(slots) / 8).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let memory = MappedWords::new(&file, words)?;
        memory.prepare(0, words);
        Self::new(memory, seal).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    /// Forces every entry that was published before this call to disk, and prepares the slots that
    /// will be written next.
    pub fn sync(&self) -> io::Result<()> {
        let head = self.head.0.load(Ordering::Acquire);
        let from = self.flushed.load(Ordering::Acquire).max(head.saturating_sub(self.capacity));
        if from == head {
            return Ok(());
        }
        // A number that was taken counts, whatever becomes of its slot.
        self.memory[TAKEN_AT].store(header::mark(head, self.seal), Ordering::Release);
        // A number that is only taken is flushed again once it is published.
        let end = (from..head).find(|sequence| !was_published(self.slot(*sequence), *sequence)).unwrap_or(head);
        self.memory.flush(0, HEADER_WORDS)?;
        for (start, words) in self.words_between(from, end) {
            self.memory.flush(start, words)?;
        }
        self.flushed.store(end, Ordering::Release);
        // Reaches the disk with the next flush.
        self.memory[FLUSHED_AT].store(header::mark(end, self.seal), Ordering::Release);
        // As much again is likely to come until the next time.
        let soon = end.saturating_add(2 * (end - from)).min(end + self.capacity);
        for (start, words) in self.words_between(head, soon) {
            self.memory.prepare(start, words);
        }
        Ok(())
    }

    /// First word and number of words of the slots of these numbers, at most a whole ring, in two
    /// parts if the range goes past the ring's end.
    #[expect(clippy::cast_possible_truncation, reason = "within the mapping")]
    fn words_between(&self, from: u64, end: u64) -> impl Iterator<Item = (usize, usize)> {
        let (index, count) = (from & (self.capacity - 1), end.saturating_sub(from));
        let before_wrap = count.min(self.capacity - index);
        let parts = [(index, before_wrap), (0, count - before_wrap)];
        let words =
            |(index, count): (u64, u64)| (HEADER_WORDS + index as usize * SLOT_WORDS, count as usize * SLOT_WORDS);
        parts.into_iter().map(words).filter(|(_, words)| *words > 0)
    }
}

/// Sets the length of a file and allocates all its blocks.
pub fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    loop {
        match fallocate(file, FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::OPNOTSUPP) => return fill_with_zeros(file, bytes),
            outcome => return Ok(outcome?),
        }
    }
}

/// Allocates by writing zeros, for file systems that cannot allocate ahead.
fn fill_with_zeros(mut file: &File, bytes: u64) -> io::Result<()> {
    io::copy(&mut io::repeat(0).take(bytes), &mut file)?;
    file.flush()
}

/// Reason why the file of a dead process cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is not a ring of this stream.
    #[error(transparent)]
    NotARing(#[from] NotARing),
}

/// The file of a ring whose process is gone. The file is not mapped into memory, so that reading a
/// damaged one is an error at worst.
pub struct DeadRing {
    file: File,
    seal: Seal,
}

impl DeadRing {
    /// Opens the file and reads what was not acknowledged.
    pub fn open(path: &Path, seal: Seal) -> Result<(Self, Recovered), RecoverError> {
        let mut file = File::options().read(true).write(true).open(path)?;
        let mut bytes = Vec::new();
        (&mut file).take(bytes_of(SLOTS_MAX)).read_to_end(&mut bytes)?;
        let words: Vec<_> = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect();
        drop(bytes);
        let recovered = recover(&words, seal)?;
        Ok((Self { file, seal }, recovered))
    }

    /// Stores that every entry before `end` is safe elsewhere.
    pub fn acknowledge(&self, end: u64) -> io::Result<()> {
        self.write_mark(FREED_AT, end)
    }

    /// Stores that every entry before `end` was delivered, as [`Ring::mark_delivered`] does.
    pub fn mark_delivered(&self, end: u64) -> io::Result<()> {
        self.write_mark(DELIVERED_AT, end)
    }

    fn write_mark(&self, at: usize, position: u64) -> io::Result<()> {
        self.file.write_all_at(&header::mark(position, self.seal).to_ne_bytes(), at as u64 * 8)
    }
}
