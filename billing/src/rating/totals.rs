//! Summing the hourly usage of a period into what rating needs, one row at a time and in any order.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
};

use common::{
    id::TenantId,
    key::Mode,
    plan::price::Measured,
    usage::{PaidBy, rollup::UsageRollup, sum::UsageSum},
};

use super::RatingError;

/// Usage that is added to totals.
#[derive(Debug, Clone, Copy)]
pub struct Used<'a> {
    /// Tenant that used it.
    pub tenant: TenantId,
    /// Meter that is counted.
    pub meter: &'a str,
    /// Mode of the key.
    pub mode: Mode,
    /// True if it is billed.
    pub billable: bool,
    /// Source that pays for it.
    pub paid: PaidBy,
    /// Requests.
    pub requests: u128,
    /// Units.
    pub units: u128,
}

/// Usage of a period per tenant and meter, or per bill of a tenant that gets several. It allocates
/// per bill and meter, never per row.
#[derive(Debug, Clone)]
pub struct Totals<K = TenantId> {
    bills: HashMap<K, TenantTotals>,
}

/// Usage of one tenant in a period.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantTotals {
    /// All requests that were forwarded and answered.
    pub requests: u64,
    /// Billed requests.
    pub billable_requests: u64,
    /// Requests under test keys.
    pub test_requests: u64,
    /// All units, billed or not.
    pub units: u64,
    /// Units that are billed, over all meters.
    pub billable_units: u64,
    billable_by_meter: BTreeMap<String, MeterTotals>,
}

/// Billed units of one meter in a period.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MeterTotals {
    /// Units that plans pay for or charge, by the place of the plan among those of the period.
    pub charged: Vec<Measured>,
    /// Units that were paid for in advance.
    pub credit: u64,
    /// Units beyond a hard quota: owed, and on no bill.
    pub beyond_quota: u64,
}

impl<K> Default for Totals<K> {
    fn default() -> Self {
        Self { bills: HashMap::new() }
    }
}

impl<'a> From<&'a UsageRollup> for Used<'a> {
    fn from(sum: &'a UsageRollup) -> Self {
        let UsageRollup { tenant, meter, mode, billable, paid, requests, units, .. } = sum;
        let (requests, units) = ((*requests).into(), (*units).into());
        Self { tenant: *tenant, meter, mode: *mode, billable: *billable, paid: *paid, requests, units }
    }
}

impl<'a> From<&'a UsageSum> for Used<'a> {
    fn from(sum: &'a UsageSum) -> Self {
        let UsageSum { tenant, meter, mode, billable, paid, requests, units, .. } = sum;
        let (requests, units) = (*requests, *units);
        Self { tenant: *tenant, meter, mode: *mode, billable: *billable, paid: *paid, requests, units }
    }
}

impl Totals {
    /// Adds one row for the tenant that used it, of a period with one plan. After an error the
    /// tenant's totals are incomplete and must not be used.
    pub fn add<'a>(&mut self, used: impl Into<Used<'a>>) -> Result<(), RatingError> {
        let used = used.into();
        self.add_for(used.tenant, 0, &used)
    }
}

impl<K: Copy + Eq + Hash + Into<TenantId>> Totals<K> {
    /// Adds one row to the bill of whoever pays for it, under the plan that has this place among the
    /// plans of the period. After an error the bill is incomplete and must not be used.
    pub fn add_for(&mut self, bill: K, plan: usize, sum: &Used<'_>) -> Result<(), RatingError> {
        let totals = self.bills.entry(bill).or_default();
        totals.add(plan, sum).map_err(|what| RatingError::Overflow { tenant: bill.into(), what })
    }

    /// Takes units that are beyond a hard quota, and the requests that they came from, off those
    /// that the plan at this place charges. They were added before.
    pub fn hold_back(&mut self, bill: K, plan: usize, meter: &str, beyond: Measured) {
        let totals = self.bills.get_mut(&bill).and_then(|totals| totals.billable_by_meter.get_mut(meter));
        if let Some(totals) = totals
            && let Some(charged) = totals.charged.get_mut(plan)
        {
            let units = beyond.units.min(charged.units);
            charged.units -= units;
            charged.requests = charged.requests.saturating_sub(beyond.requests);
            totals.beyond_quota += units;
        }
    }

    /// Usage on one bill, if there was any.
    pub fn tenant(&self, bill: K) -> Option<&TenantTotals> {
        self.bills.get(&bill)
    }

    /// Every bill with usage, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (K, &TenantTotals)> {
        self.bills.iter().map(|(bill, totals)| (*bill, totals))
    }
}

impl TenantTotals {
    /// Every meter with billed usage, by name.
    pub fn meters(&self) -> impl Iterator<Item = (&str, &MeterTotals)> {
        self.billable_by_meter.iter().map(|(meter, totals)| (meter.as_str(), totals))
    }

    /// Billed usage of one meter, if there was any.
    pub fn meter(&self, meter: &str) -> Option<&MeterTotals> {
        self.billable_by_meter.get(meter)
    }

    /// The billed usage of both.
    #[must_use]
    pub fn plus(&self, more: &Self) -> Self {
        let mut sum = self.clone();
        for (meter, more) in &more.billable_by_meter {
            let own = sum.billable_by_meter.entry(meter.clone()).or_default();
            if own.charged.len() < more.charged.len() {
                own.charged.resize(more.charged.len(), Measured::default());
            }
            for (own, more) in own.charged.iter_mut().zip(&more.charged) {
                own.units = own.units.saturating_add(more.units);
                own.requests = own.requests.saturating_add(more.requests);
            }
            own.credit = own.credit.saturating_add(more.credit);
            own.beyond_quota = own.beyond_quota.saturating_add(more.beyond_quota);
        }
        sum
    }

    /// Totals with these meters only, for what was billed before.
    pub fn of_meters(meters: BTreeMap<String, MeterTotals>) -> Self {
        Self { billable_by_meter: meters, ..Self::default() }
    }

    fn add(&mut self, plan: usize, sum: &Used<'_>) -> Result<(), &'static str> {
        add_to(&mut self.requests, sum.requests, "requests")?;
        add_to(&mut self.units, sum.units, "units")?;
        if sum.mode == Mode::Test {
            return add_to(&mut self.test_requests, sum.requests, "requests under test keys");
        }
        if !sum.billable {
            return Ok(());
        }
        add_to(&mut self.billable_requests, sum.requests, "billable requests")?;
        add_to(&mut self.billable_units, sum.units, "billable units")?;
        if let Some(totals) = self.billable_by_meter.get_mut(sum.meter) {
            return totals.add(plan, sum);
        }
        self.billable_by_meter.entry(sum.meter.to_owned()).or_default().add(plan, sum)
    }
}

impl MeterTotals {
    fn add(&mut self, plan: usize, sum: &Used<'_>) -> Result<(), &'static str> {
        if sum.paid == PaidBy::Credit {
            return add_to(&mut self.credit, sum.units, "units paid from credit");
        }
        if self.charged.len() <= plan {
            self.charged.resize(plan + 1, Measured::default());
        }
        add_to(&mut self.charged[plan].requests, sum.requests, "billable requests on a meter")?;
        add_to(&mut self.charged[plan].units, sum.units, "billable units on a meter")
    }
}

fn add_to(total: &mut u64, more: u128, what: &'static str) -> Result<(), &'static str> {
    *total = u64::try_from(more).ok().and_then(|more| total.checked_add(more)).ok_or(what)?;
    Ok(())
}
