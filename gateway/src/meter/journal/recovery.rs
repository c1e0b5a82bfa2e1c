//! Recovery: takes over the directories of lives whose process is gone, to drain their lanes under
//! their own streams.

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
use ring::{DeadRing, RecoverError, Seal};

use super::{
    boot::{self, BootDirectory, Claimed},
    budget::Budget,
    names,
    reader::{DeadLane, LaneReader},
    spool::{Place, Spool},
};
use crate::lock::locked;

/// A life whose process is gone. Its lanes are drained, then its files are removed.
pub(crate) struct DeadLife {
    pub(crate) lanes: Vec<LaneReader>,
    directory: BootDirectory,
    /// Files of which nothing can be read. If there are any, all files are kept for inspection.
    unreadable_files: u64,
}

/// Takes over dead lives, each once.
pub(super) struct Recovery {
    journal: PathBuf,
    gateway: String,
    /// Directory of the running life.
    own: PathBuf,
    budget: Arc<Budget>,
    /// Number of entries that are not acknowledged yet.
    backlog: Arc<AtomicU64>,
    seen: Mutex<Seen>,
}

/// Directories that were found, so that each is logged once.
#[derive(Default)]
struct Seen {
    taken: HashSet<PathBuf>,
    /// Directories that cannot be read or locked now. They are tried again.
    unusable: HashSet<PathBuf>,
    /// Earlier lives of this gateway whose lock another process holds.
    locked: HashSet<PathBuf>,
}

/// Earlier lives that cannot be recovered now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Unrecovered {
    /// Directories that cannot be read or locked.
    pub(crate) unusable: usize,
    /// Directories of this gateway's name whose lock another process holds.
    pub(crate) locked: usize,
}

impl Recovery {
    /// `own` is the directory of the running life of `gateway`.
    pub(super) fn new(journal: &Path, gateway: &str, own: &Path, budget: Arc<Budget>) -> Self {
        let (journal, own) = (journal.to_owned(), own.to_owned());
        Self { journal, gateway: gateway.to_owned(), own, budget, backlog: Arc::default(), seen: Mutex::default() }
    }

    /// Earlier lives that could not be recovered at the last attempt.
    pub(super) fn unrecovered(&self) -> Unrecovered {
        let seen = locked(&self.seen);
        Unrecovered { unusable: seen.unusable.len(), locked: seen.locked.len() }
    }

    pub(super) fn backlog(&self) -> u64 {
        self.backlog.load(Ordering::Acquire)
    }

    /// Takes over every dead life that nobody else took. A directory that cannot be used is logged
    /// once and tried again the next time, and so is one of this gateway's name that another
    /// process holds.
    pub(super) fn recover(&self) -> io::Result<Vec<DeadLife>> {
        let mut lives = Vec::new();
        let mut seen = locked(&self.seen);
        let (mut unusable, mut in_use) = (HashSet::new(), HashSet::new());
        for path in boot::list(&self.journal)? {
            if path == self.own || seen.taken.contains(&path) {
                continue;
            }
            let outcome = match BootDirectory::claim(&path) {
                Ok(Claimed::Gone) => continue,
                Ok(Claimed::Locked { gateway }) => {
                    if gateway == self.gateway {
                        in_use.insert(path);
                    }
                    continue;
                }
                Ok(Claimed::Taken(directory)) => self.open(directory),
                Err(error) => Err(error),
            };
            match outcome {
                Ok(life) => {
                    lives.push(life);
                    seen.taken.insert(path);
                }
                Err(error) => {
                    if !seen.unusable.contains(&path) {
                        tracing::error!(event = "journal_not_recovered", directory = %path.display(), %error);
                    }
                    unusable.insert(path);
                }
            }
        }
        for path in in_use.difference(&seen.locked) {
            tracing::error!(
                event = "journal_held_by_another_process",
                directory = %path.display(),
                advice = "its usage is not sent until that process ends: it is the gateway that this one takes over \
                          from, a second gateway with the same `name`, or a process that has no business with the lock"
            );
        }
        (seen.unusable, seen.locked) = (unusable, in_use);
        lives.sort_by_key(|life: &DeadLife| life.directory.boot());
        Ok(lives)
    }

    fn open(&self, directory: BootDirectory) -> io::Result<DeadLife> {
        let names: Arc<[_]> = names::read(directory.path())?.into();
        let mut life = DeadLife { lanes: Vec::new(), directory, unreadable_files: 0 };
        for lane in life.directory.lanes()? {
            let stream = life.directory.stream(lane)?;
            let seal = Seal::of(&stream.to_string());
            let place = Place { directory: life.directory.path().to_owned(), lane, seal };
            let spool = Spool::find(place, Arc::clone(&self.budget))?;
            life.unreadable_files += spool.unreadable_files();
            let mut dead = DeadLane::without_ring(Arc::clone(&names), Arc::clone(&self.backlog));
            let path = life.directory.ring(lane);
            match DeadRing::open(&path, seal) {
                Ok((file, recovered)) => {
                    if recovered.header_damaged {
                        tracing::warn!(event = "journal_header_damaged", file = %path.display());
                    }
                    dead = dead.with_ring(file, recovered, &path, &self.budget);
                }
                Err(RecoverError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(RecoverError::Io(error)) => return Err(error),
                Err(error @ RecoverError::NotARing(_)) => {
                    life.unreadable_files += 1;
                    tracing::error!(event = "journal_ring_unreadable", file = %path.display(), %error);
                }
            }
            life.lanes.push(LaneReader::dead(stream, spool, dead));
        }
        Ok(life)
    }
}

impl DeadLife {
    /// The life as the store knows it.
    pub(crate) fn life(&self) -> io::Result<Life> {
        self.directory.life()
    }

    /// Number of files that cannot be read, not even how many entries they held.
    pub(crate) const fn unreadable_files(&self) -> u64 {
        self.unreadable_files
    }

    /// Removes the files once every lane is drained. A life with unreadable files keeps them all.
    pub(crate) fn remove(self) -> io::Result<()> {
        drop(self.lanes);
        if self.unreadable_files > 0 {
            let path = self.directory.path().display();
            return Err(io::Error::other(format!(
                "{path} holds files that cannot be read; remove it once the cause is known"
            )));
        }
        self.directory.remove()
    }
}
