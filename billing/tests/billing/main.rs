//! The promises of `billing`, kept by the real binary against a SQLite file and against real
//! servers.

#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]

mod api;
mod budgets;
mod caps;
mod command;
mod consolidated;
mod deployment;
mod documents;
mod drills;
mod golden;
mod histories;
mod ingest;
mod ingest_kafka;
mod invoice;
mod issue;
mod issue_terms;
mod jobs;
mod mail;
mod members;
mod outbox_kills;
mod parts;
mod payers;
mod payments;
mod publish;
mod receiver;
mod reconcile;
mod retention;
mod schema;
mod thresholds;
mod tls;
mod topic;
mod webhooks;
