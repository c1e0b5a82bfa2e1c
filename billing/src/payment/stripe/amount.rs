//! Amounts in the units in which Stripe takes them.
//!
//! Source: <https://docs.stripe.com/currencies>, "Zero-decimal currencies", "Three-decimal currencies"
//! and "Special cases".

use common::money::{Currency, Money, decimal_places};

/// Currencies that Stripe takes in whole units, whatever ISO 4217 says.
const WHOLE: [Currency; 15] = [
    Currency::BIF,
    Currency::CLP,
    Currency::DJF,
    Currency::GNF,
    Currency::JPY,
    Currency::KMF,
    Currency::KRW,
    Currency::MGA,
    Currency::PYG,
    Currency::RWF,
    Currency::VND,
    Currency::VUV,
    Currency::XAF,
    Currency::XOF,
    Currency::XPF,
];

/// Currencies of whole units that Stripe takes in hundredths, with `00` behind.
const WHOLE_IN_HUNDREDTHS: [Currency; 2] = [Currency::ISK, Currency::UGX];

/// Currencies of thousandths whose last digit is 0 at Stripe.
const THOUSANDTHS: [Currency; 5] = [Currency::BHD, Currency::JOD, Currency::KWD, Currency::OMR, Currency::TND];

/// The relation of our minor units to Stripe's.
struct Units {
    /// Stripe's units of one of ours, or of `ours` of them.
    stripe: i64,
    /// Our minor units that make `stripe` of theirs.
    ours: i64,
    /// Stripe's amounts are whole multiples of it.
    step: i64,
}

fn units(currency: Currency) -> Option<Units> {
    let places = decimal_places(currency);
    if WHOLE.contains(&currency) {
        return Some(Units { stripe: 1, ours: 10_i64.checked_pow(places)?, step: 1 });
    }
    if WHOLE_IN_HUNDREDTHS.contains(&currency) {
        return Some(Units { stripe: 100, ours: 10_i64.checked_pow(places)?, step: 100 });
    }
    match places {
        2 => Some(Units { stripe: 1, ours: 1, step: 1 }),
        3 if THOUSANDTHS.contains(&currency) => Some(Units { stripe: 1, ours: 1, step: 10 }),
        _ => None,
    }
}

/// The amount to charge for `amount`: the next one that Stripe takes, which is up to 0.009 more in a
/// currency of thousandths. None: Stripe takes no amounts of that currency, or none so large.
pub(super) fn to_stripe(amount: Money) -> Option<i64> {
    let Units { stripe, ours, step } = units(amount.currency())?;
    let product = i128::from(amount.minor()) * i128::from(stripe);
    let whole = ceiling(product, i128::from(ours));
    i64::try_from(ceiling(whole, i128::from(step)) * i128::from(step)).ok()
}

/// The money that an amount of Stripe is.
pub(super) fn of_stripe(amount: i64, currency: Currency) -> Option<Money> {
    let Units { stripe, ours, .. } = units(currency)?;
    let product = i128::from(amount) * i128::from(ours);
    let minor = (product % i128::from(stripe) == 0).then_some(product / i128::from(stripe))?;
    Some(Money::from_minor(i64::try_from(minor).ok()?, currency))
}

fn ceiling(number: i128, divisor: i128) -> i128 {
    number.div_euclid(divisor) + i128::from(number.rem_euclid(divisor) > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_told_in_the_units_that_stripe_documents() {
        for (currency, minor, stripe) in [
            ("USD", 1_000, Some(1_000)),
            ("JPY", 500, Some(500)),
            // "to charge 5 ISK, provide an amount value of 500"; UGX likewise.
            ("ISK", 5, Some(500)),
            ("UGX", 5, Some(500)),
            // "5.124 KWD must be rounded to 5120 or 5130": up, and the rest is the payer's credit.
            ("KWD", 5_124, Some(5_130)),
            ("KWD", 5_120, Some(5_120)),
            ("HUF", 1_045, Some(1_045)),
            ("TWD", 80_045, Some(80_045)),
            // Of two decimals in ISO 4217, of none at Stripe.
            ("MGA", 50_000, Some(500)),
            ("MGA", 50_001, Some(501)),
            ("IQD", 1_000, None),
        ] {
            let currency = Currency::from_code(currency).unwrap();
            assert_eq!(to_stripe(Money::from_minor(minor, currency)), stripe, "{currency:?} {minor}");
        }
    }

    #[test]
    fn money_that_was_charged_is_never_less_than_was_asked_for() {
        let currencies = WHOLE.iter().chain(&WHOLE_IN_HUNDREDTHS).chain(&THOUSANDTHS).chain(&[Currency::EUR]);
        for currency in currencies {
            for minor in [1, 9, 10, 11, 99, 100, 101, 12_345] {
                let asked = Money::from_minor(minor, *currency);
                let charged = of_stripe(to_stripe(asked).unwrap(), *currency).unwrap();
                assert!(charged.minor() >= minor && charged.minor() < minor + 100, "{currency:?} {minor}");
            }
        }
        assert_eq!(of_stripe(150, Currency::ISK), None);
        assert_eq!(to_stripe(Money::from_minor(i64::MAX, Currency::ISK)), None);
    }
}
