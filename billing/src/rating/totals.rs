//! Summing the hourly usage of a period into what rating needs, one row at a time and in any order.

use std::collections::{BTreeMap, HashMap};

use common::{id::TenantId, key::Mode, store::UsageSum};

use super::RatingError;

/// Usage of a period per tenant and meter. It allocates per tenant and meter, never per row.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    tenants: HashMap<TenantId, TenantTotals>,
}

/// Usage of one tenant in a period.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TenantTotals {
    /// All requests that were forwarded and answered.
    pub requests: u64,
    /// Those of them that are billed.
    pub billable_requests: u64,
    /// Those of them under test keys.
    pub test_requests: u64,
    /// All units, billed or not.
    pub units: u64,
    /// Units that are billed, over all meters.
    pub billable_units: u64,
    billable_by_meter: BTreeMap<String, u64>,
}

impl Totals {
    /// Adds one row. After an error the totals are incomplete and must not be used.
    pub fn add(&mut self, sum: &UsageSum) -> Result<(), RatingError> {
        self.tenants
            .entry(sum.tenant)
            .or_default()
            .add(sum)
            .map_err(|what| RatingError::Overflow { tenant: sum.tenant, what })
    }

    /// Adds all that somebody used to what `tenant` is billed for. After an error the totals must not be used.
    pub fn add_all(&mut self, tenant: TenantId, other: &TenantTotals) -> Result<(), RatingError> {
        let totals = self.tenants.entry(tenant).or_default();
        totals.add_all(other).map_err(|what| RatingError::Overflow { tenant, what })
    }

    /// Usage of one tenant, if there was any.
    pub fn tenant(&self, tenant: TenantId) -> Option<&TenantTotals> {
        self.tenants.get(&tenant)
    }

    /// Every tenant with usage, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (TenantId, &TenantTotals)> {
        self.tenants.iter().map(|(tenant, totals)| (*tenant, totals))
    }
}

impl TenantTotals {
    /// Billable units on one meter.
    pub fn billable_units_on(&self, meter: &str) -> u64 {
        self.billable_by_meter.get(meter).copied().unwrap_or(0)
    }

    /// Every meter with billable rows and its units, by name.
    pub fn billable_meters(&self) -> impl Iterator<Item = (&str, u64)> {
        self.billable_by_meter.iter().map(|(meter, units)| (meter.as_str(), *units))
    }

    fn add(&mut self, sum: &UsageSum) -> Result<(), &'static str> {
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
        if let Some(total) = self.billable_by_meter.get_mut(&sum.meter) {
            return add_to(total, sum.units, "billable units on a meter");
        }
        self.billable_by_meter.insert(sum.meter.clone(), sum.units);
        Ok(())
    }
}

impl TenantTotals {
    fn add_all(&mut self, other: &Self) -> Result<(), &'static str> {
        add_to(&mut self.requests, other.requests, "requests")?;
        add_to(&mut self.billable_requests, other.billable_requests, "billable requests")?;
        add_to(&mut self.test_requests, other.test_requests, "requests under test keys")?;
        add_to(&mut self.units, other.units, "units")?;
        add_to(&mut self.billable_units, other.billable_units, "billable units")?;
        for (meter, units) in other.billable_meters() {
            add_to(self.billable_by_meter.entry(meter.to_owned()).or_default(), units, "billable units on a meter")?;
        }
        Ok(())
    }
}

fn add_to(total: &mut u64, more: u64, what: &'static str) -> Result<(), &'static str> {
    *total = total.checked_add(more).ok_or(what)?;
    Ok(())
}
