//! Hard quotas and prepaid credit: units are drawn from the store in blocks ahead of demand and
//! spent from memory.
//!
//! Invariant: sum of grants - refunds <= limit. The row in the store is the only source, and each
//! block is spent by one gateway alone.
//!
//! A tenant shares its hard quota with all tenants below it. A request takes its units from each
//! quota on the way up the tree and from its tenant's credit, or from none. Units count as they are
//! billed: of billable answers under live keys, in the month in which the request was admitted. The
//! journal therefore holds what a life of the gateway used. Once all of it is booked, the store
//! grants the units anew that a crashed life still held.

mod account;
mod book;
mod cell;
mod hold;
mod keeper;
mod queue;
#[cfg(test)]
mod tests;

pub(crate) use account::QuotaAccount;
pub(crate) use book::Allowance;
pub use book::QuotaBook;
pub(super) use cell::{QuotaCell, Refused};
pub(super) use hold::Holds;
pub use keeper::QuotaKeeper;
