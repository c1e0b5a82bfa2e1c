//! The reading end of a lane, whether it is being written or was left by an earlier life.
//!
//! A slot that cannot be read is passed over and counted, and its number stays unused: whoever books the stream sees
//! the gap. Nothing is ever made up in its place.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use common::{
    key::Mode,
    usage::{RefusalCount, StreamId, UsageBatch, UsageEntry, UsageRecord},
};

use super::{
    lane::Lane,
    names::Names,
    segment::{self, AckedFile, Segment},
    slot::{Content, SLOT_BYTES, Seal, Slot},
};

/// Reads a lane in order and remembers what the sink has acknowledged.
pub(crate) struct LaneReader {
    directory: PathBuf,
    stream: StreamId,
    seal: Seal,
    source: Source,
    /// Number of the next slot to hand out.
    position: u64,
    acked: AckedFile,
    open: Option<OpenSegment>,
}

enum Source {
    /// Written by this process.
    Live { lane: Arc<Lane>, names: Arc<Names> },
    /// Left by one that is gone.
    Left(Left),
}

/// What an earlier life left of a lane.
struct Left {
    names: Arc<[Option<Arc<str>>]>,
    /// Number after the last slot.
    end: u64,
    /// Slots not acknowledged yet, of all lanes that were left.
    backlog: Arc<AtomicU64>,
}

struct OpenSegment {
    segment: Segment,
    /// First number of the next segment, once there is one.
    next: Option<u64>,
}

/// What was found at the reader's position.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// Readable entries that follow each other.
    pub(crate) batch: Option<UsageBatch>,
    /// Slots before them that cannot be read.
    pub(crate) unreadable: u64,
    /// Number after all of these.
    pub(crate) end: u64,
}

impl LaneReader {
    /// A reader of a lane that this process writes, from its start.
    pub(super) fn live(lane: &Arc<Lane>, names: &Arc<Names>) -> io::Result<Self> {
        let source = Source::Live { lane: Arc::clone(lane), names: Arc::clone(names) };
        Self::new(lane.directory.clone(), lane.stream.clone(), source)
    }

    /// A reader of a lane that was left, from where its sink had got to.
    pub(super) fn left(
        directory: PathBuf,
        stream: StreamId,
        names: Arc<[Option<Arc<str>>]>,
        backlog: &Arc<AtomicU64>,
    ) -> io::Result<Self> {
        let segments = segment::list(&directory)?;
        let end = segments.last().map_or(Ok(0), |last| segment::end(&directory, *last))?;
        let source = Source::Left(Left { names, end, backlog: Arc::clone(backlog) });
        let mut reader = Self::new(directory, stream, source)?;
        let first = segments.first().copied().unwrap_or(0);
        reader.position = reader.acked.load().max(first).min(end);
        backlog.fetch_add(end - reader.position, Ordering::AcqRel);
        Ok(reader)
    }

    fn new(directory: PathBuf, stream: StreamId, source: Source) -> io::Result<Self> {
        let seal = Seal::new(&stream);
        let acked = AckedFile::open(&directory, &seal)?;
        Ok(Self { directory, stream, seal, source, position: 0, acked, open: None })
    }

    /// The stream of this lane.
    pub(crate) const fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// Whether the lane was left by an earlier life: nothing is added to it.
    pub(crate) const fn is_left(&self) -> bool {
        matches!(self.source, Source::Left(_))
    }

    /// What follows the last acknowledged entry: up to `most` entries. It stays there until [`Self::acknowledge`].
    pub(crate) fn read(&mut self, most: usize) -> io::Result<Chunk> {
        let mut chunk = Chunk { end: self.position, ..Chunk::default() };
        let end = self.end();
        let mut buffer = Vec::new();
        while chunk.end < end && chunk.batch.is_none() {
            let available = usize::try_from(end - chunk.end).unwrap_or(usize::MAX);
            buffer.resize(available.min(most.max(1)) * SLOT_BYTES, 0);
            let filled = self.fill(chunk.end, &mut buffer)?;
            if filled < SLOT_BYTES {
                let skipped = self.missing(chunk.end, end)?;
                chunk.unreadable += skipped;
                chunk.end += skipped;
                continue;
            }
            self.decode_into(&buffer[..filled], &mut chunk);
        }
        Ok(chunk)
    }

    /// The sink has booked everything before `position`.
    pub(crate) fn acknowledge(&mut self, position: u64) -> io::Result<()> {
        let position = position.clamp(self.position, self.end());
        let before = std::mem::replace(&mut self.position, position);
        if position == before {
            return Ok(());
        }
        let stored = self.acked.store(position);
        match &self.source {
            Source::Live { lane, .. } => lane.free(position)?,
            Source::Left(left) => {
                left.backlog.fetch_sub(position - before, Ordering::AcqRel);
            }
        }
        stored
    }

    /// Number after the last slot that there is now.
    fn end(&self) -> u64 {
        match &self.source {
            Source::Live { lane, .. } => lane.appended(),
            Source::Left(left) => left.end,
        }
    }

    /// Takes unreadable slots from the front of `bytes`, then entries up to the next unreadable one.
    fn decode_into(&self, bytes: &[u8], chunk: &mut Chunk) {
        let mut entries = Vec::new();
        let mut seq = chunk.end;
        let (slots, _) = bytes.as_chunks::<SLOT_BYTES>();
        for slot in slots {
            match Slot::decode(slot, seq, &self.seal).and_then(|slot| self.entry(&slot)) {
                Some(entry) => entries.push(entry),
                None if entries.is_empty() => chunk.unreadable += 1,
                None => break,
            }
            seq += 1;
        }
        chunk.end = seq;
        if !entries.is_empty() {
            let first_seq = seq - entries.len() as u64;
            chunk.batch = Some(UsageBatch { stream: self.stream.clone(), first_seq, entries });
        }
    }

    fn entry(&self, slot: &Slot) -> Option<UsageEntry> {
        let Slot { at, tenant, key, .. } = *slot;
        let name = self.name(slot.name)?;
        Some(match slot.content {
            Content::Request { meter, units, status, billable, test } => UsageEntry::Request(UsageRecord {
                at,
                tenant,
                key,
                route: name,
                meter: self.name(meter)?,
                units,
                status,
                billable,
                mode: if test { Mode::Test } else { Mode::Live },
            }),
            Content::Refusals { count } => UsageEntry::Refusals(RefusalCount { at, tenant, key, reason: name, count }),
        })
    }

    fn name(&self, number: u32) -> Option<Arc<str>> {
        match &self.source {
            Source::Live { names, .. } => names.name(number),
            Source::Left(left) => left.names.get(number as usize)?.clone(),
        }
    }

    /// Reads slots from `seq` on; 0 bytes if no segment holds it.
    fn fill(&mut self, seq: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let filled = self.fill_from_open(seq, buffer)?;
        if filled >= SLOT_BYTES {
            return Ok(filled);
        }
        // Not in the open segment: the lane may have gone on to another since that was opened.
        let segments = segment::list(&self.directory)?;
        let after = segments.partition_point(|first| *first <= seq);
        let Some(first) = after.checked_sub(1).map(|index| segments[index]) else {
            self.open = None;
            return Ok(0);
        };
        let (segment, intact) = match Segment::open(&self.directory, first, &self.stream, &self.seal) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            outcome => outcome?,
        };
        if !intact {
            tracing::warn!(event = "journal_header_damaged", stream = %self.stream, segment = first);
        }
        self.open = Some(OpenSegment { segment, next: segments.get(after).copied() });
        self.fill_from_open(seq, buffer)
    }

    fn fill_from_open(&self, seq: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(open) = self.open.as_ref().filter(|open| open.next.is_none_or(|next| seq < next)) else {
            return Ok(0);
        };
        let within = open.next.map_or(usize::MAX, |next| usize::try_from(next - seq).unwrap_or(usize::MAX));
        let most = within.saturating_mul(SLOT_BYTES).min(buffer.len());
        open.segment.read(seq, &mut buffer[..most])
    }

    /// How many slots from `seq` on are nowhere: up to the next segment, or to the end.
    fn missing(&self, seq: u64, end: u64) -> io::Result<u64> {
        let next = segment::list(&self.directory)?.into_iter().find(|first| *first > seq);
        Ok(next.unwrap_or(end).min(end) - seq)
    }
}
