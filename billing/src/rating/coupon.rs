//! Coupons: a percentage or an amount off the lines that they apply to.

use common::money::{Currency, Decimal, Exact, Money, MoneyError, split};

/// The discount that a coupon gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discount {
    /// Percent of each line, from 0 to 100.
    Percent(Decimal),
    /// An amount, over all lines.
    Amount(Money),
}

/// The part of the discount that falls on each line. No line gets more than its amount, and lines
/// below zero get none. A percentage is rounded once for each line; an amount is split by the
/// lines' amounts, and what the lines do not take up is not used.
pub fn discounts(lines: &[Money], discount: Discount, currency: Currency) -> Result<Vec<Money>, MoneyError> {
    let positive = |line: &Money| Money::from_minor(line.minor().max(0), line.currency());
    let lines: Vec<Money> = lines.iter().map(positive).collect();
    match discount {
        Discount::Percent(percent) => {
            let factor = Exact::percent(percent.clamp(Decimal::ZERO, Decimal::ONE_HUNDRED));
            lines.iter().map(|line| (Exact::from(*line) * factor.clone()).to_money(currency)).collect()
        }
        Discount::Amount(amount) => {
            let total = Money::sum(lines.iter().copied(), currency)?;
            let used = Money::from_minor(amount.minor().min(total.minor()).max(0), currency);
            split(used, &lines.into_iter().map(Exact::from).collect::<Vec<_>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USD: Currency = Currency::USD;

    fn cents(lines: &[i64], discount: Discount) -> Vec<i64> {
        let lines: Vec<Money> = lines.iter().map(|minor| Money::from_minor(*minor, USD)).collect();
        discounts(&lines, discount, USD).unwrap().into_iter().map(Money::minor).collect()
    }

    #[test]
    fn amount_is_split_by_the_lines_amounts() {
        let ten = Discount::Amount(Money::from_minor(1_000, USD));
        assert_eq!(cents(&[3_333, 3_333, 3_334], ten), [333, 333, 334]);
        assert_eq!(cents(&[300, -500, 200], ten), [300, 0, 200]);
        assert_eq!(cents(&[0, -500], ten), [0, 0]);
    }

    #[test]
    fn percentage_is_rounded_once_for_each_line() {
        assert_eq!(cents(&[333, 50], Discount::Percent("15".parse().unwrap())), [50, 8]);
        assert_eq!(cents(&[333], Discount::Percent("100".parse().unwrap())), [333]);
    }

    proptest! {
        #[test]
        fn no_line_falls_below_zero(
            lines in proptest::collection::vec(-10_000_i64..1_000_000, 1..12),
            amount in 0_i64..5_000_000,
            percent in 0_i64..=10_000,
        ) {
            for discount in [
                Discount::Amount(Money::from_minor(amount, USD)),
                Discount::Percent(Decimal::new(percent, 2)),
            ] {
                for (line, off) in lines.iter().zip(cents(&lines, discount)) {
                    prop_assert!(off >= 0 && off <= (*line).max(0), "{} off {}", off, line);
                }
            }
        }
    }
}
