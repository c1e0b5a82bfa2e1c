//! The store: one code for SQLite and PostgreSQL, portable SQL over `sqlx::Any`.
//!
//! Each file holds the statements of one thing. What holds throughout: ids are text, times are epoch microseconds,
//! amounts are minor units, flags are 0 or 1; every change that gateways must see writes a row of the change log in its
//! own transaction, one writer at a time, so that the order of sequence numbers is the order of commits.

mod address;
mod booking;
mod changes;
mod connect;
mod error;
mod insert;
mod keys;
mod migrate;
mod plans;
mod quota;
mod row;
mod stream;
mod tenants;
mod transaction;
mod usage;

pub use booking::Booked;
pub use changes::{Catalog, Change, Changed};
pub use connect::{Engine, Store};
pub use error::StoreError;
pub use keys::{KeyRotation, NewKey};
pub use migrate::Migrated;
pub use plans::{AppliedPlan, PlanOutcome, Subscription};
pub use tenants::{NewTenant, TENANT_DEPTH_MAX};
pub use usage::{RefusalSum, UsageFilter, UsageSum};
