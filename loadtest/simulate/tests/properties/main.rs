//! The bank's promises, each over random worlds of gateways with a network, a Redis and what goes wrong with them. The
//! gateways' accounts and schedulers are the real ones, and so is the script. `PROPTEST_CASES` raises the number of worlds.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bounds;
mod concurrency;
mod fairness;
mod order;
mod restore;
mod schedules;
mod script;
