//! Coupons: a percentage or an amount off the lines that they apply to.

use common::money::{Currency, Decimal, Exact, Money, MoneyError, split};

use super::{Line, PeriodTerms, RatingError};

/// The discount that a coupon gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discount {
    /// Percent of each line, from 0 to 100.
    Percent(Decimal),
    /// An amount, over all lines.
    Amount(Money),
}

/// A coupon that counts for a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coupon {
    /// Its code, which invoices name.
    pub code: String,
    /// The percentage or amount that it takes off.
    pub discount: Discount,
    /// The only meter whose lines it is for; none: all lines.
    pub meter: Option<String>,
}

/// The amount that a coupon takes off what has a meter, or off what has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CouponUse {
    /// The coupon.
    pub code: String,
    /// The meter.
    pub meter: Option<String>,
    /// The amount, above zero.
    pub off: Money,
}

/// The lines that the coupons take off `lines`: one for each coupon and meter, so that it is taxed as
/// what it takes off. A coupon applies to what those before it have left, and never to more than there is.
pub(super) fn lines(terms: &PeriodTerms<'_>, lines: &[Line]) -> Result<Vec<Line>, RatingError> {
    Ok(uses(terms, lines)?.iter().map(|one| Line::coupon(one, one.off)).collect())
}

/// The lines that make `billed` what the coupons take off now.
pub(super) fn lines_since(
    terms: &PeriodTerms<'_>,
    billed: &[CouponUse],
    lines: &[Line],
) -> Result<Vec<Line>, RatingError> {
    let now = uses(terms, lines)?;
    let of = |all: &[CouponUse], one: &CouponUse| {
        let same = all.iter().filter(|other| (&other.code, &other.meter) == (&one.code, &one.meter));
        same.fold(0, |sum, other| sum + i128::from(other.off.minor()))
    };
    let mut found: Vec<Line> = Vec::new();
    let mut seen: Vec<&CouponUse> = Vec::new();
    for one in now.iter().chain(billed) {
        if seen.iter().any(|other| (&other.code, &other.meter) == (&one.code, &one.meter)) {
            continue;
        }
        seen.push(one);
        let more =
            i64::try_from(of(&now, one) - of(billed, one)).map_err(|_| RatingError::Total(MoneyError::Overflow))?;
        if more != 0 {
            found.push(Line::coupon(one, Money::from_minor(more, one.off.currency())));
        }
    }
    Ok(found)
}

/// The amounts that each coupon takes off, by meter.
pub(super) fn uses(terms: &PeriodTerms<'_>, lines: &[Line]) -> Result<Vec<CouponUse>, RatingError> {
    let Some(last) = terms.plans.last().filter(|_| !terms.coupons.is_empty()) else { return Ok(Vec::new()) };
    let currency = last.plan.currency;
    let mut left: Vec<(Option<String>, Money)> = Vec::new();
    for line in lines {
        match left.iter_mut().find(|(meter, _)| *meter == line.meter) {
            Some((_, sum)) => *sum = sum.checked_add(line.amount).map_err(RatingError::Total)?,
            None => left.push((line.meter.clone(), line.amount)),
        }
    }
    let mut found = Vec::new();
    for coupon in terms.coupons {
        let failed = |source| RatingError::Amount { line: format!("coupon {}", coupon.code), source };
        let is_meant = |meter: &Option<String>| coupon.meter.is_none() || *meter == coupon.meter;
        let amounts: Vec<Money> = left.iter().filter(|(meter, _)| is_meant(meter)).map(|(_, sum)| *sum).collect();
        // What lines below zero take off is not there for the coupon.
        let all = Money::sum(left.iter().map(|(_, sum)| *sum), currency).map_err(failed)?;
        let mut offs = discounts(&amounts, coupon.discount, currency).map_err(failed)?;
        if Money::sum(offs.iter().copied(), currency).map_err(failed)?.minor() > all.minor().max(0) {
            offs = discounts(&amounts, Discount::Amount(all), currency).map_err(failed)?;
        }
        for ((meter, sum), off) in left.iter_mut().filter(|(meter, _)| is_meant(meter)).zip(offs) {
            *sum = sum.checked_sub(off).map_err(failed)?;
            if !off.is_zero() {
                found.push(CouponUse { code: coupon.code.clone(), meter: meter.clone(), off });
            }
        }
    }
    Ok(found)
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
