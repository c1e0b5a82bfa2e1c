//! Rating: the usage of a period and a plan become lines that add up.
//!
//! Pure: no clock, no store, no order of arrival. Only billable units under live keys are priced. Each line rounds
//! once, the total is the sum of the lines, and the quantities of the lines are all the billable units there were:
//! units that cost nothing stand on a line of their own, so none is silently missing.
//!
//! The flat fee is charged once per period and in full, also when a subscription covers only part of the period:
//! proration is not part of this version.

mod line;
#[cfg(test)]
mod tests;
mod totals;

use common::{
    money::{Currency, Money, MoneyError},
    plan::{Charge, Plan, PlanError, Tier},
};
pub use line::{Line, LineKind, price_digits};
pub use totals::{TenantTotals, Totals};

/// Why usage could not be rated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RatingError {
    /// A sum of units or requests does not fit 64 bits.
    #[error("the {what} of tenant {tenant} add up to more than can be counted")]
    Overflow {
        /// Whose usage it is.
        tenant: common::id::TenantId,
        /// What was being counted.
        what: &'static str,
    },
    /// An amount does not fit.
    #[error("line `{line}`: {source}")]
    Amount {
        /// Description of the line.
        line: String,
        /// What is wrong with the amount.
        source: MoneyError,
    },
    /// The lines add up to more than money can hold.
    #[error("the total of the lines: {0}")]
    Total(MoneyError),
    /// The stored plan makes no sense.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// The lines of a period: the flat fee, then each charge in the plan's order, then meters that the plan does not
/// charge, by name.
pub fn rate(plan: &Plan, usage: &TenantTotals) -> Result<Vec<Line>, RatingError> {
    let mut lines = vec![Line::flat_fee(plan, plan.flat_fee()?)];
    for charge in &plan.charges {
        rate_charge(plan.currency, charge, usage.billable_units_on(&charge.meter), &mut lines)?;
    }
    let uncharged =
        usage.billable_meters().filter(|(meter, _)| plan.charges.iter().all(|charge| charge.meter != *meter));
    lines.extend(uncharged.map(|(meter, units)| Line::uncharged_meter(plan.currency, meter, units)));
    Ok(lines)
}

/// The sum of the lines' amounts, in `currency`.
pub fn total(lines: &[Line], currency: Currency) -> Result<Money, RatingError> {
    lines.iter().try_fold(Money::zero(currency), |sum, line| sum.checked_add(line.amount)).map_err(RatingError::Total)
}

fn rate_charge(currency: Currency, charge: &Charge, units: u64, lines: &mut Vec<Line>) -> Result<(), RatingError> {
    let included = units.min(charge.included);
    if charge.included > 0 {
        lines.push(Line::included(currency, charge, included));
    }
    let mut beyond = units - included;
    let mut first = 1;
    for tier in &charge.tiers {
        let quantity = beyond.min(tier_width(tier, first));
        if quantity > 0 {
            lines.push(Line::usage(currency, charge, tier, first, quantity)?);
        }
        beyond -= quantity;
        first = tier.up_to.map_or(u64::MAX, |up_to| up_to.saturating_add(1));
    }
    if beyond > 0 {
        lines.push(Line::beyond_every_tier(currency, charge, beyond));
    }
    Ok(())
}

/// How many units fit a tier that starts with unit number `first` beyond the allowance.
fn tier_width(tier: &Tier, first: u64) -> u64 {
    tier.up_to.map_or(u64::MAX, |up_to| up_to.saturating_add(1).saturating_sub(first))
}
