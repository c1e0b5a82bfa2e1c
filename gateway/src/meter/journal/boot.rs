//! The directory of one life of one gateway: `<gateway>@<boot>/`, locked for as long as its process lives.
//!
//! The names say which stream a file belongs to, also when the file itself does not any more. A directory whose lock
//! is free was left by a process that is gone: whoever takes the lock drains it.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use common::usage::StreamId;
use ulid::Ulid;

use super::{names, segment};

const LOCK_FILE: &str = "lock";
const LANE_PREFIX: &str = "lane-";

/// A boot's directory, held by this process.
pub(super) struct BootDirectory {
    path: PathBuf,
    gateway: String,
    boot: u128,
    _lock: File,
}

impl BootDirectory {
    /// A directory for a new life of `gateway`.
    pub(super) fn create(journal: &Path, gateway: &str) -> io::Result<Self> {
        fs::create_dir_all(journal)?;
        let boot = Ulid::generate();
        let name = format!("{gateway}@{}", boot.to_string().to_ascii_lowercase());
        // Locked before it has its name: nobody ever sees it unlocked.
        let unnamed = journal.join(format!(".{name}"));
        fs::create_dir(&unnamed)?;
        let lock = File::create_new(unnamed.join(LOCK_FILE))?;
        lock.try_lock()?;
        let path = journal.join(name);
        fs::rename(&unnamed, &path)?;
        File::open(journal)?.sync_all()?;
        Ok(Self { path, gateway: gateway.to_owned(), boot: boot.0, _lock: lock })
    }

    /// The directories of lives that are over, now held by this process. One that cannot be opened is logged and left.
    pub(super) fn claim_left(journal: &Path) -> io::Result<Vec<Self>> {
        let mut claimed = Vec::new();
        for entry in fs::read_dir(journal)? {
            let path = entry?.path();
            match Self::claim(&path) {
                Ok(Some(directory)) => claimed.push(directory),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(event = "journal_left_behind", directory = %path.display(), %error);
                }
            }
        }
        claimed.sort_by_key(|directory| directory.boot);
        Ok(claimed)
    }

    /// The directory, unless its process lives, or it is none of ours.
    fn claim(path: &Path) -> io::Result<Option<Self>> {
        let Some((gateway, boot)) = path.file_name().and_then(|name| name.to_str()).and_then(parse_name) else {
            return Ok(None);
        };
        let lock_path = path.join(LOCK_FILE);
        let lock = File::options().write(true).create(true).truncate(false).open(&lock_path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Another process may have drained and removed the directory since it was listed.
        let same_file = fs::metadata(&lock_path).is_ok_and(|found| {
            lock.metadata().is_ok_and(|held| (held.dev(), held.ino()) == (found.dev(), found.ino()))
        });
        Ok(same_file.then(|| Self { path: path.to_owned(), gateway, boot, _lock: lock }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a lane of this boot lies.
    pub(super) fn lane(&self, lane: u16) -> PathBuf {
        self.path.join(format!("{LANE_PREFIX}{lane}"))
    }

    /// The stream of a lane of this boot.
    pub(super) fn stream(&self, lane: u16) -> io::Result<StreamId> {
        StreamId::new(&self.gateway, self.boot, lane).map_err(io::Error::other)
    }

    /// The lanes that have a directory.
    pub(super) fn lanes(&self) -> io::Result<Vec<u16>> {
        let mut lanes = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            lanes.extend(name.to_str().and_then(|name| name.strip_prefix(LANE_PREFIX)?.parse::<u16>().ok()));
        }
        lanes.sort_unstable();
        Ok(lanes)
    }

    /// Removes the directory with everything in it that is ours. What is not stays, and so does the directory.
    pub(super) fn remove(self) -> io::Result<()> {
        for lane in self.lanes()? {
            segment::remove_lane(&self.lane(lane))?;
        }
        names::remove(&self.path)?;
        fs::remove_file(self.path.join(LOCK_FILE))?;
        fs::remove_dir(&self.path)
    }
}

fn parse_name(name: &str) -> Option<(String, u128)> {
    let (gateway, boot) = name.rsplit_once('@')?;
    let boot = Ulid::from_string(boot).ok()?.0;
    StreamId::new(gateway, boot, 0).ok().filter(|_| !gateway.starts_with('.'))?;
    Some((gateway.to_owned(), boot))
}
