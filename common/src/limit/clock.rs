//! The clock of rate limits: nanoseconds that only ever grow, whatever happens to the wall clock.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Where the machine's clock starts to count. One origin for the whole process, so that readings compare.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A monotonic clock: the machine's, or one that a test moves by hand.
#[derive(Debug, Clone, Default)]
pub struct Clock(Source);

#[derive(Debug, Clone, Default)]
enum Source {
    #[default]
    Machine,
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands still until it is advanced; its clones move with it.
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::default()))
    }

    /// Moves a manual clock; the machine's goes its own way.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(nanos) = &self.0 {
            nanos.fetch_add(whole_nanos(by), Ordering::AcqRel);
        }
    }

    /// Nanoseconds since the start of the process.
    #[inline]
    pub fn nanos(&self) -> u64 {
        match &self.0 {
            Source::Machine => whole_nanos(ORIGIN.elapsed()),
            Source::Manual(nanos) => nanos.load(Ordering::Acquire),
        }
    }
}

/// A duration in nanoseconds; 584 years at most.
#[inline]
pub fn whole_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
