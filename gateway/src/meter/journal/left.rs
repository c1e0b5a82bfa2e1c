//! What processes that are gone left in the journal's directory, taken over to be drained under their streams.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use common::usage::Life;
use ring::{LeftRing, RecoverError, Seal};

use super::{
    boot::{BootDirectory, Claimed},
    budget::Budget,
    names,
    reader::{LaneReader, Left},
    spool::{Place, Spool},
};
use crate::lock::locked;

/// What an earlier life left: its lanes are to be drained, then it is to be removed.
pub(crate) struct LeftBoot {
    pub(crate) lanes: Vec<LaneReader>,
    directory: BootDirectory,
    /// Files of which nothing can be read; all are kept for somebody to look at.
    unreadable_files: u64,
}

/// Takes over what is left, once each.
pub(super) struct Heir {
    journal: PathBuf,
    /// This gateway's name, and the directory of its running life.
    gateway: String,
    own: PathBuf,
    budget: Arc<Budget>,
    /// Numbers not acknowledged yet.
    backlog: Arc<AtomicU64>,
    seen: Mutex<Seen>,
}

/// Directories that were found, so that each is told once.
#[derive(Default)]
struct Seen {
    taken: HashSet<PathBuf>,
    /// Cannot be read or locked now; tried again.
    unusable: HashSet<PathBuf>,
    /// Earlier lives of this gateway whose lock another process holds.
    held: HashSet<PathBuf>,
}

/// Earlier lives whose usage cannot be fetched now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Unfetched {
    /// Directories that cannot be read or locked.
    pub(crate) unusable: usize,
    /// Directories of this gateway's name whose lock another process holds.
    pub(crate) held: usize,
}

impl Heir {
    /// `own` is the directory of the running life of `gateway`.
    pub(super) fn new(journal: &Path, gateway: &str, own: &Path, budget: Arc<Budget>) -> Self {
        let (journal, own) = (journal.to_owned(), own.to_owned());
        Self { journal, gateway: gateway.to_owned(), own, budget, backlog: Arc::default(), seen: Mutex::default() }
    }

    /// Earlier lives whose usage could not be fetched when they were looked for last.
    pub(super) fn unfetched(&self) -> Unfetched {
        let seen = locked(&self.seen);
        Unfetched { unusable: seen.unusable.len(), held: seen.held.len() }
    }

    pub(super) fn backlog(&self) -> u64 {
        self.backlog.load(Ordering::Acquire)
    }

    /// Everything whose process is gone and that nobody else took. A directory that cannot be used is logged once and
    /// tried again the next time, and so is one of this gateway's name that another process holds.
    pub(super) fn take_over(&self) -> io::Result<Vec<LeftBoot>> {
        let mut boots = Vec::new();
        let mut seen = locked(&self.seen);
        let (mut unusable, mut held) = (HashSet::new(), HashSet::new());
        for path in super::boot::list(&self.journal)? {
            if path == self.own || seen.taken.contains(&path) {
                continue;
            }
            let outcome = match BootDirectory::claim(&path) {
                Ok(Claimed::Gone) => continue,
                Ok(Claimed::Held { gateway }) => {
                    if gateway == self.gateway {
                        held.insert(path);
                    }
                    continue;
                }
                Ok(Claimed::Taken(directory)) => self.open(directory),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(boot) => {
                    boots.push(boot);
                    seen.taken.insert(path);
                }
                Err(error) => {
                    if !seen.unusable.contains(&path) {
                        tracing::error!(event = "journal_left_behind", directory = %path.display(), %error);
                    }
                    unusable.insert(path);
                }
            }
        }
        for path in held.difference(&seen.held) {
            tracing::error!(
                event = "journal_held_by_another_process",
                directory = %path.display(),
                advice = "its usage is not sent until that process ends: it is the gateway that this one takes over \
                          from, a second gateway with the same `name`, or a process that has no business with the lock"
            );
        }
        (seen.unusable, seen.held) = (unusable, held);
        boots.sort_by_key(|boot: &LeftBoot| boot.directory.boot());
        Ok(boots)
    }

    fn open(&self, directory: BootDirectory) -> io::Result<LeftBoot> {
        let names: Arc<[_]> = names::read(directory.path())?.into();
        let mut boot = LeftBoot { lanes: Vec::new(), directory, unreadable_files: 0 };
        for lane in boot.directory.lanes()? {
            let stream = boot.directory.stream(lane)?;
            let seal = Seal::of(&stream.to_string());
            let place = Place { directory: boot.directory.path().to_owned(), lane, seal };
            let spool = Spool::find(place, Arc::clone(&self.budget))?;
            boot.unreadable_files += spool.unreadable_files();
            let mut left = Left::without_ring(Arc::clone(&names), Arc::clone(&self.backlog));
            let path = boot.directory.ring(lane);
            match LeftRing::open(&path, seal) {
                Ok((file, recovered)) => {
                    if recovered.header_damaged {
                        tracing::warn!(event = "journal_header_damaged", file = %path.display());
                    }
                    left = left.with_ring(file, recovered, &path, &self.budget);
                }
                Err(RecoverError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(RecoverError::Io(error)) => return Err(error),
                Err(error @ RecoverError::NotARing(_)) => {
                    boot.unreadable_files += 1;
                    tracing::error!(event = "journal_ring_unreadable", file = %path.display(), %error);
                }
            }
            boot.lanes.push(LaneReader::left(stream, spool, left));
        }
        Ok(boot)
    }
}

impl LeftBoot {
    /// The life that left it.
    pub(crate) fn life(&self) -> io::Result<Life> {
        self.directory.life()
    }

    /// How many of its files tell nothing any more, not even how much was in them.
    pub(crate) const fn unreadable_files(&self) -> u64 {
        self.unreadable_files
    }

    /// Removes the files, once every lane is drained; those of a life with damaged ones stay.
    pub(crate) fn remove(self) -> io::Result<()> {
        drop(self.lanes);
        if self.unreadable_files > 0 {
            let path = self.directory.path().display();
            return Err(io::Error::other(format!(
                "{path} holds files that cannot be read; remove it once that is settled"
            )));
        }
        self.directory.remove()
    }
}
