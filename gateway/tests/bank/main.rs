//! Limits that several gateways share through a real Redis: never more than the burst and what refills, whatever
//! happens to the server.
//!
//! Gateways here are a catalog, a limiter and the bank's client each, as in a process, without the proxy around them.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

mod bound;
mod cluster;
mod concurrency;
mod data;
mod fixture;
mod outage;
mod owners;
mod standing;
mod tls;
