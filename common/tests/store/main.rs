//! What the store promises, on both engines: every test runs against a SQLite file and against a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

mod booking;
mod catalog;
mod changes;
mod faults;
mod harness;
mod interleaving;
mod migrations;
mod quota;
mod survival;
