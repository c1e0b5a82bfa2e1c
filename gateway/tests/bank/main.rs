//! Limits that several gateways share through a real Redis: all tests of the bank with a real
//! server stand here. Whatever happens to the server, never more is admitted than the burst and
//! what refills.
//!
//! A gateway here is a catalog, a limiter and the workers of a bank, as in a process, without the
//! proxy around them.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

mod bound;
mod cluster;
mod concurrency;
mod data;
mod fixture;
mod outage;
mod owners;
mod state;
mod tls;
