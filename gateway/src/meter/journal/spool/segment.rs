//! A segment of a spool: its name, which states lane and first number even if the content is
//! damaged, and its share of the disk budget.

use std::{fs, io, path::PathBuf, sync::Arc};

use ring::{Found, Payload};

use super::{
    super::budget::{Budget, Share},
    Place,
};

const EXTENSION: &str = ".spool";
const UNFINISHED: &str = ".spool-unfinished";

/// A segment of a lane.
pub(super) struct Segment {
    content: ring::Segment,
    _share: Share,
}

impl Segment {
    /// Writes a segment and forces it to disk, all or nothing.
    pub(super) fn write(place: &Place, first: u64, entries: &[Payload], share: Share) -> io::Result<Self> {
        let unfinished = place.directory.join(format!("lane-{}{UNFINISHED}", place.lane));
        let content = ring::Segment::write(&path(place, first), &unfinished, first, entries, place.seal)?;
        Ok(Self { content, _share: share })
    }

    /// Opens a segment of an earlier life. None if neither its header nor any of its slots is of
    /// this lane.
    pub(super) fn open(place: &Place, first: u64, budget: &Arc<Budget>) -> io::Result<Option<Self>> {
        let path = path(place, first);
        let Some(content) = ring::Segment::open(&path, first, place.seal)? else { return Ok(None) };
        Ok(Some(Self { content, _share: budget.found(fs::metadata(&path)?.len()) }))
    }

    pub(super) const fn first(&self) -> u64 {
        self.content.first()
    }

    pub(super) const fn end(&self) -> u64 {
        self.content.end()
    }

    /// Reads at most `most` entries from number `from` on, which lies within the segment. Entries
    /// that the file does not hold any more are unreadable.
    pub(super) fn read(&mut self, from: u64, most: usize) -> io::Result<Vec<Found>> {
        self.content.read(from, most)
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        self.content.remove()
    }
}

/// Lane and first number in the name of a segment.
pub(super) fn parse_name(name: &str) -> Option<(u16, u64)> {
    let (lane, first) = name.strip_prefix("lane-")?.strip_suffix(EXTENSION)?.split_once('.')?;
    Some((lane.parse().ok()?, first.parse().ok()?))
}

/// Returns true if the name is that of an unfinished segment.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.strip_prefix("lane-").and_then(|name| name.strip_suffix(UNFINISHED)).is_some()
}

fn path(place: &Place, first: u64) -> PathBuf {
    place.directory.join(format!("lane-{}.{first:020}{EXTENSION}", place.lane))
}
