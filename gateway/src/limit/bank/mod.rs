//! The token bank: limits that many gateways share without counting each request at one place.
//!
//! A gateway draws tokens ahead of demand and spends them from memory. The bank is a script in
//! Redis (`script.lua`). For each shard a gateway has at most one call under way, about all limits
//! that run low.
//!
//! Invariant: the tokens at the bank and at all gateways are never more than the burst. So over
//! every stretch of time W at most `burst + rate x W` requests are admitted, whatever the number of
//! gateways.
//!
//! While the bank is away, each of the N gateways that it knew of admits an N-th of what was left
//! and of the rate. It owes the bank what it admits in that time.
//!
//! Permits of concurrency limits are drawn by the same script in the same calls. They come back
//! when requests end.
//!
//! Invariant: all gateways together never have more than `limit` permits in use.

mod account;
mod address;
mod call;
mod cluster;
mod concurrency;
mod draw;
mod error;
mod estimate;
mod handle;
mod health;
mod lease;
mod metrics;
mod queue_state;
mod redis;
mod request;
mod restore;
mod scheduler;
#[cfg(test)]
mod tests;
mod worker;

pub use account::{Account, Debit, LEASE};
pub use address::BankAddress;
pub use call::Call;
pub use concurrency::ConcurrencyAccount;
pub use draw::{Answer, Argument, Draw, Grant, Kind, Loss};
pub use error::BankError;
pub use estimate::Estimate;
pub use handle::Bank;
pub use health::BankReport;
pub use queue_state::Shortage;
pub use request::DrawRequest;
pub use restore::RestoreCall;
pub use scheduler::{Scheduler, SchedulerSettings};
pub use worker::BankWorkers;

/// The script of the bank, for Redis 5 and later.
pub const SCRIPT: &str = include_str!("script.lua");

/// The script that restores lost data.
pub const RESTORE_SCRIPT: &str = include_str!("restore.lua");

/// Number of shards: parts of the bank with their own calls and, in a Redis Cluster, their own
/// server. Not a setting: gateways with different numbers would keep two buckets for one limit.
pub const SHARDS: usize = 16;

/// Settings of the bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankSettings {
    /// Address of the Redis or Redis Cluster.
    pub address: BankAddress,
    /// Least time between two calls of a shard that no request waits for.
    pub tick: std::time::Duration,
    /// Longest duration of a call.
    pub timeout: std::time::Duration,
    /// Gateways that share the limits while the bank is away, unless it knew of more.
    pub gateways: u64,
}
