//! The store: the engine under all nouns, one code for SQLite and PostgreSQL, portable SQL over
//! `sqlx::Any`.
//!
//! It knows no noun: the statements of a noun stand with its type and rules, in the noun's own
//! folder.
//!
//! Invariant: ids are text, times are epoch microseconds, amounts are minor units, a flag is `0` or
//! `1`. Every change that gateways must see writes a row of the change log in its own transaction,
//! one writer at a time, so that the order of sequence numbers is the order of commits.

mod address;
pub(crate) mod audit_action;
pub(crate) mod audit_log;
pub(crate) mod bulk;
pub(crate) mod change_log;
mod connect;
mod error;
pub(crate) mod idempotency;
mod migrate;
mod page;
mod probe;
pub(crate) mod row;
pub(crate) mod scope;
pub(crate) mod search;
pub(crate) mod spans;
pub(crate) mod transaction;

pub use self::{
    audit_action::AuditAction,
    audit_log::{AuditEntry, AuditFilter},
    change_log::{Change, Changed},
    connect::{Engine, Store},
    error::StoreError,
    migrate::{Migrated, SCHEMA_VERSION},
    page::{Page, PageRequest},
};
