//! The directory of one life of one gateway: `<gateway>@<boot>/`, locked for as long as its process
//! lives.
//!
//! The names of files say which stream they belong to, even if the content is damaged. A directory
//! whose lock is free belongs to a process that is gone: the process that takes the lock drains it.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use common::usage::{Life, StreamId};
use ulid::Ulid;

use super::{names, spool};

const LOCK_FILE: &str = "lock";
const LANE_PREFIX: &str = "lane-";
const RING_EXTENSION: &str = ".ring";

/// The directory of a boot, locked by this process.
pub(super) struct BootDirectory {
    path: PathBuf,
    gateway: String,
    boot: u128,
    lock: File,
}

/// Result of [`BootDirectory::claim`].
pub(super) enum Claimed {
    /// The process is gone, and the directory is locked by this one now.
    Taken(BootDirectory),
    /// Another process holds the lock: the gateway lives, or the process has no business with the
    /// lock.
    Locked {
        /// Name of the gateway.
        gateway: String,
    },
    /// The directory is not one of a gateway's life, or was drained and removed meanwhile.
    Gone,
}

impl BootDirectory {
    /// Makes a directory for a new life of `gateway`.
    pub(super) fn create(journal: &Path, gateway: &str) -> io::Result<Self> {
        fs::create_dir_all(journal)?;
        let boot = Ulid::generate();
        let name = format!("{gateway}@{}", boot.to_string().to_ascii_lowercase());
        // Locked before it gets its name, so that no process sees it unlocked.
        let unnamed = journal.join(format!(".{name}"));
        fs::create_dir(&unnamed)?;
        let lock = File::create_new(unnamed.join(LOCK_FILE))?;
        lock.try_lock()?;
        let path = journal.join(name);
        fs::rename(&unnamed, &path)?;
        File::open(journal)?.sync_all()?;
        Ok(Self { path, gateway: gateway.to_owned(), boot: boot.0, lock })
    }

    /// Takes the directory of a process that is gone.
    pub(super) fn claim(path: &Path) -> io::Result<Claimed> {
        let Some((gateway, boot)) = path.file_name().and_then(|name| name.to_str()).and_then(parse_name) else {
            return Ok(Claimed::Gone);
        };
        let lock_path = path.join(LOCK_FILE);
        let lock = File::options().write(true).create(true).truncate(false).open(&lock_path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Claimed::Locked { gateway }),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Another process may have drained and removed the directory since it was listed.
        if !is_same_file(&lock, &lock_path) {
            return Ok(Claimed::Gone);
        }
        Ok(Claimed::Taken(Self { path: path.to_owned(), gateway, boot, lock }))
    }

    /// The first missing file: the lock, or one of these lanes. The directory was deleted, moved
    /// away or unmounted.
    pub(super) fn missing_file(&self, lanes: impl IntoIterator<Item = u16>) -> Option<PathBuf> {
        let lock = self.path.join(LOCK_FILE);
        if !is_same_file(&self.lock, &lock) {
            return Some(lock);
        }
        let rings = lanes.into_iter().map(|lane| self.ring(lane));
        rings.chain([names::path(&self.path)]).find(|path| fs::symlink_metadata(path).is_err())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn boot(&self) -> u128 {
        self.boot
    }

    /// Path of a lane's ring.
    pub(super) fn ring(&self, lane: u16) -> PathBuf {
        self.path.join(format!("{LANE_PREFIX}{lane}{RING_EXTENSION}"))
    }

    /// The life that this boot began.
    pub(super) fn life(&self) -> io::Result<Life> {
        Ok(self.stream(0)?.life())
    }

    /// The stream of a lane of this boot.
    pub(super) fn stream(&self, lane: u16) -> io::Result<StreamId> {
        StreamId::new(&self.gateway, self.boot, lane).map_err(io::Error::other)
    }

    /// The lanes that have a file.
    pub(super) fn lanes(&self) -> io::Result<BTreeSet<u16>> {
        let mut lanes = BTreeSet::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            lanes.extend(name.to_str().and_then(|name| lane_of_ring(name).or_else(|| spool::lane_of(name))));
        }
        Ok(lanes)
    }

    /// Forces the names of the files to disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// Removes the files of the journal, and then the directory. Foreign files stay, and the
    /// directory with them.
    pub(super) fn remove(self) -> io::Result<()> {
        spool::remove_all(&self.path)?;
        for lane in self.lanes()? {
            fs::remove_file(self.ring(lane))?;
        }
        names::remove(&self.path)?;
        fs::remove_file(self.path.join(LOCK_FILE))?;
        fs::remove_dir(&self.path)
    }
}

/// The directories of lives of gateways.
pub(super) fn list(journal: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(journal)? {
        let entry = entry?;
        found.extend(entry.file_name().to_str().and_then(parse_name).map(|_| entry.path()));
    }
    Ok(found)
}

/// Returns true if `path` leads to the open file.
fn is_same_file(open: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let (open, found) = (open.metadata().map(identity), fs::metadata(path).map(identity));
    matches!((open, found), (Ok(open), Ok(found)) if open == found)
}

fn lane_of_ring(name: &str) -> Option<u16> {
    name.strip_prefix(LANE_PREFIX)?.strip_suffix(RING_EXTENSION)?.parse().ok()
}

fn parse_name(name: &str) -> Option<(String, u128)> {
    let (gateway, boot) = name.rsplit_once('@')?;
    let boot = Ulid::from_string(boot).ok()?.0;
    StreamId::new(gateway, boot, 0).ok().filter(|_| !gateway.starts_with('.'))?;
    Some((gateway.to_owned(), boot))
}
