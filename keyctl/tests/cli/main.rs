//! The real binary against a real store: what admins and their scripts rely on.

#![expect(clippy::unwrap_used, reason = "what these helpers do must work for a test to go on")]

mod fixture;

mod admin_keys;
mod api;
mod audit_log;
mod both;
mod catalog;
mod credit;
mod documents;
mod keys;
mod plans;
mod schema;
mod scripts;
mod subscriptions;
mod tenants;
mod terminal;
mod tls;
mod usage;
mod usage_events;
mod wallets;
