//! The business API, as callers meet it: the real program on SQLite and on PostgreSQL.

mod access;
mod admin_keys;
mod audit_log;
mod bad_input;
mod bank;
mod credit;
mod documents;
mod fixture;
mod idempotency;
mod invoices;
mod keys;
mod notifications;
mod papers;
mod plans;
mod schemathesis;
mod subscriptions;
mod tenants;
mod usage_events;
mod usage_report;
mod wallet;
