//! Per unit: every unit has the same price.

use super::{Part, PartKind, difference};
use crate::money::UnitPrice;

/// The parts of the units from those billed before to all.
pub(super) fn parts(price: &UnitPrice, (before, after): (Option<u64>, u64)) -> Vec<Part> {
    let units = difference(before.unwrap_or(0), after);
    vec![Part { kind: PartKind::Units(*price), tier: (1, None), units, amount: price.exact_for(units) }]
}

#[cfg(test)]
mod tests {
    use super::super::tests::{digits, price, total};
    use crate::{money::Currency, plan::price::Price};

    #[test]
    fn yen_have_no_cents() {
        let half = Price::PerUnit(price("0.5", 1));
        assert_eq!(digits(&half, &[1_234, 1_235], Currency::JPY), ["617", "618"]);
    }

    #[test]
    fn dinars_have_three_places() {
        assert_eq!(digits(&Price::PerUnit(price("0.0012", 1)), &[4_270], Currency::KWD), ["5.124"]);
    }

    #[test]
    fn units_that_were_billed_too_much_come_back() {
        let parts = Price::PerUnit(price("0.50", 1)).parts(Some(total(10)), total(4));
        assert_eq!((parts[0].units, parts[0].amount.to_string()), (-6, "-3".into()));
    }
}
