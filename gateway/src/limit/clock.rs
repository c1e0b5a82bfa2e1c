//! The clock of rate limits.

pub use common::limit::Clock;
