//! Proration: the part of a fee that falls on a part of its period, by exact time.

use common::{
    money::{Exact, Money, MoneyError, split},
    time::Window,
};

/// The part of `period` that `used` covers: from 0 to 1, exact to the microsecond. A period without
/// length has no parts.
pub fn share(used: &Window, period: &Window) -> Exact {
    match period.length() {
        0 => Exact::zero(),
        length => Exact::ratio(used.within(period).length(), length),
    }
}

/// The parts of `fee` that fall on parts of its period that do not overlap. Their sum is rounded
/// once and split: the parts of a whole period add up to the fee, wherever it is cut.
pub fn prorate(fee: Money, parts: &[Window], period: &Window) -> Result<Vec<Money>, MoneyError> {
    let shares: Vec<Exact> = parts.iter().map(|part| share(part, period)).collect();
    let all: Exact = shares.iter().cloned().sum();
    split((Exact::from(fee) * all).to_money(fee.currency())?, &shares)
}

#[cfg(test)]
mod tests {
    use common::{money::Currency, time::Micros};
    use proptest::prelude::*;

    use super::*;

    fn window(start: i64, end: i64) -> Window {
        Window { start: Micros(start), end: Micros(end) }
    }

    fn cents(fee: i64, parts: &[(i64, i64)], period: (i64, i64)) -> Vec<i64> {
        let parts: Vec<Window> = parts.iter().map(|(start, end)| window(*start, *end)).collect();
        let period = window(period.0, period.1);
        let found = prorate(Money::from_minor(fee, Currency::EUR), &parts, &period).unwrap();
        found.into_iter().map(Money::minor).collect()
    }

    #[test]
    fn one_part_is_rounded_by_itself() {
        assert_eq!(cents(91_000, &[(35, 66)], (0, 91)), [31_000]);
        assert_eq!(cents(100_000, &[(2, 7)], (0, 7)), [71_429]);
        assert_eq!(cents(20_000, &[(1, 30)], (0, 30)), [19_333]);
    }

    #[test]
    fn part_outside_of_the_period_does_not_count() {
        assert_eq!(cents(3_000, &[(-10, 10), (20, 90)], (0, 30)), [1_000, 1_000]);
        assert_eq!(cents(3_000, &[(40, 90)], (0, 30)), [0]);
        assert_eq!(cents(3_000, &[(0, 10)], (5, 5)), [0]);
    }

    proptest! {
        // polar#10482: parts that each round up add up to more than the fee.
        #[test]
        fn period_cut_anywhere_adds_up_to_the_fee(
            fee in 0_i64..10_000_000,
            mut cuts in proptest::collection::vec(1_i64..2_592_000_000_000, 0..12),
        ) {
            let end = 2_592_000_000_000;
            cuts.extend([0, end]);
            cuts.sort_unstable();
            let parts: Vec<(i64, i64)> = cuts.windows(2).map(|pair| (pair[0], pair[1])).collect();
            prop_assert_eq!(cents(fee, &parts, (0, end)).iter().sum::<i64>(), fee);
        }
    }
}
