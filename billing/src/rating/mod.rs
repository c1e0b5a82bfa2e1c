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
//! of the period, unless the plan says `billing.prorate`; never for a time of trial or pause.

mod add_on;
pub mod commitment;
mod cost;
pub mod coupon;
mod discount;
mod fees;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod graduated_cases;
mod late;
mod line;
mod parts;
pub mod proration;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod tests;
mod totals;
mod usage;

pub use add_on::AddOn;
pub use common::invoice::LineKind;
use common::{
    money::{Currency, Money, MoneyError},
    plan::{Plan, PlanError, subscription::BillingOverride},
    time::{CyclePeriod, Micros, Window},
};
pub use cost::{MeterCost, costs};
pub use coupon::{Coupon, CouponUse, Discount};
pub use late::rate_late;
pub use line::{Line, price_digits};
pub use parts::{Before, rate_advance, rate_interim, rate_rest};
pub use totals::{MeterTotals, TenantTotals, Totals, Used};

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
    /// A flat fee is owed in a currency that the bill does not have.
    #[error("the flat fee of plan {plan} is owed in {owed}, and the bill is in {bill}: a bill has one currency")]
    FeeCurrency {
        /// The plan.
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

/// A period of a bill, with the plans, add-ons and coupons that rate it.
#[derive(Debug, Clone, Copy)]
pub struct PeriodTerms<'a> {
    /// The period.
    pub period: CyclePeriod,
    /// The plans that were in force, by start; usage names them by their place.
    pub plans: &'a [Term<'a>],
    /// Add-ons that were in force, by start.
    pub add_ons: &'a [AddOn<'a>],
    /// Coupons that count for the period, in the order in which they were redeemed.
    pub coupons: &'a [Coupon],
}

/// A plan of a period, and the part of the period in which it was in force.
#[derive(Debug, Clone, Copy)]
pub struct Term<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Terms of the subscription that differ from the plan's.
    pub terms: &'a BillingOverride,
    /// The part.
    pub part: Window,
}

/// The terms of a subscription that has none of its own.
static PLAIN: BillingOverride = BillingOverride::NONE;

impl Term<'_> {
    /// The flat fee of a whole period.
    fn flat_fee(&self) -> Result<Money, RatingError> {
        match &self.terms.flat_fee {
            Some(own) => Ok(Money::parse(own, self.plan.currency).map_err(PlanError::FlatFee)?),
            None => Ok(self.plan.flat_fee()?),
        }
    }

    /// Returns true if its time counts for fees, minimum and maximum.
    const fn owes_fees(&self) -> bool {
        !self.terms.trial && !self.terms.paused
    }

    /// Returns true if units of the meter are charged.
    fn prices(&self, meter: &str) -> bool {
        !self.terms.trial && self.plan.charges.iter().any(|charge| charge.meter == meter)
    }
}

impl PeriodTerms<'_> {
    /// The part of the period's window that lies within another window.
    fn part(&self, of: &Window) -> Window {
        of.within(&self.period.window)
    }
}

/// The lines of a period with one plan.
pub fn rate(plan: &Plan, usage: &TenantTotals) -> Result<Vec<Line>, RatingError> {
    let part = Window { start: Micros(0), end: Micros(1) };
    let plans = &[Term { plan, terms: &PLAIN, part }];
    rate_period(&PeriodTerms { period: CyclePeriod::uncut(part), plans, add_ons: &[], coupons: &[] }, usage)
}

/// The lines of a period: its flat fees and add-ons, each charge of its last plan in its order, what is
/// owed by the price lists of earlier plans, units that nothing prices and units paid from credit, by
/// meter, then what is missing to the minimum or beyond the maximum, and what coupons take off.
pub fn rate_period(terms: &PeriodTerms<'_>, usage: &TenantTotals) -> Result<Vec<Line>, RatingError> {
    let mut lines = before_coupons(terms, usage)?;
    lines.extend(coupon::lines(terms, &lines)?);
    Ok(lines)
}

/// The same without coupons.
fn before_coupons(terms: &PeriodTerms<'_>, usage: &TenantTotals) -> Result<Vec<Line>, RatingError> {
    let Some(last) = terms.plans.last() else { return Ok(Vec::new()) };
    let mut lines = fees::lines(terms)?;
    lines.extend(usage::lines(terms.plans, None, usage)?);
    lines.extend(discount::lines(terms.plans, &lines)?);
    lines.extend(fees::spends(terms, total(&lines, last.plan.currency)?)?);
    Ok(lines)
}

/// The sum of the lines' amounts, in `currency`.
pub fn total(lines: &[Line], currency: Currency) -> Result<Money, RatingError> {
    lines.iter().try_fold(Money::zero(currency), |sum, line| sum.checked_add(line.amount)).map_err(RatingError::Total)
}
