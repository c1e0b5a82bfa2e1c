//! Package: units come in packages, and each package that is begun costs its whole price.
//!
//! Packages are counted over the whole period: a part of a period that begins within a package that
//! was billed does not begin another one.

use super::{Part, PartKind, difference};
use crate::money::{Exact, UnitPrice};

/// The parts of the units from those billed before to all.
pub(super) fn parts(price: &UnitPrice, (before, after): (Option<u64>, u64)) -> Vec<Part> {
    let begun = |units: u64| units.div_ceil(price.per.max(1));
    let before = before.unwrap_or(0);
    let packages = difference(begun(before), begun(after));
    let amount = Exact::from(price.amount) * Exact::whole(packages);
    let kind = PartKind::Packages(packages, *price);
    vec![Part { kind, tier: (1, None), units: difference(before, after), amount }]
}

#[cfg(test)]
mod tests {
    use super::super::tests::{amounts, digits, price, total};
    use crate::{money::Currency, plan::price::Price};

    #[test]
    fn package_that_is_begun_counts_whole() {
        let tens = Price::Package(price("15", 10));
        assert_eq!(digits(&tens, &[0, 1, 9, 10, 11], Currency::USD), ["0.00", "15.00", "15.00", "15.00", "30.00"]);
    }

    #[test]
    fn part_of_a_period_begins_no_package_that_is_paid_for() {
        let tens = Price::Package(price("15", 10));
        assert_eq!(amounts(&tens.parts(Some(total(61)), total(70))), ["0.00"]);
        assert_eq!(amounts(&tens.parts(Some(total(60)), total(110))), ["75.00"]);
    }
}
