//! Invoices of a period: the plan that a tenant is billed by, its usage, and the lines that follow.
//!
//! A tenant is billed if one of its subscriptions overlaps the period in the tenant's own time
//! zone: for its usage while a subscription of its own was in force, and for the usage of tenants
//! below it while no tenant on the way up to it had one. If several subscriptions overlap the
//! period, as after a plan change, the flat fee is that of the last one, and each meter has the
//! price list of the last one that prices it. Usage beyond a hard quota is owed and on no bill
//! ([`caps`]). Everything here is a draft, computed from the usage booked so far; the same usage
//! gives the same bytes.

mod billed;
mod caps;
mod complete;
mod consolidate;
mod draft;
mod explain;
mod issue;
mod json;
mod late;
mod parts;
mod payers;
mod period;
mod plans;
mod preview;
mod progress;
mod recorded;
mod simulate;
mod spending;
mod table;

pub use common::invoice::Counts;
use common::{
    id::TenantId,
    invoice::BilledUsage,
    money::{Currency, Money},
    plan::PlanId,
    store::StoreError,
    time::{Period, TimeError, Window, Zone},
};
pub use complete::{Missing, missing};
pub use draft::draft;
pub use explain::{Comparison, Explanation, explain};
pub use issue::{
    IssueOptions, IssuedInvoice, NotDue, Run, bills_due, issue, issue_due, issue_due_watched, issue_watched, last_ended,
};
pub use json::{run_to_json, to_json};
pub use period::PeriodChoice;
pub use preview::preview;
pub use progress::{Progress, Watch};
pub use simulate::{MONTHS_MAX, Simulated, Simulation, simulate};
pub use spending::{Spending, spending};
pub use table::{run_to_table, simulation_to_table, to_table};

use crate::rating::{Line, RatingError};

/// Reason why invoices could not be drafted.
#[derive(Debug, thiserror::Error)]
pub enum InvoiceError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The period has no bounds in some time zone.
    #[error("period on the clocks of {zone}: {source}")]
    Period {
        /// The time zone.
        zone: String,
        /// Fault of the time zone.
        source: TimeError,
    },
    /// The sums of usage do not fit.
    #[error(transparent)]
    Sum(RatingError),
    /// Refusals do not fit.
    #[error("the refusals of tenant {0} add up to more than can be counted")]
    Refusals(TenantId),
    /// The time zone of a tenant is unknown.
    #[error("clock of tenant {tenant}: {source}")]
    Clock {
        /// The tenant.
        tenant: TenantId,
        /// Fault of the time zone.
        source: TimeError,
    },
    /// A plan of a tenant was not read.
    #[error("the plan of tenant {0} was not read")]
    Plan(TenantId),
    /// The bill of a tenant could not be drafted.
    #[error("{0}")]
    NotDrafted(String),
    /// The usage of a tenant could not be rated.
    #[error("tenant {tenant}, plan {plan} version {version}: {source}")]
    Rating {
        /// The tenant.
        tenant: TenantId,
        /// The plan that rates its usage.
        plan: PlanId,
        /// Its version.
        version: i64,
        /// Fault of the rating.
        source: RatingError,
    },
}

impl InvoiceError {
    /// Returns true if other tenants can still be billed.
    const fn is_of_one_tenant(&self) -> bool {
        match self {
            Self::Store(error) => match error {
                StoreError::Corrupt { .. } | StoreError::NotFound { .. } => true,
                StoreError::Url { .. }
                | StoreError::Unavailable { .. }
                | StoreError::SchemaOlder { .. }
                | StoreError::SchemaNewer { .. }
                | StoreError::ReadOnly(_)
                | StoreError::Locked(_)
                | StoreError::Refused(_)
                | StoreError::Conflict(_)
                | StoreError::Stale { .. }
                | StoreError::Replayed { .. }
                | StoreError::IdempotencyMismatch
                | StoreError::PositionMoved { .. }
                | StoreError::Database(_) => false,
            },
            Self::Period { .. }
            | Self::Sum(_)
            | Self::Refusals(_)
            | Self::Clock { .. }
            | Self::Plan(_)
            | Self::NotDrafted(_)
            | Self::Rating { .. } => true,
        }
    }
}

/// Every invoice draft of a period, and the usage that no invoice holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drafts {
    /// The period; if none was named, the month of the instant in UTC.
    pub period: Period,
    /// One invoice per billed tenant, by the tenants' creation.
    pub invoices: Vec<Invoice>,
    /// Tenants whose invoice could not be drafted, by the tenants' creation.
    pub failed: Vec<FailedDraft>,
    /// Usage of unknown tenants, in the period in UTC, by tenant.
    pub unknown_tenants: Vec<UnbilledUsage>,
    /// Billable usage of tenants without a subscription, of their own or inherited, by the tenants'
    /// creation.
    pub unsubscribed_tenants: Vec<UnbilledUsage>,
}

/// A tenant whose invoice could not be drafted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedDraft {
    /// The tenant.
    pub tenant: TenantId,
    /// Name for people.
    pub tenant_name: String,
    /// Reason why it could not be billed.
    pub reason: String,
}

/// Usage that no invoice holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnbilledUsage {
    /// The tenant.
    pub tenant: TenantId,
    /// Number of units.
    pub units: u64,
}

/// The amount that one tenant owes for one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    /// The tenant that sells: the owner of the plan.
    pub issuer: TenantId,
    /// The tenant.
    pub tenant: TenantId,
    /// Name for people.
    pub tenant_name: String,
    /// The plan.
    pub plan: PlanId,
    /// Its name on invoices.
    pub plan_name: String,
    /// Its version.
    pub plan_version: i64,
    /// The currency of all amounts.
    pub currency: Currency,
    /// The time zone of the period.
    pub zone: Zone,
    /// The period in that time zone.
    pub window: Window,
    /// The greatest part of the period that was billed before; 0 if none was.
    pub last_part: u32,
    /// Counts for information.
    pub counts: Counts,
    /// The lines that make up the total.
    pub lines: Vec<Line>,
    /// The sum of the lines, without tax.
    pub total: Money,
    /// Usage that it bills.
    pub usage: Vec<BilledUsage>,
    /// SHA-256 of what it was computed from, in hexadecimal.
    pub input_hash: String,
}
