//! The promises of `billing`, kept by the real binary against a SQLite file.

#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]

mod ingest;
mod invoices;
mod process;
mod site;
