//! The bank's promises, each over random schedules: gateways, a network, a Redis, and faults. The
//! gateways' accounts and schedulers are the real ones, and so is the script. `PROPTEST_CASES` sets
//! the number of schedules.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bounds;
mod concurrency;
mod fairness;
mod order;
mod restore;
mod schedules;
mod script;
