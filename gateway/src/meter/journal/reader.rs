//! The reader of a lane, live or dead: the spool first, then the ring.
//!
//! Invariant: every number is delivered, so that the numbering has no gaps. A number that never had
//! an entry is delivered as [`UsageEntry::Void`], one whose entry cannot be read any more as
//! [`UsageEntry::Lost`]. Both are counted, and no entry is made up.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use common::{
    key::Mode,
    usage::{RefusalCount, StreamId, UsageBatch, UsageEntry, UsageRecord},
};
use ring::{DeadRing, Found, Recovered};

use super::{
    budget::{Budget, Share},
    lane::Lane,
    names::Names,
    slot::{self, Content, Slot},
    spool::{Spool, SpoolError},
};

/// Least part of a ring (1/16) that is moved to the spool, unless fewer entries are waiting.
const LEAST_PART_SPOOLED: u64 = 16;

/// Reads a lane in order and frees what the sink has acknowledged.
pub(crate) struct LaneReader {
    stream: StreamId,
    spool: Spool,
    source: Source,
    /// Number of the next entry to read.
    position: u64,
    /// Number before which void and lost entries were counted.
    counted: u64,
}

enum Source {
    /// Written by this process.
    Live { lane: Arc<Lane>, names: Arc<Names> },
    /// Written by a process that is gone.
    Dead(DeadLane),
}

/// The ring and the names of a dead lane.
pub(super) struct DeadLane {
    pub(super) names: Arc<[Option<Arc<str>>]>,
    ring: Recovered,
    file: Option<DeadRing>,
    /// Number of entries that are not acknowledged yet, of all dead lanes.
    backlog: Arc<AtomicU64>,
    _share: Option<Share>,
}

/// The entries at the reader's position.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// The entries, without a gap in their numbers.
    pub(crate) batch: UsageBatch,
    /// Numbers taken by a process that died before it wrote, as far as they were not counted
    /// before.
    pub(crate) void: u64,
    /// Entries that cannot be read, so that their usage is lost, as far as they were not counted
    /// before.
    pub(crate) unreadable: u64,
}

impl DeadLane {
    /// A lane without a ring, or with one that cannot be read.
    pub(super) fn without_ring(names: Arc<[Option<Arc<str>>]>, backlog: Arc<AtomicU64>) -> Self {
        Self { names, ring: Recovered::default(), file: None, backlog, _share: None }
    }

    /// Adds the ring. Its file counts as spool from now on.
    pub(super) fn with_ring(self, file: DeadRing, ring: Recovered, path: &Path, budget: &Arc<Budget>) -> Self {
        let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        Self { ring, file: Some(file), _share: Some(budget.found(bytes)), ..self }
    }
}

impl LaneReader {
    /// Makes a reader of a live lane, from its start.
    pub(super) fn live(lane: &Arc<Lane>, names: &Arc<Names>, spool: Spool) -> Self {
        let source = Source::Live { lane: Arc::clone(lane), names: Arc::clone(names) };
        Self { stream: lane.stream.clone(), spool, source, position: 0, counted: 0 }
    }

    /// Makes a reader of a dead lane, from the first entry that was not delivered.
    pub(super) fn dead(stream: StreamId, spool: Spool, dead: DeadLane) -> Self {
        // Spooled entries come before those in the ring.
        let oldest = spool.first().unwrap_or(dead.ring.first);
        let (delivered, backlog) = (dead.ring.delivered, Arc::clone(&dead.backlog));
        let mut reader = Self { stream, spool, source: Source::Dead(dead), position: 0, counted: 0 };
        // The reader starts where the last life stopped, even if the next entries are gone: they
        // are reported as lost.
        reader.position = delivered.filter(|delivered| *delivered <= reader.end()).unwrap_or(oldest);
        reader.counted = reader.position;
        backlog.fetch_add(reader.end().saturating_sub(reader.position), Ordering::AcqRel);
        reader
    }

    /// The stream of this lane.
    pub(crate) const fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// Returns true if the lane is dead: no entry is added to it.
    pub(crate) const fn is_dead(&self) -> bool {
        matches!(self.source, Source::Dead(_))
    }

    /// Reads up to `most` entries after the last acknowledged one. They stay there until
    /// [`Self::acknowledge`].
    pub(crate) fn read(&mut self, most: usize) -> io::Result<Option<Chunk>> {
        let found = self.find(most.max(1))?;
        if found.is_empty() {
            return Ok(None);
        }
        let (mut void, mut unreadable) = (0, 0);
        let entries = self.decoded(&found);
        let first_seq = self.position;
        for (_, entry) in (first_seq..).zip(&entries).filter(|(number, _)| *number >= self.counted) {
            match entry {
                UsageEntry::Void => void += 1,
                UsageEntry::Lost => unreadable += 1,
                UsageEntry::Request(_) | UsageEntry::Refusals(_) | UsageEntry::End => {}
            }
        }
        let batch = UsageBatch { stream: self.stream.clone(), first_seq, entries };
        self.counted = self.counted.max(batch.end_seq());
        Ok(Some(Chunk { batch, void, unreadable }))
    }

    /// The batch to send once a dead lane is drained: it says that no entry follows.
    pub(crate) fn end_batch(&self) -> UsageBatch {
        UsageBatch { stream: self.stream.clone(), first_seq: self.end(), entries: vec![UsageEntry::End] }
    }

    /// Frees all entries before `position`, which the sink has booked.
    pub(crate) fn acknowledge(&mut self, position: u64) -> io::Result<()> {
        let position = position.clamp(self.position, self.end().max(self.position));
        let before = std::mem::replace(&mut self.position, position);
        if position == before {
            return Ok(());
        }
        match &self.source {
            Source::Live { lane, .. } => lane.free(position),
            Source::Dead(dead) => {
                dead.backlog.fetch_sub(position - before, Ordering::AcqRel);
                if let Some(file) = &dead.file {
                    file.mark_delivered(position)?;
                    file.acknowledge(position.max(dead.ring.first))?;
                }
            }
        }
        self.spool.release(position)
    }

    /// Returns true if the ring is half full, so that entries should move to the spool.
    pub(crate) fn is_filling(&self) -> bool {
        let Source::Live { lane, .. } = &self.source else { return false };
        !lane.has_room(lane.ring.capacity() / 2)
    }

    /// Moves the ring's entries to the spool, as far as there is disk.
    pub(crate) fn spill(&mut self) -> Result<(), SpoolError> {
        let Source::Live { lane, .. } = &self.source else { return Ok(()) };
        let pending = lane.ring.pending();
        let waiting = pending.end - pending.start;
        let room = self.spool.room();
        if room < waiting.min(lane.ring.capacity() / LEAST_PART_SPOOLED) {
            return Err(SpoolError::Budget);
        }
        let most = usize::try_from(room.min(waiting)).unwrap_or(usize::MAX);
        let mut entries = Vec::with_capacity(most);
        lane.ring.read(pending.start, most, |found| {
            entries.push(if let Found::Entry(payload) = found { payload } else { slot::LOST });
        });
        if entries.is_empty() {
            return Ok(());
        }
        self.spool.write(pending.start, &entries)?;
        lane.ring.acknowledge(pending.start + entries.len() as u64);
        Ok(())
    }

    /// Number after the last entry.
    fn end(&self) -> u64 {
        match &self.source {
            Source::Live { lane, .. } => lane.appended(),
            Source::Dead(dead) => dead.ring.end().max(self.spool.end().unwrap_or(0)),
        }
    }

    fn find(&mut self, most: usize) -> io::Result<Vec<Found>> {
        let spooled = self.spool.read(self.position, most)?;
        if !spooled.is_empty() {
            return Ok(spooled);
        }
        match &self.source {
            Source::Live { lane, .. } => {
                let mut found = Vec::new();
                lane.ring.read(self.position, most, |entry| found.push(entry));
                Ok(found)
            }
            Source::Dead(dead) => Ok(dead.find(self.position, most)),
        }
    }

    fn decoded(&self, found: &[Found]) -> Vec<UsageEntry> {
        let decode = |name: &dyn Fn(u32) -> Option<Arc<str>>| {
            let entry = |found: &Found| match found {
                Found::Entry(payload) => {
                    Slot::decode(payload).and_then(|slot| entry(&slot, name)).unwrap_or(UsageEntry::Lost)
                }
                Found::Void => UsageEntry::Void,
                Found::Unreadable => UsageEntry::Lost,
            };
            found.iter().map(entry).collect()
        };
        match &self.source {
            Source::Live { names, .. } => {
                // Read after the slots, so that it has every name that they use.
                let known = names.known();
                decode(&|number| known.name(number).cloned())
            }
            Source::Dead(dead) => decode(&|number| dead.names.get(number as usize)?.clone()),
        }
    }
}

impl DeadLane {
    fn find(&self, from: u64, most: usize) -> Vec<Found> {
        let Some(index) = from.checked_sub(self.ring.first) else {
            // The entries are neither in the spool nor in the ring.
            let missing = usize::try_from(self.ring.first - from).unwrap_or(usize::MAX);
            return vec![Found::Unreadable; missing.min(most)];
        };
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        self.ring.slots.iter().skip(index).take(most).copied().collect()
    }
}

/// Converts a slot to its entry. None if one of its names is not known.
fn entry(slot: &Slot, name: &dyn Fn(u32) -> Option<Arc<str>>) -> Option<UsageEntry> {
    let Slot { at, tenant, key, .. } = *slot;
    let first_name = name(slot.name)?;
    Some(match slot.content {
        Content::Request { meter, units, status, billable, test, prepaid } => UsageEntry::Request(UsageRecord {
            at,
            tenant,
            key,
            route: first_name,
            meter: name(meter)?,
            units,
            status,
            billable,
            mode: if test { Mode::Test } else { Mode::Live },
            prepaid,
        }),
        Content::Refusals { count } => {
            UsageEntry::Refusals(RefusalCount { at, tenant, key, reason: first_name, count })
        }
    })
}
