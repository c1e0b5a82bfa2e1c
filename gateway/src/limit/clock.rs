//! The clock of rate limits.

pub use common::limit::Clock;
pub(super) use common::limit::whole_nanos;
