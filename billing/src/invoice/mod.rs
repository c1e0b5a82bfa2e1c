//! Invoices of a period: which plan a tenant is billed by, what it used, and the lines that follow.
//!
//! A tenant is billed if one of its subscriptions overlaps the period on the tenant's own clock, and for everybody below
//! it who has none of their own on the way up to it. If several do, as
//! after a plan change, the last one rates the whole period: splitting it is not part of this version. Everything here
//! is a draft, computed from the usage booked so far; the same usage gives the same bytes.

mod gather;
mod json;
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
        zone: Zone,
        /// What is wrong with it.
        source: TimeError,
    },
    /// The sums of usage do not fit.
    #[error(transparent)]
    Sum(RatingError),
    /// Refusals do not fit.
    #[error("the refusals of tenant {0} add up to more than can be counted")]
    Refusals(TenantId),
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

/// Every invoice draft of a period, and the usage that no invoice holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drafts {
    /// The period; if none was named, the one that holds the instant on the clocks of UTC.
    pub period: Period,
    /// One per billed tenant, by the tenants' creation.
    pub invoices: Vec<Invoice>,
    /// Usage of tenants that the store does not know, in the period on the clocks of UTC, by tenant.
    pub unknown_tenants: Vec<UnbilledUsage>,
    /// Billable usage of tenants without a subscription in the period, of their own or inherited, by the tenants' creation.
    pub unsubscribed_tenants: Vec<UnbilledUsage>,
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
