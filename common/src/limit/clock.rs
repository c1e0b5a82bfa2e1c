//! The clock of rate limits: nanoseconds that only ever grow, whatever happens to the wall clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};

use super::NANOS_PER_SECOND;

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

    /// Nanoseconds since some instant in the past, the same one for the whole process.
    #[inline]
    pub fn nanos(&self) -> u64 {
        match &self.0 {
            Source::Machine => machine_nanos(),
            Source::Manual(nanos) => nanos.load(Ordering::Acquire),
        }
    }
}

/// The monotonic clock as it is: an `Instant` can only be asked for a difference, which takes half
/// as long again. The C library is asked, so that the call also works under Valgrind.
#[inline]
fn machine_nanos() -> u64 {
    // Every Linux has this clock.
    let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC) else { return 0 };
    let (seconds, nanos) = (u64::try_from(now.tv_sec()).unwrap_or(0), u64::try_from(now.tv_nsec()).unwrap_or(0));
    seconds * NANOS_PER_SECOND + nanos
}

/// A duration in nanoseconds; 584 years at most.
#[inline]
pub fn whole_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
