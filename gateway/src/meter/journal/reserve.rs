//! The reserve: disk for the start of the next life.
//!
//! A journal may fill its disk. A gateway that starts then needs some disk before it can deliver
//! the entries that fill it, and takes the reserve.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Bytes for the files of a life that are not rings: names, the lock, the directory.
const SMALL_FILES_BYTES: u64 = 256 * 1024;

/// The reserve of one gateway in a journal's directory.
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
}

impl Reserve {
    /// The reserve for a life of `gateway` whose rings take `rings_bytes`.
    pub(super) fn new(journal: &Path, gateway: &str, rings_bytes: u64) -> Self {
        Self { path: journal.join(format!(".reserve-{gateway}")), bytes: rings_bytes + SMALL_FILES_BYTES }
    }

    /// Allocates the reserve, unless that is done. Fails and takes nothing if the disk has too
    /// little room.
    pub(super) fn keep(&self) -> io::Result<()> {
        if fs::metadata(&self.path).is_ok_and(|found| found.len() >= self.bytes) {
            return Ok(());
        }
        let file = File::options().write(true).create(true).truncate(false).open(&self.path)?;
        ring::allocate(&file, self.bytes).inspect_err(|_| {
            // A part of the reserve is useless, and takes disk that others need.
            let _ = fs::remove_file(&self.path);
        })
    }

    /// Gives the disk back. Returns false if there was no reserve.
    pub(super) fn release(&self) -> io::Result<bool> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Returns true if the disk, or this user's part of it, is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
