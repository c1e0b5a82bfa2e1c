//! Late usage: what was booked of a period after invoices had billed some of it.
//!
//! Invariant: all bills of a period come to what one bill for all of it would have come to, to the
//! cent. So a late line may differ by some cents from its own exact amount.

use super::{
    Line, PeriodTerms, RatingError, TenantTotals, before_coupons, coupon, discount, parts::add_rest, total, usage,
};

/// The lines of what was booked of a period after invoices had billed `billed` of it.
pub fn rate_late(terms: &PeriodTerms<'_>, billed: &TenantTotals, now: &TenantTotals) -> Result<Vec<Line>, RatingError> {
    let Some(last) = terms.plans.last() else { return Ok(Vec::new()) };
    let currency = last.plan.currency;
    let mut lines = usage::lines(terms.plans, Some(billed), now)?;
    lines.extend(discount::lines(terms.plans, &lines)?);
    let [before, now] = [before_coupons(terms, billed)?, before_coupons(terms, now)?];
    let due = total(&now, currency)?.checked_sub(total(&before, currency)?).map_err(RatingError::Total)?;
    add_rest(terms, &mut lines, due)?;
    lines.extend(coupon::lines_since(terms, &coupon::uses(terms, &before)?, &now)?);
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use common::{
        plan::{Plan, PlanFile, price::Measured, subscription::BillingOverride},
        time::{CyclePeriod, Micros, Window},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::rating::{MeterTotals, Term, rate_period};

    static PLAIN: BillingOverride = BillingOverride::NONE;

    fn plan(price: &str, terms: &str) -> Plan {
        let charge = format!("charges: [{{ meter: requests, included: 7, {price} }}]");
        let text = format!("plans: [{{ id: a, name: A, currency: USD, flat_fee: '1.00', {charge}, {terms} }}]");
        PlanFile::parse(&text, "test").unwrap().plans.remove(0)
    }

    fn used(units: u64, requests: u64) -> TenantTotals {
        let charged = vec![Measured { units, requests }];
        let meter = MeterTotals { charged, credit: 0, beyond_quota: 0 };
        TenantTotals::of_meters(BTreeMap::from([("requests".to_owned(), meter)]))
    }

    const PRICES: [&str; 6] = [
        "per_unit: { amount: '0.0033', per: 1 }",
        "tiers: [{ up_to: 50, price: { amount: '0.333', per: 1 } }, { price: { amount: '0.017', per: 1 }, fixed: '2.005' }]",
        "volume: [{ up_to: 50, price: { amount: '0.333', per: 1 } }, { price: { amount: '0.017', per: 1 } }]",
        "package: { amount: '1.5', per: 10 }",
        "percentage: { percent: '1.337', unit: '0.01', fixed: '0.0123' }",
        "tiers: [{ price: { amount: '1', per: 3 } }]",
    ];

    const TERMS: [&str; 3] = [
        "billing: { prorate: false }",
        "billing: { minimum_spend: '9.00', maximum_spend: '40.00' }",
        "billing: { maximum_spend: '12.34' }",
    ];

    proptest! {
        // lago-api#2643: parts that are rounded one by one do not add up to the whole.
        #[test]
        fn bills_of_a_period_add_up_to_one_bill_for_all_of_it(
            price in prop::sample::select(PRICES.to_vec()),
            terms in prop::sample::select(TERMS.to_vec()),
            discount in prop::option::of(1_i64..40),
            parts in prop::collection::vec((0_u64..90, 0_u64..20), 1..7),
        ) {
            let plan = plan(price, terms);
            let own = BillingOverride { discount_percent: discount.map(Into::into), ..BillingOverride::NONE };
            let own = if discount.is_some() { &own } else { &PLAIN };
            let part = Window { start: Micros(0), end: Micros(10) };
            let plans = [Term { plan: &plan, terms: own, part }];
            let terms = PeriodTerms { period: CyclePeriod::uncut(part), plans: &plans, add_ons: &[], coupons: &[] };
            let (mut units, mut requests) = parts[0];
            let first = rate_period(&terms, &used(units, requests)).unwrap();
            let mut sum = total(&first, plan.currency).unwrap();
            for (more_units, more_requests) in &parts[1..] {
                let before = used(units, requests);
                (units, requests) = (units + more_units, requests + more_requests);
                let late = rate_late(&terms, &before, &used(units, requests)).unwrap();
                sum = sum.checked_add(total(&late, plan.currency).unwrap()).unwrap();
            }
            let whole = rate_period(&terms, &used(units, requests)).unwrap();
            prop_assert_eq!(sum, total(&whole, plan.currency).unwrap());
        }
    }
}
