//! Drills: real load, real harm, and books that must balance afterwards.
//!
//! A drill sends load from a client that counts the answers it received in full, harms a process or
//! a server while it runs, and ends with `received <= billed <= accepted by the upstream`, for
//! every key, and a clean `billing audit`. A drill that spends a limit also compares the admitted
//! requests with the allowed ones; a drill that makes changes also reports how soon every gateway
//! showed them; a drill that harms the servers of the upstream counts the requests that fail.

mod billing_kill9;
mod broker_down;
mod close_month;
mod error;
mod gateway_kill9;
mod harm;
mod ingest_kill9;
mod limits_fleet;
mod outage;
mod outcome;
mod payments_kill9;
mod postgres_down;
mod quota_kill9;
mod relay;
mod reload_upgrade;
mod replay;
mod revocation;
mod spool_full;
mod upgrade;
mod upstream_faults;

pub use billing_kill9::closing::Closing;
pub use close_month::{documents::DocumentFigures, figures::MonthFigures};
pub use error::DrillError;
pub use harm::Times;
pub use limits_fleet::phase::LimitPhase;
pub use outage::figures::{Cores, OutageFigures, StageFigures};
pub use outcome::{Drill, Outcome};
pub use payments_kill9::charges::Charges;
pub use reload_upgrade::counts::{Changeover, ClientCounts};
pub use revocation::reach::Reach;

/// Every drill.
pub static DRILLS: [Drill; 16] = [
    gateway_kill9::DRILL,
    ingest_kill9::DRILL,
    broker_down::DRILL,
    postgres_down::DRILL,
    spool_full::DRILL,
    upgrade::DRILL,
    reload_upgrade::DRILL,
    replay::DRILL,
    quota_kill9::DRILL,
    limits_fleet::DRILL,
    revocation::DRILL,
    outage::DRILL,
    upstream_faults::DRILL,
    billing_kill9::DRILL,
    payments_kill9::DRILL,
    close_month::DRILL,
];
