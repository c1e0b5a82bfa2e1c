//! Invoices of a period: which plan a tenant is billed by, what it used, and the lines that follow.
//!
//! A tenant is billed if one of its subscriptions overlaps the period on the tenant's own clock: for what it used while a
//! subscription of its own was in force, and for what everybody below it used while they had none of their own on the
//! way up to it. If several subscriptions overlap the period, as after a plan change, the flat fee is that of the last one,
//! and each meter has the price list of the last one that prices it. What was used beyond a hard quota is owed and on no
//! bill ([`caps`]). Everything here is a draft, computed from the usage
//! booked so far; the same usage gives the same bytes.

mod caps;
mod gather;
mod json;
mod payers;
mod table;

use common::{
    id::TenantId,
    money::{Currency, Money},
    plan::PlanId,
    store::StoreError,
    time::{Period, TimeError, Window, Zone},
};
pub use gather::{PeriodChoice, draft};
pub use json::to_json;
pub use table::to_table;

use crate::rating::{Line, RatingError};

/// Why invoices could not be drafted.
#[derive(Debug, thiserror::Error)]
pub enum InvoiceError {
    /// The store did not give what is needed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The period has no borders on some clock.
    #[error("period on the clocks of {zone}: {source}")]
    Period {
        /// The time zone.
        zone: String,
        /// What is wrong with it.
        source: TimeError,
    },
    /// The sums of usage do not fit.
    #[error(transparent)]
    Sum(RatingError),
    /// Refusals do not fit.
    #[error("the refusals of tenant {0} add up to more than can be counted")]
    Refusals(TenantId),
    /// The clock of a tenant is not known.
    #[error("clock of tenant {tenant}: {source}")]
    Clock {
        /// Whose clock it is.
        tenant: TenantId,
        /// What is wrong with it.
        source: TimeError,
    },
    /// A plan of a tenant was not read.
    #[error("the plan of tenant {0} was not read")]
    Plan(TenantId),
    /// The usage of a tenant could not be rated.
    #[error("tenant {tenant}, plan {plan} version {version}: {source}")]
    Rating {
        /// Whose usage it is.
        tenant: TenantId,
        /// The plan it is rated by.
        plan: PlanId,
        /// Its version.
        version: i64,
        /// What is wrong.
        source: RatingError,
    },
}

impl InvoiceError {
    /// Returns true if others can be billed all the same.
    const fn is_of_one_tenant(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, StoreError::Corrupt { .. } | StoreError::NotFound { .. }),
            _ => true,
        }
    }
}

/// Every invoice draft of a period, and the usage that no invoice holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drafts {
    /// The period; if none was named, the one that holds the instant on the clocks of UTC.
    pub period: Period,
    /// One per billed tenant, by the tenants' creation.
    pub invoices: Vec<Invoice>,
    /// Tenants whose invoice could not be drafted, by the tenants' creation.
    pub failed: Vec<FailedDraft>,
    /// Usage of tenants that the store does not know, in the period on the clocks of UTC, by tenant.
    pub unknown_tenants: Vec<UnbilledUsage>,
    /// Billable usage at times at which its tenant had no subscription, of its own or inherited, by the tenants' creation.
    pub unsubscribed_tenants: Vec<UnbilledUsage>,
}

/// A tenant whose invoice could not be drafted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedDraft {
    /// The tenant.
    pub tenant: TenantId,
    /// What people call it.
    pub tenant_name: String,
    /// Why it could not be billed.
    pub reason: String,
}

/// Usage that no invoice holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnbilledUsage {
    /// Whose usage it is.
    pub tenant: TenantId,
    /// How much.
    pub units: u64,
}

/// What one tenant owes for one period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    /// Who owes.
    pub tenant: TenantId,
    /// What people call it.
    pub tenant_name: String,
    /// The plan.
    pub plan: PlanId,
    /// Its name on invoices.
    pub plan_name: String,
    /// Its version.
    pub plan_version: i64,
    /// The currency of all amounts.
    pub currency: Currency,
    /// The clock of the period.
    pub zone: Zone,
    /// The period on that clock.
    pub window: Window,
    /// What was counted, for information.
    pub counts: Counts,
    /// What makes up the total.
    pub lines: Vec<Line>,
    /// The sum of the lines.
    pub total: Money,
}

/// What was counted in a period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were forwarded and answered.
    pub requests: u64,
    /// Those of them that are billed.
    pub billable_requests: u64,
    /// Units that are billed, over all meters.
    pub billable_units: u64,
    /// Requests under test keys.
    pub test_requests: u64,
    /// Requests that the gateway itself refused.
    pub refused_requests: u64,
}
