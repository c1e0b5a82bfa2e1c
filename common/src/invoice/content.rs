//! The frozen content of an invoice: everything that its document says, so that it can be written
//! again years later, whatever has changed since.

use serde::{Deserialize, Serialize};

use super::{Address, InvoiceLine, tax::TaxRule};
use crate::{
    id::TenantId,
    money::Currency,
    plan::PlanId,
    time::{Micros, Window},
};

/// The content of a finalized invoice. Amounts are minor units of its currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceContent {
    /// The tenant that sells.
    pub issuer: Party,
    /// The tenant that owes.
    pub buyer: Party,
    /// The currency of all amounts.
    pub currency: Currency,
    /// The period that it bills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<BilledPeriod>,
    /// The plan that rates the period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PinnedPlan>,
    /// Counts for information.
    #[serde(default)]
    pub counts: Counts,
    /// Its lines.
    pub lines: Vec<InvoiceLine>,
    /// Tax by rule.
    pub taxes: Vec<TaxLine>,
    /// Sum of the lines without tax.
    pub subtotal_minor: i64,
    /// Sum of the tax.
    pub tax_minor: i64,
    /// Sections of an invoice for several tenants, in the order of the lines; none of an invoice
    /// for one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<Section>,
    /// The text that the issuer adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<String>,
    /// SHA-256 of what it was computed from, in hexadecimal; none for a one-off invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_hash: Option<String>,
}

/// A section of an invoice for several tenants: what one of them would have owed by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// The tenant.
    pub tenant: TenantId,
    /// Its name on invoices.
    pub name: String,
    /// The period that it bills.
    pub period: BilledPeriod,
    /// The part of the period, as that of an invoice.
    #[serde(default)]
    pub part: u32,
    /// The plan that rates the period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PinnedPlan>,
    /// Number of its lines: they follow those of the section before.
    pub lines: usize,
    /// Sum of its lines as they state their amounts, in minor units.
    pub subtotal_minor: i64,
    /// SHA-256 of what it was computed from, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_hash: Option<String>,
}

impl InvoiceContent {
    /// The lines of a section.
    pub fn lines_of(&self, section: usize) -> &[InvoiceLine] {
        let before: usize = self.sections.iter().take(section).map(|one| one.lines).sum();
        let count = self.sections.get(section).map_or(0, |one| one.lines);
        self.lines.get(before..before.saturating_add(count)).unwrap_or_default()
    }

    /// Place of the section that a line belongs to; none on an invoice for one tenant.
    pub fn section_of(&self, line: usize) -> Option<usize> {
        let mut end = 0;
        self.sections.iter().position(|one| {
            end += one.lines;
            line < end
        })
    }
}

/// A side of an invoice, as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The tenant.
    pub tenant: TenantId,
    /// Its legal name, or the tenant's name.
    pub name: String,
    /// Its postal address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
    /// The address that its mail goes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Its number with the tax authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tax_id: Option<String>,
}

/// The period of an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BilledPeriod {
    /// Its instants.
    pub window: Window,
    /// The time zone on whose clocks it begins and ends.
    pub zone: String,
}

/// A version of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedPlan {
    /// The tenant that the plan belongs to.
    pub owner: TenantId,
    /// The plan.
    pub id: PlanId,
    /// Its name on invoices.
    pub name: String,
    /// The version.
    pub version: i64,
}

/// Counts of a period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests that were forwarded and answered.
    pub requests: u64,
    /// Requests among them that are billed.
    pub billable_requests: u64,
    /// Units that are billed, over all meters.
    pub billable_units: u64,
    /// Requests under test keys.
    pub test_requests: u64,
    /// Requests that the gateway itself refused.
    pub refused_requests: u64,
}

impl Counts {
    /// The counts of both; none if they do not fit.
    pub fn plus(self, other: Self) -> Option<Self> {
        Some(Self {
            requests: self.requests.checked_add(other.requests)?,
            billable_requests: self.billable_requests.checked_add(other.billable_requests)?,
            billable_units: self.billable_units.checked_add(other.billable_units)?,
            test_requests: self.test_requests.checked_add(other.test_requests)?,
            refused_requests: self.refused_requests.checked_add(other.refused_requests)?,
        })
    }
}

/// Tax on the lines of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxLine {
    /// The rule.
    pub rule: TaxRule,
    /// Sum of its lines without tax, in minor units.
    pub net_minor: i64,
    /// Tax on it, in minor units.
    pub tax_minor: i64,
}

/// Usage that an invoice bills: what it adds to what earlier invoices of the same tenant and issuer
/// have billed of a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BilledUsage {
    /// Start of the period in which it was used.
    pub period_start: Micros,
    /// The meter.
    pub meter: String,
    /// Place of the plan among those of the period, by start; none for units that no plan charges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<usize>,
    /// Units that the plan charges or includes.
    #[serde(default)]
    pub units: i64,
    /// Requests that they came from.
    #[serde(default)]
    pub requests: i64,
    /// Units that were paid from credit.
    #[serde(default)]
    pub credit: i64,
    /// Units beyond a hard quota.
    #[serde(default)]
    pub beyond_quota: i64,
    /// Place of the section of an invoice for several tenants that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub section: Option<usize>,
}
