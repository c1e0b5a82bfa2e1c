//! Graduated: each tier prices the units that fall into it, and its fixed part is due once it is
//! reached.

use super::{
    Part, PartKind, difference,
    tier::{Tier, ranges},
};
use crate::money::Exact;

/// The parts of the units from those billed before to all, by tier. The first tier is reached
/// without any unit: its fixed part is due in every period.
pub(super) fn parts(tiers: &[Tier], (before, after): (Option<u64>, u64)) -> Vec<Part> {
    let mut parts = Vec::new();
    for (tier, first, last) in ranges(tiers) {
        let within = |units: u64| units.min(last.unwrap_or(u64::MAX)).saturating_sub(first - 1);
        let units = difference(before.map_or(0, within), within(after));
        let reached = |units: u64| i128::from(first == 1 || units >= first);
        let times = reached(after) - before.map_or(0, reached);
        let fixed = tier.fixed() * Exact::whole(times);
        let part = |kind, units, amount| Part { kind, tier: (first, last), units, amount };
        match tier.price.filter(|price| !price.amount.is_zero() || fixed.is_zero()) {
            Some(price) => {
                parts.push(part(PartKind::Fixed, 0, fixed));
                parts.push(part(PartKind::Units(price), units, price.exact_for(units)));
            }
            None => parts.push(part(PartKind::FixedUnits, units, fixed)),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::super::tests::{amounts, digits, tier, total};
    use crate::{money::Currency, plan::price::Price};

    fn fonts() -> Price {
        Price::Graduated(vec![
            tier(Some(5), Some("7"), None),
            tier(Some(10), Some("6.50"), None),
            tier(None, Some("6"), None),
        ])
    }

    fn with_fixed_parts() -> Price {
        Price::Graduated(vec![
            tier(Some(5), Some("0"), Some("100")),
            tier(Some(10), None, Some("50")),
            tier(Some(15), Some("5"), None),
            tier(None, Some("1"), None),
        ])
    }

    #[test]
    fn each_tier_prices_its_own_units() {
        let expected = ["7.00", "35.00", "41.50", "127.50", "157.50"];
        assert_eq!(digits(&fonts(), &[1, 5, 6, 20, 25], Currency::USD), expected);
    }

    #[test]
    fn fixed_parts_are_due_as_their_tiers_are_reached() {
        let price = with_fixed_parts();
        assert_eq!(amounts(&price.parts(None, total(22))), ["100.00", "50.00", "25.00", "7.00"]);
        assert_eq!(
            digits(&price, &[0, 3, 5, 6, 10, 11], Currency::USD),
            ["100.00", "100.00", "100.00", "150.00", "150.00", "155.00"]
        );
        let both = Price::Graduated(vec![tier(None, Some("2"), Some("10"))]);
        assert_eq!(amounts(&both.parts(None, total(3))), ["10.00", "6.00"]);
    }

    #[test]
    fn late_units_continue_where_the_billed_ones_ended() {
        let price = Price::Graduated(vec![
            tier(Some(5), Some("1"), None),
            tier(Some(10), Some("2"), None),
            tier(None, Some("3"), None),
        ]);
        let late = price.parts(Some(total(3)), total(7));
        assert_eq!(late.iter().map(|part| part.units).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(amounts(&late), ["2.00", "4.00"]);
        assert_eq!(amounts(&with_fixed_parts().parts(Some(total(7)), total(8))), ["0.00"]);
        assert_eq!(amounts(&with_fixed_parts().parts(Some(total(6)), total(4))), ["0.00", "-50.00"]);
    }
}
