//! Bills of a part of a period: fees in advance, usage that is billed before the period has ended, and
//! the rest once it has.
//!
//! Invariant: all bills of a period come to what one bill for all of it would have come to, to the
//! cent, whatever was billed when.

use common::{invoice::LineKind, money::Money, plan::Plan};

use super::{
    Line, PeriodTerms, RatingError, TenantTotals, before_coupons,
    coupon::{self, CouponUse},
    discount, fees, rate_period, total, usage,
};

/// Usage and amounts of a period that invoices have billed before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    /// Usage.
    pub usage: TenantTotals,
    /// Sum of fees.
    pub fees: Money,
    /// Amounts that coupons have taken off.
    pub coupons: Vec<CouponUse>,
    /// Sum of all lines but those of coupons.
    pub total: Money,
}

impl Before {
    fn is_nothing(&self) -> bool {
        self.usage == TenantTotals::default() && self.fees.is_zero() && self.total.is_zero() && self.coupons.is_empty()
    }
}

/// The fees of a period that are due as it begins; none if some were billed already.
pub fn rate_advance(terms: &PeriodTerms<'_>, before: &Before) -> Result<Vec<Line>, RatingError> {
    if !before.fees.is_zero() {
        return Ok(Vec::new());
    }
    let mut lines = fees::lines(terms)?;
    lines.extend(discount::lines(terms.plans, &lines)?);
    lines.extend(coupon::lines(terms, &lines)?);
    Ok(lines)
}

/// The lines of usage so far that was not billed before, up to the maximum of the period.
pub fn rate_interim(terms: &PeriodTerms<'_>, before: &Before, usage: &TenantTotals) -> Result<Vec<Line>, RatingError> {
    let Some(last) = terms.plans.last() else { return Ok(Vec::new()) };
    let mut lines = usage::lines(terms.plans, Some(&before.usage), usage)?;
    lines.extend(discount::lines(terms.plans, &lines)?);
    let charged = total(&lines, last.plan.currency)?;
    lines.extend(fees::beyond(terms, before.total, charged)?);
    Ok(lines)
}

/// The lines of a period that has ended, less what was billed of it before.
pub fn rate_rest(terms: &PeriodTerms<'_>, before: &Before, usage: &TenantTotals) -> Result<Vec<Line>, RatingError> {
    let Some(last) = terms.plans.last() else { return Ok(Vec::new()) };
    if before.is_nothing() {
        return rate_period(terms, usage);
    }
    let currency = last.plan.currency;
    let mut lines = fees::lines(terms)?;
    if total(&lines, currency)? == before.fees {
        lines.clear();
    } else if !before.fees.is_zero() {
        lines.push(Line::billed_before(last.plan, before.fees));
    }
    lines.extend(usage::lines(terms.plans, Some(&before.usage), usage)?);
    lines.extend(discount::lines(terms.plans, &lines)?);
    let whole = before_coupons(terms, usage)?;
    let due = total(&whole, currency)?.checked_sub(before.total).map_err(RatingError::Total)?;
    add_rest(terms, &mut lines, due)?;
    lines.extend(coupon::lines_since(terms, &before.coupons, &whole)?);
    Ok(lines)
}

/// Makes the lines come to `due`: what is missing is part of the minimum, or beyond the maximum, or what
/// rounding each line has left over.
pub(super) fn add_rest(terms: &PeriodTerms<'_>, lines: &mut Vec<Line>, due: Money) -> Result<(), RatingError> {
    let Some(last) = terms.plans.last() else { return Ok(()) };
    let rest = due.checked_sub(total(lines, last.plan.currency)?).map_err(RatingError::Total)?;
    if rest.is_zero() {
        return Ok(());
    }
    if !terms.plans.iter().any(|term| term.plan.billing.has_spends()) {
        return round_to(last.plan, lines, rest);
    }
    lines.push(if rest.minor() > 0 { Line::minimum(last.plan, rest) } else { Line::beyond_maximum(last.plan, rest) });
    Ok(())
}

/// Adds the cents that rounding each line has left over to the last line that charges usage, or to the
/// last one if none does.
fn round_to(plan: &Plan, lines: &mut Vec<Line>, rest: Money) -> Result<(), RatingError> {
    let charges = |line: &Line| matches!(line.kind, LineKind::Usage | LineKind::Fixed);
    let place = lines.iter().rposition(charges).or_else(|| lines.len().checked_sub(1));
    let Some(line) = place.and_then(|place| lines.get_mut(place)) else {
        lines.push(Line::rounding(plan, rest));
        return Ok(());
    };
    let exact = line.exact.take().unwrap_or_else(|| line.amount.into());
    line.amount = line.amount.checked_add(rest).map_err(RatingError::Total)?;
    line.exact = Some(exact);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use common::{
        plan::{PlanFile, price::Measured, subscription::BillingOverride},
        time::{CyclePeriod, Micros, Window},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::rating::{AddOn, Coupon, Discount, MeterTotals, Term, rate_late};

    const WHOLE: Window = Window { start: Micros(0), end: Micros(1_000) };

    fn plans(terms: &str) -> Vec<Plan> {
        let charges = "charges: [{ meter: requests, included: 7, tiers: [{ up_to: 50, price: { amount: '0.333', per: 1 } }, \
             { price: { amount: '0.017', per: 1 }, fixed: '2.005' }] }]";
        let text = format!(
            "plans:\n- {{ id: a, name: A, currency: USD, flat_fee: '10.00', {charges}, billing: {{ {terms} }} }}\n\
             - {{ id: b, name: B, currency: USD, flat_fee: '19.99', {charges}, billing: {{ {terms} }} }}\n\
             - {{ id: seats, name: Seats, currency: USD, flat_fee: '3.33', billing: {{ prorate: true }} }}\n"
        );
        PlanFile::parse(&text, "test").unwrap().plans
    }

    fn used(units: [u64; 2]) -> TenantTotals {
        let charged = units.iter().map(|units| Measured { units: *units, requests: *units }).collect();
        let meter = MeterTotals { charged, credit: 0, beyond_quota: 0 };
        TenantTotals::of_meters(BTreeMap::from([("requests".to_owned(), meter)]))
    }

    /// These lines, of this usage, as they were billed before.
    fn before(lines: &[Line], usage: TenantTotals) -> Before {
        let zero = Money::zero(common::money::Currency::USD);
        let sum = |wanted: &dyn Fn(&&Line) -> bool| {
            lines.iter().filter(wanted).fold(zero, |sum, line| sum.checked_add(line.amount).unwrap())
        };
        let used = |line: &Line| {
            let off = Money::from_minor(-line.amount.minor(), line.amount.currency());
            Some(CouponUse { code: line.coupon.clone()?, meter: line.meter.clone(), off })
        };
        Before {
            usage,
            fees: sum(&|line| line.kind == LineKind::FlatFee),
            coupons: lines.iter().filter_map(used).collect(),
            total: sum(&|line| line.coupon.is_none()),
        }
    }

    proptest! {
        #[test]
        fn bills_of_a_period_add_up_whatever_was_billed_when(
            terms in prop::sample::select(vec![
                "prorate: true", "prorate: false", "prorate: true, minimum_spend: '30.00'", "maximum_spend: '24.50'",
            ]),
            change in 1_i64..1_000,
            in_advance in any::<bool>(),
            discount in prop::option::of(1_i64..40),
            coupons in prop::collection::vec((any::<bool>(), any::<bool>(), 1_i64..=100), 0..3),
            steps in prop::collection::vec((0_u64..60, 0_u64..60), 1..6),
        ) {
            let plans = plans(terms);
            let own = BillingOverride { discount_percent: discount.map(Into::into), ..BillingOverride::NONE };
            let change = Micros(change);
            let first = Term { plan: &plans[0], terms: &own, part: Window { start: WHOLE.start, end: change } };
            let second = Term { plan: &plans[1], terms: &own, part: Window { start: change, end: Micros(i64::MAX) } };
            let both = [first, second];
            let coupons: Vec<Coupon> = coupons.iter().enumerate().map(|(place, (is_percent, of_meter, size))| Coupon {
                code: format!("c{place}"),
                discount: if *is_percent {
                    Discount::Percent((*size).into())
                } else {
                    Discount::Amount(Money::from_minor(size * 37, common::money::Currency::USD))
                },
                meter: of_meter.then(|| "requests".to_owned()),
            }).collect();
            let add_ons = [AddOn { plan: &plans[2], quantity: 3, part: Window { start: Micros(400), end: Micros(i64::MAX) } }];
            let of = |plans| PeriodTerms { period: CyclePeriod::uncut(WHOLE), plans, add_ons: &add_ons, coupons: &coupons };
            // As the period begins, the change is not known.
            let unchanged = [Term { part: WHOLE, ..first }];
            let mut lines = Vec::new();
            if in_advance {
                let terms = PeriodTerms { add_ons: &[], ..of(&unchanged) };
                lines.extend(rate_advance(&terms, &before(&[], TenantTotals::default())).unwrap());
            }
            let mut usage = [0, 0];
            let mut billed = TenantTotals::default();
            for (place, (under_first, under_second)) in steps.iter().enumerate() {
                let is_late = place > 0 && place + 1 == steps.len();
                let is_last = place + 2 == steps.len() || steps.len() == 1;
                usage = [usage[0] + under_first, usage[1] + under_second];
                let now = used(usage);
                let more = if is_late {
                    rate_late(&of(&both), &billed, &now)
                } else if is_last {
                    rate_rest(&of(&both), &before(&lines, billed.clone()), &now)
                } else {
                    rate_interim(&of(&both), &before(&lines, billed.clone()), &now)
                };
                lines.extend(more.unwrap());
                billed = now;
            }
            let sum = total(&lines, plans[0].currency).unwrap();
            let whole = rate_period(&of(&both), &billed).unwrap();
            prop_assert_eq!(sum, total(&whole, plans[0].currency).unwrap());
            prop_assert!(sum.minor() >= 0);
        }
    }

    #[test]
    fn fees_that_were_billed_in_advance_are_not_billed_again() {
        let plans = plans("prorate: true");
        let terms = [Term { plan: &plans[0], terms: &BillingOverride::NONE, part: WHOLE }];
        let terms = PeriodTerms { period: CyclePeriod::uncut(WHOLE), plans: &terms, add_ons: &[], coupons: &[] };
        let advance = rate_advance(&terms, &before(&[], TenantTotals::default())).unwrap();
        assert_eq!(advance.iter().map(|line| line.amount.minor()).collect::<Vec<_>>(), [1_000]);
        let paid = before(&advance, TenantTotals::default());
        assert_eq!(rate_advance(&terms, &paid).unwrap(), []);
        let rest = rate_rest(&terms, &paid, &used([10, 0])).unwrap();
        assert!(rest.iter().all(|line| line.kind != LineKind::FlatFee), "{rest:?}");
        assert_eq!(total(&rest, plans[0].currency).unwrap().minor(), 100);
    }

    #[test]
    fn upgrade_after_fees_in_advance_bills_the_difference() {
        let plans = plans("prorate: true");
        let half = Micros(500);
        let own = &BillingOverride::NONE;
        let unchanged = [Term { plan: &plans[0], terms: own, part: WHOLE }];
        let changed = [
            Term { plan: &plans[0], terms: own, part: Window { start: WHOLE.start, end: half } },
            Term { plan: &plans[1], terms: own, part: Window { start: half, end: WHOLE.end } },
        ];
        let of = |plans| PeriodTerms { period: CyclePeriod::uncut(WHOLE), plans, add_ons: &[], coupons: &[] };
        let advance = rate_advance(&of(&unchanged), &before(&[], TenantTotals::default())).unwrap();
        let rest = rate_rest(&of(&changed), &before(&advance, TenantTotals::default()), &used([0, 0])).unwrap();
        let fees: Vec<i64> = rest.iter().map(|line| line.amount.minor()).filter(|minor| *minor != 0).collect();
        assert_eq!(fees, [1_000, 500, -1_000], "half of each plan, less what was paid in advance");
    }
}
