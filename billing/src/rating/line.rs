//! One line of an invoice.

use common::{
    invoice::{InvoiceLine, LineKind, tax::TaxRule},
    money::{Currency, Decimal, Exact, Money, UnitPrice, decimal_places},
    plan::{
        Charge, Plan,
        price::{Part, PartKind},
    },
    time::Window,
};

use super::{RatingError, coupon::CouponUse};
use crate::number::grouped;

/// One line of an invoice: what was used, and what that costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The kind of charge.
    pub kind: LineKind,
    /// The text that people read.
    pub description: String,
    /// The meter whose units these are; none for fees and fixed parts.
    pub meter: Option<String>,
    /// Units; 1 for a fee, the number of requests for a fixed part per request.
    pub quantity: i128,
    /// The price of one unit, if it has one.
    pub unit_price: Option<UnitPrice>,
    /// Quantity times price, rounded once.
    pub amount: Money,
    /// The amount before it was rounded, if that made a difference.
    pub exact: Option<Exact>,
    /// The code of the coupon that takes it off.
    pub coupon: Option<String>,
    /// The period that it bills, if that is not the one of the bill.
    pub period: Option<Window>,
    /// True if it is due before the time that it is for.
    pub in_advance: bool,
}

impl Line {
    pub(super) fn flat_fee(plan: &Plan, fee: Money) -> Self {
        Self {
            kind: LineKind::FlatFee,
            description: format!("{}, flat fee", plan.name),
            meter: None,
            quantity: 1,
            unit_price: None,
            amount: fee,
            exact: None,
            coupon: None,
            period: None,
            in_advance: false,
        }
    }

    /// The fee of an add-on, times its quantity; `part` is the time that it is for, if that is not the
    /// whole period.
    pub(super) fn add_on(plan: &Plan, quantity: u32, part: Option<Window>, amount: Money, exact: Exact) -> Self {
        let times = if quantity == 1 { String::new() } else { format!("{} x ", grouped(u64::from(quantity))) };
        let time = part.map(|part| format!(" from {} up to {}", part.start, part.end)).unwrap_or_default();
        let description = format!("{times}{}, add-on{time}", plan.name);
        let quantity = i128::from(quantity);
        Self { description, quantity, exact: unrounded(exact, amount), ..Self::flat_fee(plan, amount) }
    }

    /// Fees of the period that were billed before, taken off.
    pub(super) fn billed_before(plan: &Plan, fees: Money) -> Self {
        let amount = Money::from_minor(-fees.minor(), fees.currency());
        Self { description: "fees that were billed in advance".to_owned(), ..Self::flat_fee(plan, amount) }
    }

    /// Cents that bills of one period, each rounded by itself, have left over.
    pub(super) fn rounding(plan: &Plan, amount: Money) -> Self {
        let description = "rounding of what was billed before".to_owned();
        Self { kind: LineKind::Custom, description, ..Self::flat_fee(plan, amount) }
    }

    /// The amount that a coupon takes off; below zero, it gives back what it took off before.
    pub(super) fn coupon(one: &CouponUse, off: Money) -> Self {
        let text = format!("coupon {}", one.code);
        let description = one.meter.as_ref().map_or_else(|| text.clone(), |meter| format!("{meter}: {text}"));
        Self {
            kind: LineKind::Discount,
            description,
            meter: one.meter.clone(),
            quantity: 0,
            unit_price: None,
            amount: Money::from_minor(-off.minor(), off.currency()),
            exact: None,
            coupon: Some(one.code.clone()),
            period: None,
            in_advance: false,
        }
    }

    /// The flat fee for a part of the period.
    pub(super) fn part_of_flat_fee(plan: &Plan, part: &Window, amount: Money, exact: Exact) -> Self {
        let description = format!("{}, flat fee from {} up to {}", plan.name, part.start, part.end);
        Self { description, exact: unrounded(exact, amount), ..Self::flat_fee(plan, amount) }
    }

    /// A discount on lines of a meter, or on those without one. It has no units: they stand on the
    /// lines that it takes off.
    pub(super) fn discount(percent: Decimal, meter: Option<String>, amount: Money) -> Self {
        let off = format!("{} % off", percent.normalize());
        let description = meter.as_ref().map_or_else(|| off.clone(), |meter| format!("{meter}: {off}"));
        Self {
            kind: LineKind::Discount,
            description,
            meter,
            quantity: 0,
            unit_price: None,
            amount,
            exact: None,
            coupon: None,
            period: None,
            in_advance: false,
        }
    }

    /// The amount that is missing to the minimum of the period.
    pub(super) fn minimum(plan: &Plan, amount: Money) -> Self {
        let description = format!("{}, up to the minimum of the period", plan.name);
        Self { kind: LineKind::Minimum, description, ..Self::flat_fee(plan, amount) }
    }

    /// The amount, below zero, that is taken off what is beyond the maximum of the period.
    pub(super) fn beyond_maximum(plan: &Plan, amount: Money) -> Self {
        let description = format!("{}, beyond the maximum of the period", plan.name);
        Self { kind: LineKind::Discount, description, ..Self::flat_fee(plan, amount) }
    }

    /// The same, for a period that is not the one of the bill.
    #[must_use]
    pub fn of_period(self, period: Window) -> Self {
        Self { period: Some(period), ..self }
    }

    /// The line as an invoice holds it, before it is taxed.
    pub fn frozen(&self) -> InvoiceLine {
        InvoiceLine {
            kind: self.kind,
            description: self.description.clone(),
            meter: self.meter.clone(),
            quantity: self.quantity,
            unit_price: self.unit_price,
            exact: self.exact.as_ref().map(ToString::to_string),
            amount_minor: self.amount.minor(),
            tax: TaxRule::NONE,
            period: self.period,
            coupon: self.coupon.clone(),
            in_advance: self.in_advance,
        }
    }

    pub(super) fn included(currency: Currency, charge: &Charge, units: i128) -> Self {
        let description = format!("{}: up to {}", charge.meter, grouped(charge.included));
        Self::free(LineKind::Included, currency, &charge.meter, units, description)
    }

    /// The line of a part of a charge: its amount is rounded here, once.
    pub(super) fn part(currency: Currency, charge: &Charge, part: &Part) -> Result<Self, RatingError> {
        let (first, last) = part.tier;
        let from = grouped(charge.included.saturating_add(first));
        let range = match last {
            Some(last) => format!("from {from} to {}", grouped(charge.included.saturating_add(last))),
            None => format!("from {from} on"),
        };
        let meter = &charge.meter;
        let (kind, text, quantity, unit_price) = match &part.kind {
            PartKind::Units(price) => (LineKind::Usage, range, part.units, Some(*price)),
            PartKind::FixedUnits => (LineKind::Usage, range, part.units, None),
            PartKind::Fixed => (LineKind::Fixed, format!("{range}, fixed part"), 1, None),
            PartKind::Packages(count, price) => {
                let (count, per, each) = (grouped(*count), grouped(price.per), price_digits(price, currency));
                (LineKind::Usage, format!("{count} packages of {per} at {each}"), part.units, None)
            }
            PartKind::Share(share) => {
                let worth = UnitPrice { amount: share.unit, per: 1 };
                let text = format!("{} % of {} per unit", share.percent.normalize(), price_digits(&worth, currency));
                (LineKind::Usage, text, part.units, None)
            }
            PartKind::PerRequest(requests, fixed) => {
                let each = UnitPrice { amount: *fixed, per: 1 };
                (LineKind::Fixed, "fixed part of each request".into(), *requests, Some(each))
            }
            PartKind::TierChange => (LineKind::Usage, format!("all units {range}"), part.units, None),
        };
        let description = format!("{meter}: {text}");
        let amount = match part.amount.to_money(currency) {
            Ok(amount) => amount,
            Err(source) => return Err(RatingError::Amount { line: description, source }),
        };
        let meter = (kind == LineKind::Usage).then(|| meter.clone());
        Ok(Self {
            kind,
            description,
            meter,
            quantity,
            unit_price,
            amount,
            exact: unrounded(part.amount.clone(), amount),
            coupon: None,
            period: None,
            in_advance: false,
        })
    }

    pub(super) fn beyond_every_tier(currency: Currency, charge: &Charge, units: i128) -> Self {
        let description = format!("{}: beyond the included units", charge.meter);
        Self::free(LineKind::NotCharged, currency, &charge.meter, units, description)
    }

    /// Units of a meter on which the plan in force put no price. `plan` is the plan of the bill.
    pub(super) fn unpriced(plan: &Plan, meter: &str, units: i128) -> Self {
        let reason = if plan.prepaid.iter().any(|prepaid| prepaid == meter) {
            "prepaid, used without credit"
        } else if plan.charges.iter().any(|charge| charge.meter == meter) {
            "used while the plan then put no price on it"
        } else {
            "not part of the plan"
        };
        Self::free(LineKind::NotCharged, plan.currency, meter, units, format!("{meter}: {reason}"))
    }

    pub(super) fn in_trial(currency: Currency, meter: &str, units: i128) -> Self {
        Self::free(LineKind::NotCharged, currency, meter, units, format!("{meter}: used in the trial"))
    }

    pub(super) fn beyond_quota(currency: Currency, meter: &str, units: i128) -> Self {
        let description = format!("{meter}: beyond the hard quota");
        Self::free(LineKind::NotCharged, currency, meter, units, description)
    }

    pub(super) fn paid_from_credit(currency: Currency, meter: &str, units: i128) -> Self {
        Self::free(LineKind::Credit, currency, meter, units, format!("{meter}: paid from credit"))
    }

    fn free(kind: LineKind, currency: Currency, meter: &str, quantity: i128, description: String) -> Self {
        let amount = Money::zero(currency);
        Self {
            kind,
            description,
            meter: Some(meter.into()),
            quantity,
            unit_price: None,
            amount,
            exact: None,
            coupon: None,
            period: None,
            in_advance: false,
        }
    }
}

/// The exact amount, if rounding changed it.
fn unrounded(exact: Exact, amount: Money) -> Option<Exact> {
    (Exact::from(amount) != exact).then_some(exact)
}

/// A price's amount with at least the decimal places of its currency: `4.00`, `0.0005`.
pub fn price_digits(price: &UnitPrice, currency: Currency) -> String {
    let mut amount = price.amount;
    if amount.scale() < decimal_places(currency) {
        amount.rescale(decimal_places(currency));
    }
    amount.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn price_shows_at_least_the_decimals_of_its_currency() {
        let digits = |amount: &str| price_digits(&UnitPrice { amount: amount.parse().unwrap(), per: 1 }, Currency::USD);
        assert_eq!(digits("4"), "4.00");
        assert_eq!(digits("4.00"), "4.00");
        assert_eq!(digits("0.0005"), "0.0005");
    }
}
