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
    let percentage = (decimals(), decimals(), proptest::option::of(decimals()), 0_u64..50).prop_map(
        |(percent, unit, fixed, free_requests)| Price::Percentage(Percentage { percent, unit, fixed, free_requests }),
    );
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

#[test]
fn every_model_has_its_name_its_tiers_and_its_extremes() {
    let tiers = vec![tier(Some(5), Some("1"), None), tier(Some(9), Some("2"), None), tier(None, Some("3"), None)];
    let decimal = |text: &str| text.parse().unwrap();
    let percentage = Percentage { percent: decimal("1"), unit: decimal("1"), fixed: None, free_requests: 0 };
    for (price, name, count, is_monotonic) in [
        (Price::PerUnit(price("1", 1)), "per_unit", 0, true),
        (Price::Graduated(tiers.clone()), "tiers", 3, true),
        (Price::Volume(tiers), "volume", 3, false),
        (Price::Package(price("1", 1)), "package", 0, true),
        (Price::Percentage(percentage), "percentage", 0, true),
    ] {
        assert_eq!((price.name(), price.tiers().len(), price.is_monotonic()), (name, count, is_monotonic));
        let extremes = [9, 10].map(|most| price.extremes(most));
        let expected = if count == 0 { [vec![9], vec![10]] } else { [vec![5, 9], vec![5, 9, 10]] };
        assert_eq!(extremes, expected, "{name}");
    }
}

#[test]
fn requests_of_some_units_are_their_share_rounded_down() {
    let measured = Measured { units: 10, requests: 4 };
    assert_eq!([0, 1, 2, 3, 5, 9, 10, 11, 30].map(|units| measured.requests_of(units)), [0, 0, 0, 1, 2, 3, 4, 4, 4]);
    assert_eq!(Measured { units: 0, requests: 4 }.requests_of(3), 4);
    assert_eq!(Measured { units: 10, requests: 0 }.requests_of(10), 0);
}

#[test]
fn parts_without_units_and_amount_are_left_out() {
    let tiers = vec![tier(Some(5), Some("1"), None), tier(None, Some("2"), Some("0"))];
    assert_eq!(Price::Graduated(tiers).parts(None, total(5)).len(), 1);
    let free = Price::Graduated(vec![tier(None, Some("0"), None)]);
    assert_eq!(free.parts(None, total(5)).iter().map(|part| part.units).collect::<Vec<_>>(), [5]);
    assert_eq!(Price::Graduated(vec![tier(None, None, Some("3"))]).parts(None, total(0)).len(), 1);
    assert_eq!(Price::PerUnit(price("1", 1)).parts(Some(total(3)), total(3)), []);
}

#[test]
fn tier_without_a_price_has_its_fixed_part_on_the_line_of_its_units() {
    let both = vec![tier(Some(5), Some("0"), Some("9")), tier(None, Some("2"), Some("1"))];
    let parts = Price::Graduated(both).parts(None, total(7));
    let found: Vec<_> = parts.iter().map(|part| (part.tier, part.units, part.amount.to_string())).collect();
    assert_eq!(found, [((1, Some(5)), 5, "9".into()), ((6, None), 0, "1".into()), ((6, None), 2, "4".into())]);
    let volume = Price::Volume(vec![tier(Some(5), None, Some("9")), tier(None, Some("2"), None)]);
    let later = volume.parts(Some(total(3)), total(5));
    assert_eq!(later.iter().map(|part| (part.units, part.amount.to_string())).collect::<Vec<_>>(), [(2, "0".into())]);
    assert_eq!(volume.parts(Some(total(6)), total(5))[0].amount.to_string(), "-3");
    assert_eq!(Price::Volume(Vec::new()).parts(None, total(5)), []);
    assert!(Price::Volume(Vec::new()).total(total(5)).is_zero());
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
