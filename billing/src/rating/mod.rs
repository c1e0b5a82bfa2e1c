//! Rating: the usage of a period and a plan become lines that add up.
//!
//! Pure: no clock, no store, no order of arrival. Only billable units under live keys are priced.
//! Each line rounds once, the total is the sum of the lines, and the quantities of the lines are
//! all the billable units there were: units that cost nothing stand on a line of their own, so none
//! is silently missing.
//!
//! Invariant: whether a unit is owed is decided when it is used, by what paid for it then and by
//! the plan in force then. Units paid from credit are never owed, and units that a plan priced stay
//! owed whatever plan comes after it. What they cost says the last plan of the period that prices
//! their meter, with one allowance for the period. Units beyond a hard quota are on a line that
//! costs nothing.
//!
//! The flat fee is charged once per period and in full, also when a subscription covers only part
//! of the period: proration is not part of this version.

pub mod commitment;
pub mod correction;
pub mod coupon;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod graduated_cases;
mod line;
pub mod proration;
pub mod tax;
#[cfg(test)]
mod tests;
mod totals;

use common::{
    money::{Currency, Money, MoneyError},
    plan::{Charge, Plan, PlanError, price::Measured},
};
pub use line::{Line, LineKind, price_digits};
pub use totals::{MeterTotals, TenantTotals, Totals};

/// A failure to rate usage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RatingError {
    /// A sum of units or requests does not fit 64 bits.
    #[error("the {what} of tenant {tenant} add up to more than can be counted")]
    Overflow {
        /// Whose usage it is.
        tenant: common::id::TenantId,
        /// The quantity that was being counted.
        what: &'static str,
    },
    /// An amount does not fit.
    #[error("line `{line}`: {source}")]
    Amount {
        /// Description of the line.
        line: String,
        /// The fault of the amount.
        source: MoneyError,
    },
    /// Units are owed in a currency that the bill does not have.
    #[error(
        "units of meter `{meter}` are owed in {owed} under plan {plan}, and the bill is in {bill}: a bill has one currency"
    )]
    Currency {
        /// The meter.
        meter: String,
        /// The plan that priced them.
        plan: common::plan::PlanId,
        /// Its currency.
        owed: Currency,
        /// The currency of the bill.
        bill: Currency,
    },
    /// The lines add up to more than money can hold.
    #[error("the total of the lines: {0}")]
    Total(MoneyError),
    /// The stored plan makes no sense.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// The lines of a period with one plan.
pub fn rate(plan: &Plan, usage: &TenantTotals) -> Result<Vec<Line>, RatingError> {
    rate_period(&[plan], usage)
}

/// The lines of a period: the flat fee of its last plan, each charge of that plan in its order,
/// then what is owed by the price lists of earlier plans, units that nothing prices and units paid
/// from credit, by meter. `plans` are those of the period, by start; usage names them by their
/// place.
pub fn rate_period(plans: &[&Plan], usage: &TenantTotals) -> Result<Vec<Line>, RatingError> {
    let Some((last, earlier)) = plans.split_last() else { return Ok(Vec::new()) };
    let mut lines = vec![Line::flat_fee(last, last.flat_fee()?)];
    for charge in &last.charges {
        rate_charge(last.currency, charge, None, owed(plans, usage, &charge.meter), &mut lines)?;
    }
    for (place, plan) in earlier.iter().enumerate().rev() {
        for charge in &plan.charges {
            let measured = owed(plans, usage, &charge.meter);
            let priced_later = plans[place + 1..].iter().any(|later| prices(later, &charge.meter));
            if priced_later || measured.units == 0 {
                continue;
            }
            if plan.currency != last.currency {
                let (meter, plan, owed) = (charge.meter.clone(), plan.id.clone(), plan.currency);
                return Err(RatingError::Currency { meter, plan, owed, bill: last.currency });
            }
            rate_charge(last.currency, charge, Some(&plan.name), measured, &mut lines)?;
        }
    }
    for (meter, totals) in usage.meters() {
        let unpriced = measured_where(plans, totals, |plan| !prices(plan, meter)).units;
        if unpriced > 0 {
            lines.push(Line::unpriced(last, meter, unpriced));
        }
        if totals.beyond_quota > 0 {
            lines.push(Line::beyond_quota(last.currency, meter, totals.beyond_quota));
        }
    }
    let paid = usage.meters().filter(|(_, totals)| totals.credit > 0);
    lines.extend(paid.map(|(meter, totals)| Line::paid_from_credit(last.currency, meter, totals.credit)));
    Ok(lines)
}

fn prices(plan: &Plan, meter: &str) -> bool {
    plan.charges.iter().any(|charge| charge.meter == meter)
}

/// Units of a meter that were used while the plan in force priced it.
fn owed(plans: &[&Plan], usage: &TenantTotals, meter: &str) -> Measured {
    let owed = |totals| measured_where(plans, totals, |plan| prices(plan, meter));
    usage.meter(meter).map_or(Measured::default(), owed)
}

/// Charged units that were used under some of the plans. All units of a tenant fit, so these do.
fn measured_where(plans: &[&Plan], totals: &MeterTotals, wanted: impl Fn(&Plan) -> bool) -> Measured {
    let each = plans.iter().zip(&totals.charged).filter(|(plan, _)| wanted(plan));
    each.fold(Measured::default(), |sum, (_, one)| Measured {
        units: sum.units + one.units,
        requests: sum.requests + one.requests,
    })
}

/// The sum of the lines' amounts, in `currency`.
pub fn total(lines: &[Line], currency: Currency) -> Result<Money, RatingError> {
    lines.iter().try_fold(Money::zero(currency), |sum, line| sum.checked_add(line.amount)).map_err(RatingError::Total)
}

/// The lines of one charge; `of` names the plan if that is not the plan of the bill.
fn rate_charge(
    currency: Currency,
    charge: &Charge,
    of: Option<&str>,
    measured: Measured,
    lines: &mut Vec<Line>,
) -> Result<(), RatingError> {
    let first_line = lines.len();
    let beyond = charge.beyond(measured).units;
    if charge.included > 0 {
        lines.push(Line::included(currency, charge, measured.units - beyond));
    }
    let parts = charge.parts(None, measured);
    for part in &parts {
        lines.push(Line::part(currency, charge, part)?);
    }
    if parts.is_empty() && beyond > 0 {
        lines.push(Line::beyond_every_tier(currency, charge, beyond));
    }
    if let Some(plan) = of {
        lines[first_line..].iter_mut().for_each(|line| line.description = format!("{plan}, {}", line.description));
    }
    Ok(())
}
