//! The journal: numbered entries in lock-free rings in memory-mapped files, one ring per worker
//! thread. Entries stay there, or in the spool, until the sink has acknowledged them.
//!
//! ```text
//! <directory>/<gateway>@<boot>/lock          held while the process lives
//!                              names         names that slots refer to by number
//!                              lane-0.ring   newest entries
//!                              lane-0.00000000000000000000.spool   older entries, which had to leave the ring
//! ```
//!
//! A stream is one lane of one boot; an entry's number is its place in it. Only this module knows
//! the form of the files: others append, ask for room and use [`LaneReader`]s.

mod boot;
mod budget;
mod lane;
mod names;
mod reader;
mod recovery;
mod reserve;
mod slot;
mod spool;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use boot::BootDirectory;
use budget::Budget;
use common::{
    key::Mode,
    usage::{Life, RefusalCount, UsageRecord},
};
use lane::Lane;
use names::{NameError, Names};
pub(crate) use reader::{Chunk, LaneReader};
use recovery::Recovery;
pub(crate) use recovery::{DeadLife, Unrecovered};
use reserve::Reserve;
use ring::{Ring, SLOT_BYTES, Seal};
use slot::{Content, Slot};
use spool::{Place, Spool};

use super::{
    error::MeterError,
    settings::{MeterSettings, OpenError},
};

/// Slots of a full-sized ring: 8 MiB, or 6 seconds of 10,000 requests a second before entries go to
/// the spool.
const RING_SLOTS: u64 = 65_536;

/// Least disk per lane: with less, a ring would hold next to nothing.
const BUDGET_MIN_PER_LANE: u64 = 64 * 1024;

/// Slots of each ring that are reserved for requests that were admitted while there was room.
const MARGIN_SLOTS: u64 = 1_024;

/// Number of the next thread. Threads get lanes in turn.
static NEXT_THREAD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: usize = NEXT_THREAD.fetch_add(1, Ordering::Relaxed);
}

/// The journal of this life of this gateway.
pub(crate) struct Journal {
    lanes: Box<[Arc<Lane>]>,
    names: Arc<Names>,
    /// Disk of the spools and of the rings of earlier lives.
    budget: Arc<Budget>,
    recovery: Recovery,
    reserve: Reserve,
    margin_slots: u64,
    life: Life,
    /// Files of this life are gone, so that entries appended now do not survive this process.
    files_missing: AtomicBool,
    directory: BootDirectory,
}

impl Journal {
    /// Starts a new life in `settings.directory`.
    pub(crate) fn open(settings: &MeterSettings) -> Result<Self, OpenError> {
        let lanes = settings.lanes.max(1);
        let least = u64::from(lanes) * BUDGET_MIN_PER_LANE;
        if settings.budget_bytes < least {
            return Err(OpenError::Budget { budget: settings.budget_bytes, least });
        }
        let ring_slots = ring_slots(settings.budget_bytes / u64::from(lanes));
        let rings_bytes = u64::from(lanes) * ring::bytes_of(ring_slots);
        let at = |source| OpenError::Directory { path: settings.directory.clone(), source };
        let reserve = Reserve::new(&settings.directory, &settings.gateway, rings_bytes);
        let attempt = || begin(settings, lanes, ring_slots);
        let Files { directory, names, lanes } = match attempt() {
            Err(error) if reserve::is_full(&error) && reserve.release().map_err(at)? => {
                tracing::warn!(event = "journal_reserve_used", directory = %settings.directory.display(), %error);
                attempt().map_err(at)?
            }
            other => other.map_err(at)?,
        };
        let budget = Budget::new(settings.budget_bytes - rings_bytes);
        let recovery = Recovery::new(&settings.directory, &settings.gateway, directory.path(), Arc::clone(&budget));
        let margin_slots = MARGIN_SLOTS.min(ring_slots / 8);
        let life = directory.life().map_err(at)?;
        let files_missing = AtomicBool::new(false);
        let journal = Self {
            lanes,
            names: Arc::new(names),
            budget,
            recovery,
            reserve,
            margin_slots,
            life,
            files_missing,
            directory,
        };
        if let Err(error) = journal.keep_reserve() {
            tracing::warn!(
                event = "journal_reserve_missing",
                directory = %settings.directory.display(),
                %error,
                advice = "if the disk is full at the next start, the gateway cannot start; it tries again each 2 s"
            );
        }
        Ok(journal)
    }

    /// Reserves disk for the start of the next life, unless that is done.
    pub(crate) fn keep_reserve(&self) -> io::Result<()> {
        self.reserve.keep()
    }

    /// Takes over the lives of processes that are gone, each once.
    pub(crate) fn recover(&self) -> io::Result<Vec<DeadLife>> {
        self.recovery.recover()
    }

    /// This life.
    pub(crate) fn life(&self) -> &Life {
        &self.life
    }

    /// Number of lanes.
    pub(crate) fn lane_count(&self) -> u16 {
        u16::try_from(self.lanes.len()).unwrap_or(u16::MAX)
    }

    /// Checks that the files of this life still exist, and returns the first that is missing. Call
    /// it at least each second: a missing file is noticed by this call only.
    pub(crate) fn look_for_files(&self) -> Option<PathBuf> {
        let missing = self.directory.missing_file(self.lanes.iter().map(|lane| lane.stream.lane()));
        self.files_missing.store(missing.is_some(), Ordering::Relaxed);
        missing
    }

    /// Returns true if files of this life were missing at the last check.
    pub(crate) fn files_are_missing(&self) -> bool {
        self.files_missing.load(Ordering::Relaxed)
    }

    /// Earlier lives that could not be recovered at the last attempt.
    pub(crate) fn unrecovered(&self) -> Unrecovered {
        self.recovery.unrecovered()
    }

    /// Returns true if a request that is admitted now will find room for its record, in files that
    /// outlive this process.
    pub(crate) fn has_room(&self) -> bool {
        !self.files_are_missing() && self.lanes_of_thread().any(|lane| lane.has_room(self.margin_slots))
    }

    /// Entries that the sink has not acknowledged, including those of earlier lives.
    pub(crate) fn unacknowledged(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.backlog()).sum::<u64>() + self.recovery.backlog()
    }

    /// Disk taken by unacknowledged entries.
    pub(crate) fn unacknowledged_bytes(&self) -> u64 {
        self.unacknowledged() * SLOT_BYTES as u64
    }

    /// Disk taken by the spools and by the rings of earlier lives.
    pub(crate) fn spooled_bytes(&self) -> u64 {
        self.budget.taken()
    }

    /// Entries appended in this life.
    pub(crate) fn appended(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.appended()).sum()
    }

    /// Entries appended in this life, by lane.
    pub(crate) fn appended_by_lane(&self) -> Vec<u64> {
        self.lanes.iter().map(|lane| lane.appended()).collect()
    }

    /// Returns true if of every lane at least so many entries of this life are acknowledged.
    pub(crate) fn is_acknowledged(&self, appended: &[u64]) -> bool {
        self.lanes.iter().zip(appended).all(|(lane, appended)| lane.acknowledged() >= *appended)
    }

    /// Appends a request to the lane of this thread.
    pub(crate) fn append_request(&self, record: &UsageRecord) -> Result<(), MeterError> {
        if !(100..=999).contains(&record.status) {
            return Err(MeterError::Invalid("status is not an HTTP status"));
        }
        if i64::try_from(record.units).is_err() {
            return Err(MeterError::Invalid("units do not fit 63 bits"));
        }
        let [name, meter] = self.numbers([&record.route, &record.meter])?;
        let content = Content::Request {
            meter,
            units: record.units,
            status: record.status,
            billable: record.billable,
            test: record.mode == Mode::Test,
            prepaid: record.prepaid,
        };
        self.append(&Slot { at: record.at, tenant: record.tenant, key: record.key, name, content })
    }

    /// Appends a sum of refusals to the lane of this thread.
    pub(crate) fn append_refusals(&self, refusals: &RefusalCount) -> Result<(), MeterError> {
        let [name] = self.numbers([&refusals.reason])?;
        let content = Content::Refusals { count: refusals.count };
        self.append(&Slot { at: refusals.at, tenant: refusals.tenant, key: refusals.key, name, content })
    }

    /// Appends to the thread's own lane, or to another one if that has no room.
    fn append(&self, slot: &Slot) -> Result<(), MeterError> {
        let taken = self.lanes_of_thread().any(|lane| lane.append(slot).is_ok());
        if taken { Ok(()) } else { Err(MeterError::Full) }
    }

    /// All lanes, the thread's own first.
    fn lanes_of_thread(&self) -> impl Iterator<Item = &Lane> {
        let own = THREAD.with(|thread| *thread) % self.lanes.len();
        let (before, from_own) = self.lanes.split_at(own);
        from_own.iter().chain(before).map(Arc::as_ref)
    }

    fn numbers<const N: usize>(&self, names: [&Arc<str>; N]) -> Result<[u32; N], MeterError> {
        self.names.numbers(names).map_err(|error| match error {
            NameError::Invalid => MeterError::Invalid("a name is empty, too long or contains control characters"),
            NameError::Io(error) => MeterError::Io(error),
        })
    }

    /// Forces all appended entries to disk, so that they survive a power cut.
    pub(crate) fn sync(&self) -> io::Result<()> {
        // All lanes are synced, also after a failure of one.
        self.lanes.iter().map(|lane| lane.ring.sync()).fold(Ok(()), Result::and)
    }

    /// Makes one reader for each lane. Call it once: a reader frees the entries that are
    /// acknowledged.
    pub(crate) fn readers(&self) -> Vec<LaneReader> {
        let reader = |lane: &Arc<Lane>| {
            let seal = Seal::of(&lane.stream.to_string());
            let place = Place { directory: self.directory.path().to_owned(), lane: lane.stream.lane(), seal };
            LaneReader::live(lane, &self.names, Spool::new(place, Arc::clone(&self.budget)))
        };
        self.lanes.iter().map(reader).collect()
    }
}

/// Number of slots of a ring, for a lane that may take this much disk. The ring takes at most half
/// of it.
fn ring_slots(lane_bytes: u64) -> u64 {
    let mut slots = RING_SLOTS;
    while slots > 1 && ring::bytes_of(slots) > lane_bytes / 2 {
        slots /= 2;
    }
    slots
}

/// The directory and the files of a new life.
struct Files {
    directory: BootDirectory,
    names: Names,
    lanes: Box<[Arc<Lane>]>,
}

/// Makes the directory and the files of a new life.
fn begin(settings: &MeterSettings, lanes: u16, ring_slots: u64) -> io::Result<Files> {
    let directory = BootDirectory::create(&settings.directory, &settings.gateway)?;
    match fill(&directory, lanes, ring_slots) {
        Ok((names, lanes)) => Ok(Files { directory, names, lanes }),
        Err(error) => {
            // Attempts must not fill up a full disk.
            let _ = directory.remove();
            Err(error)
        }
    }
}

/// Makes the files of a new life.
fn fill(directory: &BootDirectory, lanes: u16, ring_slots: u64) -> io::Result<(Names, Box<[Arc<Lane>]>)> {
    let names = Names::create(directory.path())?;
    let lane = |lane| {
        let stream = directory.stream(lane)?;
        let ring = Ring::create(&directory.ring(lane), ring_slots, Seal::of(&stream.to_string()))?;
        Ok(Arc::new(Lane::new(stream, ring)))
    };
    let lanes = (0..lanes).map(lane).collect::<io::Result<_>>()?;
    directory.sync()?;
    Ok((names, lanes))
}
