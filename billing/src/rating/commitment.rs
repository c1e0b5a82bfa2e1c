//! Minimum and maximum spend: what is added to reach the one, and taken off to stay within the
//! other.

use common::money::{Exact, Money, MoneyError};

/// The amount that is missing to `minimum`, of which the period counts `share`; nothing if as much
/// was charged.
pub fn true_up(minimum: Money, share: &Exact, charged: Money) -> Result<Money, MoneyError> {
    let due = (Exact::from(minimum) * share.clone()).to_money(minimum.currency())?;
    let missing = due.checked_sub(charged)?;
    Ok(if missing.minor() > 0 { missing } else { Money::zero(minimum.currency()) })
}

/// The discount on what is charged now, so that it and what was billed before in the period are
/// within `maximum`. At most all that is charged now: nothing that was billed comes back.
pub fn beyond_maximum(maximum: Money, billed_before: Money, charged_now: Money) -> Result<Money, MoneyError> {
    let currency = maximum.currency();
    let above = billed_before.checked_add(charged_now)?.checked_sub(maximum)?;
    let discount = above.minor().min(charged_now.minor()).max(0);
    Ok(Money::from_minor(discount, currency))
}

#[cfg(test)]
mod tests {
    use common::money::Currency;

    use super::*;

    fn usd(text: &str) -> Money {
        Money::parse(text, Currency::USD).unwrap()
    }

    #[test]
    fn spend_below_the_minimum_is_filled_up() {
        let missing = |charged| true_up(usd("1000"), &Exact::whole(1), usd(charged)).unwrap();
        assert_eq!((missing("800"), missing("1300"), missing("1000")), (usd("200"), usd("0"), usd("0")));
    }

    #[test]
    fn minimum_of_a_part_of_a_period_is_as_much_smaller() {
        let missing = true_up(usd("10000"), &Exact::ratio(5, 7), usd("714.29")).unwrap();
        assert_eq!(missing, usd("6428.57"));
    }

    #[test]
    fn spend_above_the_maximum_is_taken_off() {
        let above = |before, now| beyond_maximum(usd("100"), usd(before), usd(now)).unwrap();
        assert_eq!(above("90", "75"), usd("65"));
        assert_eq!(above("0", "99.99"), usd("0"));
        assert_eq!(above("120", "5"), usd("5"));
    }
}
