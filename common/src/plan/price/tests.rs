//! Properties of every price model.

use proptest::prelude::*;

use super::*;
use crate::money::{Currency, Decimal};

pub(super) fn price(amount: &str, per: u64) -> UnitPrice {
    UnitPrice { amount: amount.parse().unwrap(), per }
}

pub(super) fn tier(up_to: Option<u64>, unit: Option<&str>, fixed: Option<&str>) -> Tier {
    Tier { up_to, price: unit.map(|unit| price(unit, 1)), fixed: fixed.map(|fixed| fixed.parse().unwrap()) }
}

pub(super) fn total(units: u64) -> Measured {
    Measured { units, requests: units }
}

pub(super) fn amounts(parts: &[Part]) -> Vec<String> {
    parts.iter().map(|part| part.amount.to_money(Currency::USD).unwrap().digits()).collect()
}

pub(super) fn digits(price: &Price, units: &[u64], currency: Currency) -> Vec<String> {
    units.iter().map(|units| price.total(total(*units)).to_money(currency).unwrap().digits()).collect()
}

fn decimals() -> impl Strategy<Value = Decimal> {
    (0_i64..1_000_000, 0_u32..7).prop_map(|(mantissa, scale)| Decimal::new(mantissa, scale))
}

fn unit_prices() -> impl Strategy<Value = UnitPrice> {
    (decimals(), 1_u64..1_000).prop_map(|(amount, per)| UnitPrice { amount, per })
}

fn tiers() -> impl Strategy<Value = Vec<Tier>> {
    let tier = (1_u64..1_000, proptest::option::of(unit_prices()), proptest::option::of(decimals()));
    proptest::collection::vec(tier, 1..6).prop_map(|found| {
        let (mut up_to, count) = (0, found.len());
        let tier = |(place, (width, price, fixed)): (usize, (u64, Option<UnitPrice>, Option<Decimal>))| {
            up_to += width;
            Tier { up_to: (place + 1 < count).then_some(up_to), price, fixed }
        };
        found.into_iter().enumerate().map(tier).collect()
    })
}

fn prices() -> impl Strategy<Value = Price> {
    let percentage = (decimals(), decimals(), proptest::option::of(decimals()))
        .prop_map(|(percent, unit, fixed)| Price::Percentage(Percentage { percent, unit, fixed }));
    prop_oneof![
        unit_prices().prop_map(Price::PerUnit),
        tiers().prop_map(Price::Graduated),
        tiers().prop_map(Price::Volume),
        unit_prices().prop_map(Price::Package),
        percentage,
    ]
}

fn sum(parts: &[Part]) -> (i128, Exact) {
    (parts.iter().map(|part| part.units).sum(), parts.iter().map(|part| part.amount.clone()).sum())
}

proptest! {
    #[test]
    fn parts_of_all_bills_add_up_to_those_of_one(
        price in prices(),
        steps in proptest::collection::vec((0_u64..3_000, 0_u64..50), 1..8),
    ) {
        let (mut before, mut billed) = (None, (0, Exact::zero()));
        for (units, requests) in steps {
            let after = Measured { units, requests };
            let (units, amount) = sum(&price.parts(before, after));
            billed = (billed.0 + units, billed.1 + amount);
            before = Some(after);
        }
        let last = before.unwrap();
        prop_assert_eq!(billed, sum(&price.parts(None, last)));
        prop_assert_eq!(sum(&price.parts(None, last)).0, i128::from(last.units));
    }

    #[test]
    fn more_units_never_come_to_less_unless_volume_prices_them(
        price in prices(),
        (one, other) in (0_u64..5_000, 0_u64..5_000),
    ) {
        prop_assume!(price.is_monotonic());
        let (fewer, more) = (one.min(other), one.max(other));
        prop_assert!(price.total(total(fewer)) <= price.total(total(more)));
    }
}
