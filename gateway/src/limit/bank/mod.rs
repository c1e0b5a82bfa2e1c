//! The token bank: limits that many gateways share, without counting at one place for each request.
//!
//! A gateway never counts and reports; it draws tokens ahead of demand and spends them from memory. The bank is a
//! script in Redis (`script.lua`), called at most once at a time by each gateway and shard, for all limits that run
//! low. Tokens at the bank and in all hands are never more than the burst, so over every stretch of time W at most
//! `burst + rate x W` requests are admitted, whatever the number of gateways.
//!
//! While the bank is away, each of the N gateways seen last admits a N-th: of what was left, and of the rate. What it
//! admits so is its debt when the bank is back.
//!
//! Slots for requests under way are drawn from the same script in the same calls. They come back when requests end, so
//! of them at most `limit` are in all hands at any time.

mod account;
mod client;
mod cluster;
mod counter;
mod draw;
mod errand;
mod front;
mod lease;
mod link;
mod memory;
mod metrics;
mod seen;
mod slots;
mod teller;
#[cfg(test)]
mod tests;

pub use account::{Account, Debit, LEASE};
pub use client::BankClient;
pub use counter::{Bank, BankReport};
pub use draw::{Answer, Argument, Draw, Grant, Kind, Loss};
pub use errand::Errand;
pub use front::Short;
pub use link::{BankAddress, BankError};
pub use memory::Tell;
pub use seen::Standing;
pub use slots::SlotAccount;
pub use teller::{Call, Teller, TellerSettings};

/// The bank itself, for Redis 5 and later.
pub const SCRIPT: &str = include_str!("script.lua");

/// Takes what a gateway knows after a loss of data.
pub const RESTORE_SCRIPT: &str = include_str!("restore.lua");

/// Parts into which limits fall, each with its own calls and, on a Redis Cluster, its own place. Not a setting:
/// gateways that disagreed would keep two buckets for one limit.
pub const SHARDS: usize = 16;

/// How a gateway uses the bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankSettings {
    /// Where it is.
    pub address: BankAddress,
    /// How often each shard is called at most, unless a request waits.
    pub tick: std::time::Duration,
    /// How long a call may take.
    pub timeout: std::time::Duration,
    /// Gateways that share the limits while the bank is away, unless it saw more.
    pub gateways: u64,
}
