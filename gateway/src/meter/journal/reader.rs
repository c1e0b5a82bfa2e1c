//! The reading end of a lane, whether it is being written or was left by an earlier life: the spool first, then the ring.
//!
//! Every number is handed out, so that the numbering has no gaps: one that never had an entry as [`UsageEntry::Void`],
//! one whose entry cannot be read any more as [`UsageEntry::Lost`]. Nothing is ever made up in its place, and both are
//! counted.

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
use ring::{Found, LeftRing, Recovered};

use super::{
    budget::{Budget, Share},
    lane::Lane,
    names::Names,
    slot::{self, Content, Slot},
    spool::{Spool, SpoolError},
};

/// The spool is not bothered with less than this part of a ring, unless that is all there is.
const LEAST_PART_SPOOLED: u64 = 16;

/// Reads a lane in order and frees what the sink has acknowledged.
pub(crate) struct LaneReader {
    stream: StreamId,
    spool: Spool,
    source: Source,
    /// Number of the next entry to hand out.
    position: u64,
    /// Before this number, those without an entry have been counted.
    counted: u64,
}

enum Source {
    /// Written by this process.
    Live { lane: Arc<Lane>, names: Arc<Names> },
    /// Left by one that is gone.
    Left(Left),
}

/// What an earlier life left of a ring.
pub(super) struct Left {
    pub(super) names: Arc<[Option<Arc<str>>]>,
    ring: Recovered,
    file: Option<LeftRing>,
    /// Numbers not acknowledged yet, of all lanes that were left.
    backlog: Arc<AtomicU64>,
    _share: Option<Share>,
}

/// What was found at the reader's position.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// The entries, none of the numbers left out.
    pub(crate) batch: UsageBatch,
    /// How many numbers were taken by a process that died before it wrote, not counted before.
    pub(crate) void: u64,
    /// How many entries cannot be read: usage that is lost, not counted before.
    pub(crate) unreadable: u64,
}

impl Left {
    /// Nothing but names: there is no ring, or none that can be read.
    pub(super) fn without_ring(names: Arc<[Option<Arc<str>>]>, backlog: Arc<AtomicU64>) -> Self {
        Self { names, ring: Recovered::default(), file: None, backlog, _share: None }
    }

    /// Takes over a ring, whose file counts as spool from now on.
    pub(super) fn with_ring(self, file: LeftRing, ring: Recovered, path: &Path, budget: &Arc<Budget>) -> Self {
        let bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        Self { ring, file: Some(file), _share: Some(budget.found(bytes)), ..self }
    }
}

impl LaneReader {
    /// A reader of a lane that this process writes, from its start.
    pub(super) fn live(lane: &Arc<Lane>, names: &Arc<Names>, spool: Spool) -> Self {
        let source = Source::Live { lane: Arc::clone(lane), names: Arc::clone(names) };
        Self { stream: lane.stream.clone(), spool, source, position: 0, counted: 0 }
    }

    /// A reader of a lane that was left, from where its sink had got to.
    pub(super) fn left(stream: StreamId, spool: Spool, left: Left) -> Self {
        // What was spooled comes before what is in the ring.
        let oldest = spool.first().unwrap_or(left.ring.first);
        let (settled, backlog) = (left.ring.settled, Arc::clone(&left.backlog));
        let mut reader = Self { stream, spool, source: Source::Left(left), position: 0, counted: 0 };
        // From where the last life stopped, even if what comes next is gone: then it is lost, and to be told.
        reader.position = settled.filter(|settled| *settled <= reader.end()).unwrap_or(oldest);
        reader.counted = reader.position;
        backlog.fetch_add(reader.end().saturating_sub(reader.position), Ordering::AcqRel);
        reader
    }

    /// The stream of this lane.
    pub(crate) const fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// Returns true if the lane was left by an earlier life: nothing is added to it.
    pub(crate) const fn is_left(&self) -> bool {
        matches!(self.source, Source::Left(_))
    }

    /// What follows the last acknowledged entry: up to `most` entries. It stays there until [`Self::acknowledge`].
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

    /// What is to be said once a lane that was left is drained: that nothing comes after what was in it.
    pub(crate) fn end_batch(&self) -> UsageBatch {
        UsageBatch { stream: self.stream.clone(), first_seq: self.end(), entries: vec![UsageEntry::End] }
    }

    /// The sink has booked everything before `position`.
    pub(crate) fn acknowledge(&mut self, position: u64) -> io::Result<()> {
        let position = position.clamp(self.position, self.end().max(self.position));
        let before = std::mem::replace(&mut self.position, position);
        if position == before {
            return Ok(());
        }
        match &self.source {
            Source::Live { lane, .. } => lane.free(position),
            Source::Left(left) => {
                left.backlog.fetch_sub(position - before, Ordering::AcqRel);
                if let Some(file) = &left.file {
                    file.settle(position)?;
                    file.acknowledge(position.max(left.ring.first))?;
                }
            }
        }
        self.spool.release(position)
    }

    /// Returns true if the ring is half full, so that the spool should take over.
    pub(crate) fn is_filling(&self) -> bool {
        let Source::Live { lane, .. } = &self.source else { return false };
        !lane.has_room(lane.ring.capacity() / 2)
    }

    /// Moves what the ring holds to the spool, as far as there is disk.
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

    /// Number after the last entry that there is now.
    fn end(&self) -> u64 {
        match &self.source {
            Source::Live { lane, .. } => lane.appended(),
            Source::Left(left) => left.ring.end().max(self.spool.end().unwrap_or(0)),
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
            Source::Left(left) => Ok(left.find(self.position, most)),
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
                // Taken after the slots were read: every name that they use is in it.
                let known = names.known();
                decode(&|number| known.name(number).cloned())
            }
            Source::Left(left) => decode(&|number| left.names.get(number as usize)?.clone()),
        }
    }
}

impl Left {
    fn find(&self, from: u64, most: usize) -> Vec<Found> {
        let Some(index) = from.checked_sub(self.ring.first) else {
            // Neither in the spool nor in the ring any more.
            let missing = usize::try_from(self.ring.first - from).unwrap_or(usize::MAX);
            return vec![Found::Unreadable; missing.min(most)];
        };
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        self.ring.slots.iter().skip(index).take(most).copied().collect()
    }
}

/// The entry that a slot stands for; nothing if one of its names is not known.
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
