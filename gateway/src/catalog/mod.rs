//! All tenants, plans and keys in memory, following the store's change log.
//!
//! Keys sit in a sharded map and change one by one. Each key holds the slot in which the standing
//! of its tenant is kept, so that a request looks up one thing only; when a tenant changes, its
//! slot and those of everybody below it are set anew. Rate cells and quota leases belong to their
//! owner, not to its entry: no reload refills a bucket. The catalog is also kept in a file, from
//! which a gateway starts while the store is down.

mod by_hash;
mod by_id;
mod caller;
mod entry;
#[cfg(test)]
pub(crate) mod fixture;
mod follow;
mod last_use;
mod load;
mod memory;
mod progress;
mod snapshot;
mod terms;
#[cfg(test)]
mod tests;
mod tree;

pub use caller::Caller;
pub use entry::{KeyEntry, Standing, TenantEntry};
pub use memory::Catalog;
pub use progress::Source;
pub use snapshot::{SnapshotError, SnapshotKeeper};
