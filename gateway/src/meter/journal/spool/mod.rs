//! The spool: takes a lane's entries when its ring fills up, in segments on disk, in order.
//!
//! A segment is written whole and forced to disk before its entries leave the ring, and removed
//! once the sink has acknowledged its last entry. If the process dies in between, the same entries
//! are here and in the ring; the reader goes by their numbers and reads each once.

mod segment;

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ring::{Found, Payload, SLOT_BYTES, Seal};
use segment::Segment;

use super::budget::Budget;

/// The segments of one lane.
pub(super) struct Spool {
    place: Place,
    budget: Arc<Budget>,
    segments: VecDeque<Segment>,
    /// Segments of which nothing can be read.
    unreadable_files: u64,
}

/// The place of a lane's segments, and the seal that proves that they belong to the lane.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) directory: PathBuf,
    pub(super) lane: u16,
    pub(super) seal: Seal,
}

/// Reason why entries were not moved to the spool.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpoolError {
    #[error("the disk budget of the usage journal is spent")]
    Budget,
    #[error("cannot write a spool segment: {0}")]
    Io(#[from] io::Error),
}

impl Spool {
    /// The spool of a new lane.
    pub(super) const fn new(place: Place, budget: Arc<Budget>) -> Self {
        Self { place, budget, segments: VecDeque::new(), unreadable_files: 0 }
    }

    /// Opens the spool of a lane of an earlier life.
    pub(super) fn find(place: Place, budget: Arc<Budget>) -> io::Result<Self> {
        let mut spool = Self::new(place, budget);
        for first in list(&spool.place)? {
            if let Some(segment) = Segment::open(&spool.place, first, &spool.budget)? {
                spool.segments.push_back(segment);
            } else {
                spool.unreadable_files += 1;
                let Place { directory, lane, .. } = &spool.place;
                tracing::error!(event = "spool_segment_unreadable", directory = %directory.display(), lane, first);
            }
        }
        Ok(spool)
    }

    /// Number of segments of which nothing can be read.
    pub(super) const fn unreadable_files(&self) -> u64 {
        self.unreadable_files
    }

    /// Number of the first entry, if there is any.
    pub(super) fn first(&self) -> Option<u64> {
        self.segments.front().map(Segment::first)
    }

    /// Number after the last entry, if there is any.
    pub(super) fn end(&self) -> Option<u64> {
        self.segments.iter().map(Segment::end).max()
    }

    /// Number of entries for which there is disk.
    pub(super) fn room(&self) -> u64 {
        (self.budget.free() / SLOT_BYTES as u64).saturating_sub(1)
    }

    /// Writes entries from number `first` on to disk, after those that are there.
    pub(super) fn write(&mut self, first: u64, entries: &[Payload]) -> Result<(), SpoolError> {
        let share = self.budget.take(ring::Segment::bytes_of(entries.len())).ok_or(SpoolError::Budget)?;
        self.segments.push_back(Segment::write(&self.place, first, entries, share)?);
        Ok(())
    }

    /// Reads at most `most` entries from number `from` on. Empty if all entries are before `from`.
    /// Numbers that are missing before or within a segment are unreadable.
    pub(super) fn read(&mut self, from: u64, most: usize) -> io::Result<Vec<Found>> {
        let Some(segment) = self.segments.iter_mut().find(|segment| segment.end() > from) else {
            return Ok(Vec::new());
        };
        if segment.first() > from {
            let missing = usize::try_from(segment.first() - from).unwrap_or(usize::MAX);
            return Ok(vec![Found::Unreadable; missing.min(most)]);
        }
        segment.read(from, most)
    }

    /// Removes the segments that end before `position`.
    pub(super) fn release(&mut self, position: u64) -> io::Result<()> {
        while let Some(front) = self.segments.front().filter(|front| front.end() <= position) {
            front.remove()?;
            self.segments.pop_front();
        }
        Ok(())
    }
}

/// First numbers of the segments of a lane, in order.
fn list(place: &Place) -> io::Result<Vec<u64>> {
    let mut firsts = Vec::new();
    for entry in fs::read_dir(&place.directory)? {
        let name = entry?.file_name();
        let named = name.to_str().and_then(segment::parse_name);
        firsts.extend(named.filter(|(lane, _)| *lane == place.lane).map(|(_, first)| first));
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Lane of a spool's file, by its name.
pub(super) fn lane_of(name: &str) -> Option<u16> {
    segment::parse_name(name).map(|(lane, _)| lane)
}

/// Removes the files of all spools from a boot's directory, including unfinished ones.
pub(super) fn remove_all(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| lane_of(name).is_some() || segment::is_unfinished(name)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
