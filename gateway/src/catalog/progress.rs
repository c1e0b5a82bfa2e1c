//! Progress of the catalog: the last change that it contains, and the time at which the store last
//! held nothing newer.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use common::{change::ChangeMark, time::Micros};
use serde::Serialize;

use crate::lock::locked;

/// The source that the catalog was last confirmed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The store answered since the start.
    Store,
    /// Not yet: it is what the snapshot file held.
    Snapshot,
}

impl Source {
    /// The name in logs and health reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Snapshot => "snapshot",
        }
    }
}

pub(super) struct Progress {
    mark: Mutex<ChangeMark>,
    loaded: AtomicBool,
    last_change: AtomicI64,
    current_at: AtomicI64,
    /// True once the store has answered since the start.
    confirmed: AtomicBool,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            mark: Mutex::new(ChangeMark::NONE),
            loaded: AtomicBool::new(false),
            last_change: AtomicI64::new(0),
            current_at: AtomicI64::new(0),
            confirmed: AtomicBool::new(false),
        }
    }
}

impl Progress {
    /// All changes up to `mark` are contained.
    pub(super) fn reached(&self, mark: ChangeMark) {
        self.last_change.store(mark.seq, Ordering::Release);
        *locked(&self.mark) = mark;
        self.loaded.store(true, Ordering::Release);
    }

    /// The store held nothing newer at `at`.
    pub(super) fn current(&self, at: Micros) {
        self.current_at.store(at.0, Ordering::Release);
        self.confirmed.store(true, Ordering::Release);
    }

    /// The catalog comes from a file that was written at `at`.
    pub(super) fn restored(&self, at: Micros) {
        self.current_at.store(at.0, Ordering::Release);
    }

    pub(super) fn source(&self) -> Option<Source> {
        let source = if self.confirmed.load(Ordering::Acquire) { Source::Store } else { Source::Snapshot };
        self.is_loaded().then_some(source)
    }

    pub(super) fn mark(&self) -> ChangeMark {
        locked(&self.mark).clone()
    }

    pub(super) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    pub(super) fn last_change(&self) -> i64 {
        self.last_change.load(Ordering::Acquire)
    }

    pub(super) fn staleness(&self, now: Micros) -> Option<Duration> {
        let age = now.0.saturating_sub(self.current_at.load(Ordering::Acquire)).max(0);
        self.is_loaded().then(|| Duration::from_micros(age.unsigned_abs()))
    }
}
