//! What the store promises, on both engines: every test runs against a SQLite file and against a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

mod aborted;
mod audit;
mod bank;
mod booking;
mod catalog;
mod changes;
mod control;
mod dead_letters;
mod faults;
mod feed;
mod fixture;
mod gaps;
mod grants;
mod interleaving;
mod lives;
mod lost;
mod migrations;
mod moves;
mod positions;
mod quarantine;
mod quota;
mod quota_credit;
mod quota_lives;
mod quota_thresholds;
mod retention;
mod survival;
mod tree;
mod zones;
