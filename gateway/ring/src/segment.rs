//! Segments: where entries go that have to leave their ring, written whole and forced to disk
//! before they do.
//!
//! A header, then slots as they stood in the ring. All of them prove by checksum which stream and
//! number they belong to. Reading one neither panics nor invents, whatever became of the file: what
//! it does not hold any more is unreadable.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::slot::{Found, PAYLOAD_WORDS, Payload, SLOT_BYTES, Seal, SlotBytes, decode, encode};

const MAGIC: u64 = u64::from_le_bytes(*b"TGSPOOL\x01");

/// The header is a slot whose number no entry ever has.
const HEADER_NUMBER: u64 = u64::MAX;

/// No stream gets this far: the marks in a ring's header have as many bits.
const NUMBERS_END: u64 = 1 << 48;

/// Slots looked at in one go.
const SCAN_SLOTS: usize = 1_024;

/// A segment on disk.
pub struct Segment {
    path: PathBuf,
    seal: Seal,
    first: u64,
    end: u64,
    /// Open while it is being read.
    file: Option<File>,
}

impl Segment {
    /// Bytes of a segment with this many entries.
    pub const fn bytes_of(entries: usize) -> u64 {
        (1 + entries as u64) * SLOT_BYTES as u64
    }

    /// Writes the entries from number `first` on, by way of the file `unfinished` in the same
    /// directory, and forces them to disk: all or nothing.
    pub fn write(path: &Path, unfinished: &Path, first: u64, entries: &[Payload], seal: Seal) -> io::Result<Self> {
        let directory = path.parent().unwrap_or(Path::new("."));
        let written = write_file(unfinished, &content(first, entries, seal))
            .and_then(|()| fs::rename(unfinished, path))
            .and_then(|()| File::open(directory)?.sync_all());
        if let Err(error) = written {
            // Neither may stay: the room is needed, and the entries are still in the ring.
            let _ = fs::remove_file(unfinished);
            let _ = fs::remove_file(path);
            return Err(error);
        }
        Ok(Self { path: path.to_owned(), seal, first, end: first.saturating_add(entries.len() as u64), file: None })
    }

    /// The segment of entries from number `first` on that an earlier life left; nothing if neither
    /// its header nor any of its slots is of this stream and number.
    pub fn open(path: &Path, first: u64, seal: Seal) -> io::Result<Option<Self>> {
        if first >= NUMBERS_END {
            return Ok(None);
        }
        let file = File::open(path)?;
        let slots = (file.metadata()?.len() / SLOT_BYTES as u64).saturating_sub(1);
        let mut segment = Self { path: path.to_owned(), seal, first, end: first, file: Some(file) };
        segment.end = match segment.stated_count()? {
            Some(count) => first.saturating_add(count),
            None => segment.proven_end(slots)?,
        };
        segment.file = None;
        Ok((segment.end > first).then_some(segment))
    }

    /// Number of the first entry.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// Number after the last entry.
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// The entries from number `from` on, at most `most`; nothing if `from` lies outside.
    pub fn read(&mut self, from: u64, most: usize) -> io::Result<Vec<Found>> {
        let Some(before) = from.checked_sub(self.first) else { return Ok(Vec::new()) };
        let count = usize::try_from(self.end.saturating_sub(from)).unwrap_or(usize::MAX).min(most);
        if self.file.is_none() {
            match File::open(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![Found::Unreadable; count]),
                outcome => self.file = Some(outcome?),
            }
        }
        let mut bytes = vec![0; count * SLOT_BYTES];
        let filled = self.fill(before.saturating_add(1), &mut bytes)?;
        let mut found: Vec<_> = (from..)
            .zip(bytes[..filled].as_chunks::<SLOT_BYTES>().0)
            .map(|(number, slot)| decode(slot, number, self.seal).map_or(Found::Unreadable, Found::Entry))
            .collect();
        found.resize(count, Found::Unreadable);
        Ok(found)
    }

    /// Removes the file, if it is still there.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Number of entries in an intact header.
    fn stated_count(&self) -> io::Result<Option<u64>> {
        let mut header: SlotBytes = [0; SLOT_BYTES];
        if self.fill(0, &mut header)? < SLOT_BYTES {
            return Ok(None);
        }
        let stated = decode(&header, HEADER_NUMBER, self.seal);
        let ours = |words: &Payload| words[0] == MAGIC && words[1] == self.first && words[2] < NUMBERS_END;
        Ok(stated.filter(ours).map(|words| words[2]))
    }

    /// Number after the last slot of a file without a header, if at least one slot proves to be in
    /// its place.
    fn proven_end(&self, slots: u64) -> io::Result<u64> {
        let mut bytes = vec![0; SCAN_SLOTS * SLOT_BYTES];
        let mut index = 0;
        while index < slots {
            let filled = self.fill(1 + index, &mut bytes)?;
            let (found, _) = bytes[..filled].as_chunks::<SLOT_BYTES>();
            let mut numbered = (self.first.saturating_add(index)..).zip(found);
            if numbered.any(|(number, slot)| decode(slot, number, self.seal).is_some()) {
                return Ok(self.first.saturating_add(slots));
            }
            if found.is_empty() {
                break;
            }
            index += found.len() as u64;
        }
        Ok(self.first)
    }

    /// Fills `buffer` from the slot with this index on, the header being the first; returns how
    /// many bytes there were.
    fn fill(&self, index: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(file) = &self.file else { return Ok(0) };
        let (mut filled, start) = (0, index.saturating_mul(SLOT_BYTES as u64));
        while filled < buffer.len() {
            match file.read_at(&mut buffer[filled..], start.saturating_add(filled as u64)) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

fn content(first: u64, entries: &[Payload], seal: Seal) -> Vec<u8> {
    let mut header = [0; PAYLOAD_WORDS];
    header[..3].copy_from_slice(&[MAGIC, first, entries.len() as u64]);
    let mut bytes = Vec::with_capacity((1 + entries.len()) * SLOT_BYTES);
    bytes.extend_from_slice(&encode(HEADER_NUMBER, &header, seal));
    for (number, entry) in (first..).zip(entries) {
        bytes.extend_from_slice(&encode(number, entry, seal));
    }
    bytes
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
