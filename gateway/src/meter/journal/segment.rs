//! The files of a lane: segments of slots, named after their first number, and the position up to which the sink has
//! acknowledged.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use common::usage::StreamId;

use super::slot::{SLOT_BYTES, Seal};

/// A segment starts with a header of this size, which says what the names of file and directories say.
const HEADER_BYTES: u64 = SLOT_BYTES as u64;

const MAGIC: &[u8; 8] = b"TGSEG\0\0\x01";
const EXTENSION: &str = "seg";
const ACKED_FILE: &str = "acked";

/// One segment file.
pub(super) struct Segment {
    pub(super) file: File,
    pub(super) first: u64,
}

impl Segment {
    /// A new segment whose first slot has number `first`. What an attempt before may have left there is overwritten.
    pub(super) fn create(lane: &Path, first: u64, stream: &StreamId, seal: &Seal) -> io::Result<Self> {
        let file = File::options().write(true).create(true).truncate(true).open(path(lane, first))?;
        file.write_all_at(&header(first, stream, seal), 0)?;
        Ok(Self { file, first })
    }

    /// Opens a segment for reading; also tells whether its header is intact. A damaged header costs nothing: each slot
    /// proves by itself where it belongs.
    pub(super) fn open(lane: &Path, first: u64, stream: &StreamId, seal: &Seal) -> io::Result<(Self, bool)> {
        let segment = Self { file: File::open(path(lane, first))?, first };
        let mut found = [0; SLOT_BYTES];
        let intact = segment.file.read_exact_at(&mut found, 0).is_ok() && found == header(first, stream, seal);
        Ok((segment, intact))
    }

    /// Writes the slot with number `seq` by one system call.
    pub(super) fn write(&self, seq: u64, slot: &[u8; SLOT_BYTES]) -> io::Result<()> {
        self.file.write_all_at(slot, self.offset(seq))
    }

    /// Reads slots from number `seq` on into `buffer` and returns how many bytes there were.
    pub(super) fn read(&self, seq: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let (mut filled, start) = (0, self.offset(seq));
        while filled < buffer.len() {
            match self.file.read_at(&mut buffer[filled..], start + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn offset(&self, seq: u64) -> u64 {
        HEADER_BYTES + seq.saturating_sub(self.first) * SLOT_BYTES as u64
    }
}

/// Bytes of a segment with this many slots.
pub(super) const fn bytes(slots: u64) -> u64 {
    HEADER_BYTES + slots * SLOT_BYTES as u64
}

/// First numbers of the segments in a lane's directory, in order.
pub(super) fn list(lane: &Path) -> io::Result<Vec<u64>> {
    let mut firsts = Vec::new();
    for entry in fs::read_dir(lane)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        if let Some(first) = number.filter(|_| path.extension().is_some_and(|extension| extension == EXTENSION)) {
            firsts.push(first);
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Number after the last slot of a segment, counting one that was cut short.
pub(super) fn end(lane: &Path, first: u64) -> io::Result<u64> {
    let bytes = fs::metadata(path(lane, first))?.len();
    Ok(first.saturating_add(bytes.saturating_sub(HEADER_BYTES).div_ceil(SLOT_BYTES as u64)))
}

/// Removes a segment; one that is gone already is fine.
pub(super) fn remove(lane: &Path, first: u64) -> io::Result<()> {
    match fs::remove_file(path(lane, first)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn path(lane: &Path, first: u64) -> PathBuf {
    lane.join(format!("{first:020}.{EXTENSION}"))
}

fn header(first: u64, stream: &StreamId, seal: &Seal) -> [u8; SLOT_BYTES] {
    let mut bytes = [0; SLOT_BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&first.to_le_bytes());
    bytes[16..32].copy_from_slice(&stream.boot().to_le_bytes());
    bytes[32..34].copy_from_slice(&stream.lane().to_le_bytes());
    let checksum = seal.of(&bytes[..SLOT_BYTES - 4]);
    bytes[SLOT_BYTES - 4..].copy_from_slice(&checksum);
    bytes
}

/// The position up to which the sink has acknowledged a lane. It only saves work: what it forgets is sent again, and
/// booked once.
pub(super) struct AckedFile {
    file: File,
    seal: Seal,
}

impl AckedFile {
    pub(super) fn open(lane: &Path, seal: &Seal) -> io::Result<Self> {
        let path = lane.join(ACKED_FILE);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        Ok(Self { file, seal: seal.clone() })
    }

    /// The position; 0 if none was written, or if it cannot be read.
    pub(super) fn load(&self) -> u64 {
        let mut bytes = [0; 12];
        if self.file.read_exact_at(&mut bytes, 0).is_err() {
            return 0;
        }
        let (position, checksum) = bytes.split_at(8);
        let intact = self.seal.of(position) == checksum;
        position.try_into().map(u64::from_le_bytes).ok().filter(|_| intact).unwrap_or(0)
    }

    pub(super) fn store(&self, position: u64) -> io::Result<()> {
        let position = position.to_le_bytes();
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&position);
        bytes[8..].copy_from_slice(&self.seal.of(&position));
        self.file.write_all_at(&bytes, 0)
    }
}

/// Removes what this module keeps in a lane's directory, and the directory, unless something else lies there.
pub(super) fn remove_lane(lane: &Path) -> io::Result<()> {
    for first in list(lane)? {
        remove(lane, first)?;
    }
    match fs::remove_file(lane.join(ACKED_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::remove_dir(lane)
}
