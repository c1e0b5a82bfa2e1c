//! The promises of the store on both engines: every test runs against a SQLite file and against a
//! real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]

mod aborted_requests;
mod admin_key;
mod audit_log;
mod bank_entry;
mod booking;
mod booking_interleaving;
mod booking_survival;
mod budget;
mod change_feed;
mod change_log;
mod credit;
mod dead_letters;
mod deferral;
mod dispute;
mod export;
mod fixture;
mod gaps;
mod idempotency;
mod invoice;
mod invoice_history;
mod job;
mod key;
mod lease_close;
mod lease_close_model;
mod ledger;
mod limit_bank;
mod lives;
mod lost_entries;
mod member;
mod migrations;
mod outbox;
mod payment_attempt;
mod payout;
mod plan;
mod positions;
mod quarantine;
mod quota;
mod reconcile;
mod retention;
mod store_errors;
mod subscription;
mod tenant;
mod tenant_move;
mod tenant_tree;
mod thresholds;
mod unknown_zone;
mod usage_event;
mod usage_event_order;
mod usage_report;
mod wallet;
mod wallet_history;
