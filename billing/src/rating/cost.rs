//! The cost of usage by itself: what each meter of a period comes to, without fees, minimum, maximum
//! and coupons. Budgets count it.

use std::collections::BTreeMap;

use common::money::Money;

use super::{PeriodTerms, RatingError, TenantTotals, discount, total, usage};

/// The cost of a meter in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeterCost {
    /// The sum of its lines, fixed parts among them, less the subscription's discount.
    pub amount: Money,
    /// All its billable units, also those that cost nothing.
    pub units: u64,
}

/// The cost of each meter that was used, by name.
pub fn costs(terms: &PeriodTerms<'_>, used: &TenantTotals) -> Result<BTreeMap<String, MeterCost>, RatingError> {
    let Some(last) = terms.plans.last() else { return Ok(BTreeMap::new()) };
    let nothing = TenantTotals::default();
    let mut costs = BTreeMap::new();
    for (meter, totals) in used.meters() {
        // Beside nothing, charges of other meters have no lines.
        let alone = TenantTotals::of_meters(BTreeMap::from([(meter.to_owned(), totals.clone())]));
        let mut lines = usage::lines(terms.plans, Some(&nothing), &alone)?;
        lines.extend(discount::lines(terms.plans, &lines)?);
        let charged = totals.charged.iter().fold(0_u64, |sum, one| sum.saturating_add(one.units));
        let units = charged.saturating_add(totals.credit).saturating_add(totals.beyond_quota);
        costs.insert(meter.to_owned(), MeterCost { amount: total(&lines, last.plan.currency)?, units });
    }
    Ok(costs)
}

impl MeterCost {
    /// The part of it that falls to some of its units, rounded half away from zero. More units than it
    /// has count as all of them.
    pub fn share(&self, units: u64) -> Money {
        if units >= self.units {
            return self.amount;
        }
        let (amount, part, all) = (i128::from(self.amount.minor()), i128::from(units), i128::from(self.units));
        let (whole, rest) = (amount.abs() * part / all, amount.abs() * part % all);
        let rounded = (whole + i128::from(rest * 2 >= all)) * amount.signum();
        // The part is smaller than the whole, which fits.
        Money::from_minor(i64::try_from(rounded).unwrap_or(self.amount.minor()), self.amount.currency())
    }
}

#[cfg(test)]
mod tests {
    use common::{
        money::Currency,
        plan::{PlanFile, price::Measured, subscription::BillingOverride},
        time::{CyclePeriod, Micros, Window},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::rating::{MeterTotals, Term};

    fn used(meter: &str, units: u64) -> (String, MeterTotals) {
        let charged = vec![Measured { units, requests: 1 }];
        (meter.to_owned(), MeterTotals { charged, credit: 7, beyond_quota: 3 })
    }

    fn cost(minor: i64, units: u64) -> MeterCost {
        MeterCost { amount: Money::from_minor(minor, Currency::EUR), units }
    }

    #[test]
    fn meters_cost_what_their_lines_say_without_fees() {
        let text = "plans: [{ id: a, name: A, currency: EUR, flat_fee: '50.00', billing: { minimum_spend: '900.00' }, charges: [\
                    { meter: requests, included: 10, tiers: [{ up_to: 100, price: { amount: '1', per: 1 } }, \
                    { fixed: '5.00', price: { amount: '0.5', per: 1 } }] }, \
                    { meter: tokens, per_unit: { amount: '0.01', per: 1 } }, \
                    { meter: idle, volume: [{ fixed: '9.00', price: { amount: '1', per: 1 } }] }] }]";
        let plan = PlanFile::parse(text, "test").unwrap().plans.remove(0);
        let part = Window { start: Micros(0), end: Micros(1) };
        let discounted = BillingOverride { discount_percent: Some("10".parse().unwrap()), ..BillingOverride::NONE };
        let usage =
            TenantTotals::of_meters(BTreeMap::from([used("requests", 200), used("tokens", 55), used("free", 4)]));
        for (terms, expected) in [
            (&BillingOverride::NONE, [("free", 0, 14), ("requests", 15_000, 210), ("tokens", 55, 65)]),
            // 10 % of 0.55 is 0.055: half away from zero, 0.06 is taken off.
            (&discounted, [("free", 0, 14), ("requests", 13_500, 210), ("tokens", 49, 65)]),
        ] {
            let plans = &[Term { plan: &plan, terms, part }];
            let terms = PeriodTerms { period: CyclePeriod::uncut(part), plans, add_ons: &[], coupons: &[] };
            let found = costs(&terms, &usage).unwrap();
            let found: Vec<_> =
                found.iter().map(|(name, one)| (name.as_str(), one.amount.minor(), one.units)).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn share_is_rounded_half_away_from_zero_and_never_more_than_all() {
        let share = |minor, all, units| cost(minor, all).share(units).minor();
        assert_eq!([0, 1, 2, 3, 4].map(|units| share(10, 4, units)), [0, 3, 5, 8, 10]);
        assert_eq!([1, 2, 3].map(|units| share(-10, 4, units)), [-3, -5, -8]);
        assert_eq!(share(10, 3, 1), 3);
        assert_eq!(share(10, 0, 0), 10, "what no unit costs is nobody's part");
        assert_eq!(share(i64::MAX, u64::MAX, u64::MAX - 1), i64::MAX);
    }

    proptest! {
        #[test]
        fn shares_of_all_keys_come_to_the_cost(minor in 0_i64..1_000_000, parts in prop::collection::vec(0_u64..1_000, 1..8)) {
            let all: u64 = parts.iter().sum();
            prop_assume!(all > 0);
            let shared: i64 = parts.iter().map(|units| cost(minor, all).share(*units).minor()).sum();
            // Each part is off by half a cent at most.
            prop_assert!((shared - minor).unsigned_abs() <= parts.len() as u64 / 2 + 1);
        }
    }
}
