//! The writing end of a lane: slots appended under a short lock, each by one system call.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use common::usage::StreamId;

use super::{
    segment::{self, Segment},
    slot::{Seal, Slot},
};
use crate::lock::locked;

/// A lane that is being written.
pub(super) struct Lane {
    pub(super) directory: PathBuf,
    pub(super) stream: StreamId,
    pub(super) seal: Seal,
    segment_slots: u64,
    writer: Mutex<Writer>,
    /// Number after the last slot that is written.
    appended: AtomicU64,
    /// Number after the last slot that the sink has acknowledged.
    acked: AtomicU64,
}

#[derive(Default)]
struct Writer {
    current: Option<Arc<Segment>>,
    /// First numbers of the segments on disk, in order; the last is the current one.
    segments: VecDeque<u64>,
    /// Files and directories with changes that are not forced to disk yet.
    unsynced: Vec<Unsynced>,
    current_is_unsynced: bool,
}

#[derive(Clone)]
enum Unsynced {
    Segment(Arc<Segment>),
    Directory,
}

impl Lane {
    pub(super) fn create(directory: PathBuf, stream: StreamId, segment_slots: u64) -> io::Result<Self> {
        fs::create_dir(&directory)?;
        Ok(Self {
            directory,
            seal: Seal::new(&stream),
            stream,
            segment_slots,
            writer: Mutex::default(),
            appended: AtomicU64::new(0),
            acked: AtomicU64::new(0),
        })
    }

    /// Appends a slot. Once this returns, the kernel has it: a crash of this process does not lose it.
    pub(super) fn append(&self, slot: &Slot) -> io::Result<()> {
        let mut writer = locked(&self.writer);
        let seq = self.appended.load(Ordering::Relaxed);
        let segment = self.segment_for(&mut writer, seq)?;
        // A write that failed half-way is overwritten by the next: the number only advances with a whole slot.
        segment.write(seq, &slot.encode(seq, &self.seal))?;
        writer.current_is_unsynced = true;
        self.appended.store(seq + 1, Ordering::Release);
        Ok(())
    }

    fn segment_for(&self, writer: &mut Writer, seq: u64) -> io::Result<Arc<Segment>> {
        if let Some(current) = &writer.current
            && seq - current.first < self.segment_slots
        {
            return Ok(Arc::clone(current));
        }
        let segment = Arc::new(Segment::create(&self.directory, seq, &self.stream, &self.seal)?);
        let full = writer.current.replace(Arc::clone(&segment));
        writer.unsynced.extend(full.filter(|_| writer.current_is_unsynced).map(Unsynced::Segment));
        writer.unsynced.push(Unsynced::Directory);
        writer.segments.push_back(seq);
        Ok(segment)
    }

    /// Forces everything appended so far to disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        let unsynced = {
            let mut writer = locked(&self.writer);
            let mut unsynced = std::mem::take(&mut writer.unsynced);
            let current = writer.current.clone().filter(|_| writer.current_is_unsynced);
            unsynced.extend(current.map(Unsynced::Segment));
            writer.current_is_unsynced = false;
            unsynced
        };
        let outcome = unsynced.iter().try_for_each(|one| match one {
            Unsynced::Segment(segment) => segment.file.sync_data(),
            Unsynced::Directory => File::open(&self.directory)?.sync_all(),
        });
        if outcome.is_err() {
            locked(&self.writer).unsynced.extend(unsynced);
        }
        outcome
    }

    pub(super) fn appended(&self) -> u64 {
        self.appended.load(Ordering::Acquire)
    }

    /// Slots that the sink has not acknowledged.
    pub(super) fn backlog(&self) -> u64 {
        let acked = self.acked.load(Ordering::Acquire);
        self.appended().saturating_sub(acked)
    }

    /// The sink has acknowledged everything before `position`: segments that lie there wholly are removed.
    pub(super) fn free(&self, position: u64) -> io::Result<()> {
        self.acked.fetch_max(position, Ordering::AcqRel);
        loop {
            let first = {
                let mut writer = locked(&self.writer);
                // A segment is over where the next begins.
                if writer.segments.get(1).is_none_or(|next| *next > position) {
                    return Ok(());
                }
                writer.segments.pop_front()
            };
            if let Some(first) = first {
                segment::remove(&self.directory, first)?;
            }
        }
    }
}
