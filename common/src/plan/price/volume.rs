//! Volume: the tier that all units of the period reach prices all of them.
//!
//! More units can come to less: at 7 each for up to 5 and 6.50 each beyond, 5 cost 35.00 and 6 cost
//! 39.00, but at 5 each beyond, 6 cost 30.00. So late units can have an amount below zero.

use super::{
    Part, PartKind, difference,
    tier::{Tier, ranges},
};
use crate::money::Exact;

/// The parts of the units from those billed before to all. The first tier counts if there are no
/// units, with its fixed part.
pub(super) fn parts(tiers: &[Tier], (before, after): (Option<u64>, u64)) -> Vec<Part> {
    let Some((tier, first, last)) = reached(tiers, after) else { return Vec::new() };
    let part = |kind, units, amount| Part { kind, tier: (first, last), units, amount };
    let units = difference(before.unwrap_or(0), after);
    match before {
        None => {}
        Some(before) if reached(tiers, before).is_some_and(|(_, other, _)| other == first) => {
            return match tier.price {
                Some(price) => vec![part(PartKind::Units(price), units, price.exact_for(units))],
                None => vec![part(PartKind::FixedUnits, units, Exact::zero())],
            };
        }
        Some(before) => {
            return vec![part(PartKind::TierChange, units, total(tiers, after) - total(tiers, before))];
        }
    }
    match tier.price {
        Some(price) => {
            vec![part(PartKind::Fixed, 0, tier.fixed()), part(PartKind::Units(price), units, price.exact_for(units))]
        }
        None => vec![part(PartKind::FixedUnits, units, tier.fixed())],
    }
}

/// The exact amount for all units.
fn total(tiers: &[Tier], units: u64) -> Exact {
    let Some((tier, ..)) = reached(tiers, units) else { return Exact::zero() };
    let priced = tier.price.map_or_else(Exact::zero, |price| price.exact_for(i128::from(units)));
    tier.fixed() + priced
}

/// The tier that so many units reach, with its first unit and its last.
fn reached(tiers: &[Tier], units: u64) -> Option<(&Tier, u64, Option<u64>)> {
    ranges(tiers).find(|(.., last)| last.is_none_or(|last| units <= last))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{amounts, digits, tier, total};
    use crate::{money::Currency, plan::price::Price};

    #[test]
    fn tier_that_all_units_reach_prices_all() {
        let fonts = Price::Volume(vec![
            tier(Some(5), Some("7"), None),
            tier(Some(10), Some("6.50"), None),
            tier(None, Some("6"), None),
        ]);
        let expected = ["7.00", "35.00", "39.00", "120.00", "150.00"];
        assert_eq!(digits(&fonts, &[1, 5, 6, 20, 25], Currency::USD), expected);
    }

    #[test]
    fn fixed_part_of_the_first_tier_is_due_without_units() {
        let price = Price::Volume(vec![
            tier(Some(5), None, Some("100")),
            tier(Some(10), None, Some("150")),
            tier(Some(15), Some("10"), None),
            tier(None, Some("5"), None),
        ]);
        let expected = ["100.00", "100.00", "100.00", "150.00", "140.00", "150.00", "80.00", "500.00"];
        assert_eq!(digits(&price, &[0, 3, 5, 7, 14, 15, 16, 100], Currency::USD), expected);
    }

    #[test]
    fn fixed_part_comes_beside_the_price_of_units() {
        let each = |up_to, unit| tier(up_to, Some(unit), Some("10"));
        let price = Price::Volume(vec![
            each(Some(10_000), "0.0010"),
            each(Some(50_000), "0.0008"),
            each(Some(100_000), "0.0006"),
            each(None, "0.0004"),
        ]);
        assert_eq!(amounts(&price.parts(None, total(65_000))), ["10.00", "39.00"]);
    }

    #[test]
    fn late_units_that_reach_a_cheaper_tier_come_to_less_than_nothing() {
        let price = Price::Volume(vec![tier(Some(5), Some("7"), None), tier(None, Some("5"), None)]);
        assert_eq!(amounts(&price.parts(Some(total(5)), total(6))), ["-5.00"]);
        assert_eq!(amounts(&price.parts(Some(total(6)), total(8))), ["10.00"]);
    }
}
