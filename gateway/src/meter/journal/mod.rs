//! The journal: numbered entries in lock-free rings, one per worker thread, in memory-mapped files; kept there, or in the
//! spool, until the sink has acknowledged them.
//!
//! ```text
//! <directory>/<gateway>@<boot>/lock          held while the process lives
//!                              names         what slots call by number
//!                              lane-0.ring   what was appended last
//!                              lane-0.00000000000000000000.spool   what had to make room, oldest first
//! ```
//!
//! A stream is one lane of one boot; an entry's number is its place in it. The rest of the gateway sees appending,
//! room, and [`LaneReader`]s; how entries are kept is known in here only.

mod boot;
mod budget;
mod lane;
mod left;
mod names;
mod reader;
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
use left::Heir;
pub(crate) use left::{LeftBoot, Unfetched};
use names::{NameError, Names};
pub(crate) use reader::{Chunk, LaneReader};
use reserve::Reserve;
use ring::{Ring, SLOT_BYTES, Seal};
use slot::{Content, Slot};
use spool::{Place, Spool};

use super::{MeterError, MeterSettings, OpenError};

/// Slots of a full-sized ring: 8 MiB, and 6 seconds of 10,000 requests a second before they go to the spool.
const RING_SLOTS: u64 = 65_536;

/// Least disk per lane: below it, a ring would hold next to nothing.
const BUDGET_MIN_PER_LANE: u64 = 64 * 1024;

/// Room that is kept in each ring for requests that were let in while there still was some.
const MARGIN_SLOTS: u64 = 1_024;

/// Lanes are handed to threads in turn.
static NEXT_THREAD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static THREAD: usize = NEXT_THREAD.fetch_add(1, Ordering::Relaxed);
}

/// The journal of this life of this gateway.
pub(crate) struct Journal {
    lanes: Box<[Arc<Lane>]>,
    names: Arc<Names>,
    /// Of the spools, and of the rings of earlier lives.
    budget: Arc<Budget>,
    heir: Heir,
    reserve: Reserve,
    margin_slots: u64,
    life: Life,
    /// Whether files of this life are gone: what is appended then does not survive this process.
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
        let heir = Heir::new(&settings.directory, &settings.gateway, directory.path(), Arc::clone(&budget));
        let margin_slots = MARGIN_SLOTS.min(ring_slots / 8);
        let life = directory.life().map_err(at)?;
        let files_missing = AtomicBool::new(false);
        let journal =
            Self { lanes, names: Arc::new(names), budget, heir, reserve, margin_slots, life, files_missing, directory };
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

    /// Sets disk aside for the start of the next life, unless that is done.
    pub(crate) fn keep_reserve(&self) -> io::Result<()> {
        self.reserve.keep()
    }

    /// What processes that are gone left here, each once.
    pub(crate) fn take_over(&self) -> io::Result<Vec<LeftBoot>> {
        self.heir.take_over()
    }

    /// This life.
    pub(crate) fn life(&self) -> &Life {
        &self.life
    }

    /// How many lanes it has.
    pub(crate) fn lane_count(&self) -> u16 {
        u16::try_from(self.lanes.len()).unwrap_or(u16::MAX)
    }

    /// Looks whether the files of this life are still where they were made, and says which is not. Call it at least
    /// each second: until it is called, nobody knows.
    pub(crate) fn look_for_files(&self) -> Option<PathBuf> {
        let missing = self.directory.missing_file(self.lanes.iter().map(|lane| lane.stream.lane()));
        self.files_missing.store(missing.is_some(), Ordering::Relaxed);
        missing
    }

    /// Returns true if files of this life were gone when they were looked for last.
    pub(crate) fn files_are_missing(&self) -> bool {
        self.files_missing.load(Ordering::Relaxed)
    }

    /// Earlier lives whose usage could not be fetched when they were looked for last.
    pub(crate) fn unfetched(&self) -> Unfetched {
        self.heir.unfetched()
    }

    /// Returns true if a request that is let in now will find room for its record, in files that outlive this process.
    pub(crate) fn has_room(&self) -> bool {
        !self.files_are_missing() && self.lanes_of_thread().any(|lane| lane.has_room(self.margin_slots))
    }

    /// Entries that the sink has not acknowledged, with those of earlier lives.
    pub(crate) fn unacknowledged(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.backlog()).sum::<u64>() + self.heir.backlog()
    }

    /// Disk that these take.
    pub(crate) fn unacknowledged_bytes(&self) -> u64 {
        self.unacknowledged() * SLOT_BYTES as u64
    }

    /// Disk that the spools and the rings of earlier lives take.
    pub(crate) fn spooled_bytes(&self) -> u64 {
        self.budget.taken()
    }

    /// Entries appended in this life.
    pub(crate) fn appended(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.appended()).sum()
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

    /// Another lane takes what the thread's own has no room for.
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

    /// Forces everything appended so far to disk: from then on it survives a power cut, too.
    pub(crate) fn sync(&self) -> io::Result<()> {
        // One lane's failure keeps nothing from the others.
        self.lanes.iter().map(|lane| lane.ring.sync()).fold(Ok(()), Result::and)
    }

    /// A reader of each lane. There is to be one only: it frees what is acknowledged.
    pub(crate) fn readers(&self) -> Vec<LaneReader> {
        let reader = |lane: &Arc<Lane>| {
            let seal = Seal::of(&lane.stream.to_string());
            let place = Place { directory: self.directory.path().to_owned(), lane: lane.stream.lane(), seal };
            LaneReader::live(lane, &self.names, Spool::new(place, Arc::clone(&self.budget)))
        };
        self.lanes.iter().map(reader).collect()
    }
}

/// How many slots a ring gets if a lane may take this much disk: half of it at most.
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
            // A disk that is full must not fill up with attempts.
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
