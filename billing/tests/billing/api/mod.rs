//! The business API, as callers meet it: the real program on SQLite and on PostgreSQL.

mod bad_input;
mod credit;
mod documents;
mod fixture;
mod grants;
mod idempotency;
mod keys;
mod plans;
mod reports;
mod schemathesis;
mod tenants;
mod walk;
