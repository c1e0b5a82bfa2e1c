//! The journal: numbered slots in append-only files, one lane per worker thread, kept until the sink has acknowledged
//! them.
//!
//! ```text
//! <directory>/<gateway>@<boot>/lock          held while the process lives
//!                              names         what slots call by number
//!                              lane-0/00000000000000000000.seg
//!                                     acked  how far the sink has got
//! ```
//!
//! A stream is one lane of one boot; an entry's number is its place in it. The rest of the gateway sees appending,
//! room, and [`LaneReader`]s; how slots are kept is known in here only.

mod boot;
mod lane;
mod names;
mod reader;
mod segment;
mod slot;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use boot::BootDirectory;
use common::{
    key::Mode,
    usage::{RefusalCount, UsageRecord},
};
use lane::Lane;
use names::{NameError, Names};
pub(crate) use reader::{Chunk, LaneReader};
use slot::{Content, SLOT_BYTES, Slot};

use super::{MeterError, MeterSettings, OpenError};

/// Slots of a full-sized segment: with its header, 8 MiB.
const SEGMENT_SLOTS_MAX: u64 = 65_535;

/// Least disk per lane: below it, a segment would hold next to nothing.
const BUDGET_MIN_PER_LANE: u64 = 64 * 1024;

/// Room that is kept for requests that were let in while there still was some.
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
    /// Slots left by earlier lives that the sink has not acknowledged.
    left: Arc<AtomicU64>,
    capacity_slots: u64,
    margin_slots: u64,
    _directory: BootDirectory,
}

/// What an earlier life left: its lanes are to be drained, then it is to be removed.
pub(crate) struct LeftBoot {
    pub(crate) lanes: Vec<LaneReader>,
    directory: BootDirectory,
}

impl Journal {
    /// Starts a new life in `settings.directory`, and takes over what earlier ones left there.
    pub(crate) fn open(settings: &MeterSettings) -> Result<(Self, Vec<LeftBoot>), OpenError> {
        let lanes = settings.lanes.max(1);
        let least = u64::from(lanes) * BUDGET_MIN_PER_LANE;
        if settings.budget_bytes < least {
            return Err(OpenError::Budget { budget: settings.budget_bytes, least });
        }
        // Half-acknowledged segments still take their room: with a quarter of the budget for them, disk stays below it.
        let quarter_slots = settings.budget_bytes / 4 / u64::from(lanes) / SLOT_BYTES as u64;
        let segment_slots = quarter_slots.saturating_sub(1).clamp(1, SEGMENT_SLOTS_MAX);
        let reserved = u64::from(lanes) * segment::bytes(segment_slots);
        let capacity_slots = settings.budget_bytes.saturating_sub(reserved) / SLOT_BYTES as u64;

        let at = |source| OpenError::Directory { path: settings.directory.clone(), source };
        let directory = BootDirectory::create(&settings.directory, &settings.gateway).map_err(at)?;
        let names = Arc::new(Names::create(directory.path()).map_err(at)?);
        let lanes = (0..lanes)
            .map(|lane| Lane::create(directory.lane(lane), directory.stream(lane)?, segment_slots).map(Arc::new))
            .collect::<io::Result<_>>()
            .map_err(at)?;
        let (left, boots) = take_over(&settings.directory).map_err(at)?;
        let margin_slots = MARGIN_SLOTS.min(capacity_slots / 8);
        Ok((Self { lanes, names, left, capacity_slots, margin_slots, _directory: directory }, boots))
    }

    /// Whether a request that is let in now will find room for its record.
    pub(crate) fn has_room(&self) -> bool {
        self.unacknowledged() + self.margin_slots < self.capacity_slots
    }

    /// Entries that the sink has not acknowledged, with those of earlier lives.
    pub(crate) fn unacknowledged(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.backlog()).sum::<u64>() + self.left.load(Ordering::Acquire)
    }

    /// Disk that these take.
    pub(crate) fn unacknowledged_bytes(&self) -> u64 {
        self.unacknowledged() * SLOT_BYTES as u64
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
        let content = Content::Request {
            meter: self.number(&record.meter)?,
            units: record.units,
            status: record.status,
            billable: record.billable,
            test: record.mode == Mode::Test,
        };
        let name = self.number(&record.route)?;
        self.append(&Slot { at: record.at, tenant: record.tenant, key: record.key, name, content })
    }

    /// Appends a sum of refusals to the lane of this thread.
    pub(crate) fn append_refusals(&self, refusals: &RefusalCount) -> Result<(), MeterError> {
        let name = self.number(&refusals.reason)?;
        let content = Content::Refusals { count: refusals.count };
        self.append(&Slot { at: refusals.at, tenant: refusals.tenant, key: refusals.key, name, content })
    }

    fn append(&self, slot: &Slot) -> Result<(), MeterError> {
        if self.unacknowledged() >= self.capacity_slots {
            return Err(MeterError::Full);
        }
        let thread = THREAD.with(|thread| *thread);
        Ok(self.lanes[thread % self.lanes.len()].append(slot)?)
    }

    fn number(&self, name: &str) -> Result<u32, MeterError> {
        self.names.number(name).map_err(|error| match error {
            NameError::Invalid => MeterError::Invalid("a name is empty, too long or contains control characters"),
            NameError::Io(error) => MeterError::Io(error),
        })
    }

    /// Forces everything appended so far to disk: from then on it survives a power cut, too.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.lanes.iter().try_for_each(|lane| lane.sync())
    }

    /// A reader of each lane. There is to be one only: it frees what is acknowledged.
    pub(crate) fn readers(&self) -> io::Result<Vec<LaneReader>> {
        self.lanes.iter().map(|lane| LaneReader::live(lane, &self.names)).collect()
    }
}

impl LeftBoot {
    /// Removes the files, once every lane is drained.
    pub(crate) fn remove(self) -> io::Result<()> {
        drop(self.lanes);
        self.directory.remove()
    }
}

/// Everything that lives before this one left in `journal`, and the count of its slots to be drained.
fn take_over(journal: &Path) -> io::Result<(Arc<AtomicU64>, Vec<LeftBoot>)> {
    let backlog = Arc::new(AtomicU64::new(0));
    let mut boots = Vec::new();
    for directory in BootDirectory::claim_left(journal)? {
        let path = directory.path().to_owned();
        match LeftBoot::open(directory, &backlog) {
            Ok(boot) => boots.push(boot),
            Err(error) => tracing::error!(event = "journal_left_behind", directory = %path.display(), %error),
        }
    }
    Ok((backlog, boots))
}

impl LeftBoot {
    fn open(directory: BootDirectory, backlog: &Arc<AtomicU64>) -> io::Result<Self> {
        let names: Arc<[_]> = names::read(directory.path())?.into();
        let lanes = directory
            .lanes()?
            .into_iter()
            .map(|lane| LaneReader::left(directory.lane(lane), directory.stream(lane)?, Arc::clone(&names), backlog))
            .collect::<io::Result<_>>()?;
        Ok(Self { lanes, directory })
    }
}
