//! The promises of `billing`, kept by the real binary against a SQLite file and against real servers.

#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]

mod api;
mod books;
mod caps;
mod changes;
mod drills;
mod fixture;
mod histories;
mod ingest;
mod invoices;
mod kafka;
mod payers;
mod process;
mod schema;
mod thresholds;
mod topic;
