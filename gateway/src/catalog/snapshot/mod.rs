//! The file from which a gateway starts while the store is down: written when something has
//! changed, read at the start.
//!
//! It is written beside the request path and the follower, in pieces. So it holds every change up
//! to its mark, and may hold some that came while it was written; a gateway that starts from it
//! follows the store from the mark on, and what a change names is then loaded anew.

mod format;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use common::{
    change::{CatalogRow, ChangeMark},
    key::Pepper,
    time::{Clock as _, Micros, SystemClock},
};
pub use format::SnapshotError;
use format::{Header, Writing};
use tokio::{
    sync::watch,
    task::spawn_blocking,
    time::{Instant, sleep_until},
};

use super::{load::Loader, memory::Catalog, progress::Source};
use crate::{lock::locked, outage::Outage};

/// Least time between two files.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// Part of the time that may be spent on writing, as a divisor: a large catalog is written more
/// rarely.
const WRITE_SHARE: u32 = 20;

/// Bytes that are written at once.
const PIECE: usize = 256 * 1024;

/// Writes snapshots.
pub struct SnapshotKeeper {
    catalog: Arc<Catalog>,
    file: PathBuf,
    pepper: Pepper,
    /// The change that the file is as of, if it is known.
    written: Option<ChangeMark>,
    outage: Outage,
}

impl Catalog {
    /// A catalog from a file, as it was when that was written.
    pub fn restore(file: &Path, pepper: &Pepper) -> Result<Self, SnapshotError> {
        let bytes = fs::read(file)?;
        let catalog = Self::empty();
        let mut loader = Loader::new(&catalog, SystemClock.now());
        let Header { written_at, mark } = format::read(&bytes, pepper, |row| loader.take(row))?;
        loader.finish(mark);
        catalog.progress.restored(written_at);
        Ok(catalog)
    }

    /// Writes all of it to `file`, under a name of its own until it is complete.
    fn write_snapshot(&self, file: &Path, pepper: &Pepper, now: Micros) -> Result<ChangeMark, SnapshotError> {
        let header = Header { written_at: now, mark: self.progress.mark() };
        // A gateway and the one that takes over from it may write at the same time.
        let draft = file.with_extension(format!("{}.draft", std::process::id()));
        if let Some(directory) = file.parent() {
            fs::create_dir_all(directory)?;
        }
        let written = self.write_draft(&draft, pepper, &header).and_then(|()| {
            fs::rename(&draft, file)?;
            let directory = file.parent().filter(|path| *path != Path::new("")).unwrap_or(Path::new("."));
            File::open(directory)?.sync_all()
        });
        if written.is_err() {
            // The one before is whole still.
            let _ = fs::remove_file(&draft);
        }
        written?;
        Ok(header.mark)
    }

    fn write_draft(&self, draft: &Path, pepper: &Pepper, header: &Header) -> io::Result<()> {
        let options = File::options().write(true).create(true).truncate(true).mode(0o600).to_owned();
        let mut out = BufWriter::with_capacity(PIECE, options.open(draft)?);
        let mut seal = pepper.snapshot_seal();
        let mut piece = Writing::default();
        piece.header(pepper, header);
        let mut outcome = Ok(());
        locked(&self.tree).rows(|row| {
            if outcome.is_ok() {
                outcome = piece.row(&row);
            }
        });
        outcome?;
        let mut flush = |piece: &mut Writing| {
            seal.update(&piece.0);
            out.write_all(&piece.0)?;
            piece.0.clear();
            Ok::<_, io::Error>(())
        };
        for entry in &self.keys {
            piece.row(&CatalogRow::Key(entry.row(*entry.key())))?;
            if piece.0.len() >= PIECE {
                flush(&mut piece)?;
            }
        }
        piece.end();
        flush(&mut piece)?;
        out.write_all(&seal.finish())?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

impl SnapshotKeeper {
    /// Writes what changes in `catalog` to `file`.
    pub fn new(catalog: Arc<Catalog>, file: PathBuf, pepper: Pepper) -> Self {
        // One that was read from the file needs not be written again.
        let written = (catalog.source() == Some(Source::Snapshot)).then(|| catalog.progress.mark());
        Self { catalog, file, pepper, written, outage: Outage::new("snapshot") }
    }

    /// Writes until `shutdown` turns true, and then once more.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) {
        let mut next = Instant::now();
        loop {
            tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => break,
                () = sleep_until(next) => {}
            }
            let begun = Instant::now();
            if self.written.as_ref() != Some(&self.catalog.progress.mark()) {
                self.write().await;
            }
            next = Instant::now() + WRITE_EVERY.max(begun.elapsed() * WRITE_SHARE);
        }
        // Also if nothing has changed: it says until when that is so.
        self.write().await;
    }

    async fn write(&mut self) {
        if self.catalog.source() != Some(Source::Store) {
            return;
        }
        let (catalog, file, pepper) = (Arc::clone(&self.catalog), self.file.clone(), self.pepper.clone());
        let writing = spawn_blocking(move || catalog.write_snapshot(&file, &pepper, SystemClock.now()));
        match writing.await {
            Ok(Ok(mark)) => {
                self.outage.over();
                self.written = Some(mark);
            }
            Ok(Err(error)) => self.outage.failed(&format!("{}: {error}", self.file.display())),
            Err(error) => self.outage.failed(&error),
        }
    }
}
