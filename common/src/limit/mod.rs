//! Rate limits, decided from local memory: one atomic number each, in nanoseconds, whoever is
//! limited and why.

mod bank;
mod clock;
mod rate;
mod state;

pub use clock::{Clock, whole_nanos};
pub use rate::{Rate, RateCell};
pub use state::LimitState;

/// Nanoseconds in one second.
pub const NANOS_PER_SECOND: u64 = 1_000_000_000;
