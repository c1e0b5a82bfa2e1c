//! One segment file: a header, then slots as they stood in the ring. Both prove by checksum which stream and number they
//! belong to; the name says the same, for when the header does not any more.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use ring::{Found, PAYLOAD_WORDS, Payload, SLOT_BYTES, SlotBytes};

use super::{
    super::budget::{Budget, Share},
    Place,
};

const EXTENSION: &str = ".spool";
const UNFINISHED: &str = ".spool-unfinished";

const MAGIC: u64 = u64::from_le_bytes(*b"TGSPOOL\x01");

/// The header is a slot whose number no entry ever has.
const HEADER_NUMBER: u64 = u64::MAX;

/// Slots looked at in one go.
const SCAN_SLOTS: usize = 1_024;

/// A segment on disk.
pub(super) struct Segment {
    place: Place,
    first: u64,
    end: u64,
    /// Open while it is being read.
    file: Option<File>,
    _share: Share,
}

impl Segment {
    /// Writes a segment and forces it to disk, all or nothing.
    pub(super) fn write(place: &Place, first: u64, entries: &[Payload], share: Share) -> io::Result<Self> {
        let unfinished = place.directory.join(format!("lane-{}{UNFINISHED}", place.lane));
        let written = write_file(&unfinished, &content(place, first, entries))
            .and_then(|()| fs::rename(&unfinished, path(place, first)))
            .and_then(|()| File::open(&place.directory)?.sync_all());
        if let Err(error) = written {
            // Neither may stay: the room is needed, and the entries are still in the ring.
            let _ = fs::remove_file(&unfinished);
            let _ = fs::remove_file(path(place, first));
            return Err(error);
        }
        Ok(Self { place: place.clone(), first, end: first + entries.len() as u64, file: None, _share: share })
    }

    /// A segment that an earlier life left; nothing if neither its header nor any of its slots is of this lane.
    pub(super) fn open(place: &Place, first: u64, budget: &Arc<Budget>) -> io::Result<Option<Self>> {
        let file = File::open(path(place, first))?;
        let bytes = file.metadata()?.len();
        let mut segment =
            Self { place: place.clone(), first, end: first, file: Some(file), _share: budget.found(bytes) };
        let slots = (bytes / SLOT_BYTES as u64).saturating_sub(1);
        segment.end = match segment.stated_count()? {
            Some(count) => first.saturating_add(count),
            None => segment.proven_end(slots)?,
        };
        segment.file = None;
        Ok((segment.end > first).then_some(segment))
    }

    pub(super) const fn first(&self) -> u64 {
        self.first
    }

    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// The entries from number `from` on, which lies within, at most `most`. What the file does not hold any more is
    /// unreadable.
    pub(super) fn read(&mut self, from: u64, most: usize) -> io::Result<Vec<Found>> {
        let count = usize::try_from(self.end - from).unwrap_or(usize::MAX).min(most);
        if self.file.is_none() {
            match File::open(path(&self.place, self.first)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(vec![Found::Unreadable; count]),
                outcome => self.file = Some(outcome?),
            }
        }
        let mut bytes = vec![0; count * SLOT_BYTES];
        let filled = self.fill(1 + (from - self.first), &mut bytes)?;
        let mut found: Vec<_> = (from..)
            .zip(bytes[..filled].as_chunks::<SLOT_BYTES>().0)
            .map(|(number, slot)| ring::decode(slot, number, self.place.seal).map_or(Found::Unreadable, Found::Entry))
            .collect();
        found.resize(count, Found::Unreadable);
        Ok(found)
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_file(path(&self.place, self.first)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// How many entries an intact header states.
    fn stated_count(&self) -> io::Result<Option<u64>> {
        let mut header: SlotBytes = [0; SLOT_BYTES];
        if self.fill(0, &mut header)? < SLOT_BYTES {
            return Ok(None);
        }
        let stated = ring::decode(&header, HEADER_NUMBER, self.place.seal);
        Ok(stated.filter(|words| words[0] == MAGIC && words[1] == self.first).map(|words| words[2]))
    }

    /// Without a header: the number after the last slot, if at least one proves to be where it belongs.
    fn proven_end(&self, slots: u64) -> io::Result<u64> {
        let mut bytes = vec![0; SCAN_SLOTS * SLOT_BYTES];
        let mut index = 0;
        while index < slots {
            let filled = self.fill(1 + index, &mut bytes)?;
            let (found, _) = bytes[..filled].as_chunks::<SLOT_BYTES>();
            let mut numbered = (self.first.saturating_add(index)..).zip(found);
            if numbered.any(|(number, slot)| ring::decode(slot, number, self.place.seal).is_some()) {
                return Ok(self.first.saturating_add(slots));
            }
            if found.is_empty() {
                break;
            }
            index += found.len() as u64;
        }
        Ok(self.first)
    }

    /// Fills `buffer` from the slot with this index on, the header being the first; returns how many bytes there were.
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

/// Bytes of a segment with this many entries.
pub(super) const fn bytes_of(entries: usize) -> u64 {
    (1 + entries as u64) * SLOT_BYTES as u64
}

/// Lane and first number, if the name is that of a segment.
pub(super) fn parse_name(name: &str) -> Option<(u16, u64)> {
    let (lane, first) = name.strip_prefix("lane-")?.strip_suffix(EXTENSION)?.split_once('.')?;
    Some((lane.parse().ok()?, first.parse().ok()?))
}

/// Whether the name is that of a segment whose writing was cut short.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.strip_prefix("lane-").and_then(|name| name.strip_suffix(UNFINISHED)).is_some()
}

fn path(place: &Place, first: u64) -> PathBuf {
    place.directory.join(format!("lane-{}.{first:020}{EXTENSION}", place.lane))
}

fn content(place: &Place, first: u64, entries: &[Payload]) -> Vec<u8> {
    let mut header = [0; PAYLOAD_WORDS];
    header[..3].copy_from_slice(&[MAGIC, first, entries.len() as u64]);
    let mut bytes = Vec::with_capacity((1 + entries.len()) * SLOT_BYTES);
    bytes.extend_from_slice(&ring::encode(HEADER_NUMBER, &header, place.seal));
    for (number, entry) in (first..).zip(entries) {
        bytes.extend_from_slice(&ring::encode(number, entry, place.seal));
    }
    bytes
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
