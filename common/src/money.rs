//! Money and prices. No float ever touches either.
//!
//! An amount is a whole number of minor units (cents) in one currency. A price may be any exact
//! decimal per any number of units; it becomes money in one place, [`UnitPrice::amount_for`],
//! rounding once, half away from zero.

use std::{fmt, str::FromStr};

pub use iso_currency::Currency;
pub use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, de};

/// The reason why an amount could not be computed or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The amount does not fit 64-bit minor units.
    #[error("amount is too large to represent")]
    Overflow,
    /// Two currencies met in one sum.
    #[error("cannot add {right} to {left}: different currencies")]
    CurrencyMismatch {
        /// Currency of the running sum.
        left: Currency,
        /// Currency of the amount added to it.
        right: Currency,
    },
    /// The text is not an amount in this currency.
    #[error(
        "`{text}` is not an amount in {currency}: write digits with at most {places} decimal places, as in \"29.00\""
    )]
    Invalid {
        /// The text as written.
        text: String,
        /// The currency it was read in.
        currency: Currency,
        /// Decimal places of that currency.
        places: u32,
    },
}

/// Decimal places of a currency's minor unit: 2 for USD, 0 for JPY.
pub fn decimal_places(currency: Currency) -> u32 {
    u32::from(currency.exponent().unwrap_or(2))
}

/// An amount of money: minor units (cents) of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    minor: i64,
    currency: Currency,
}

impl Money {
    /// `minor` minor units (cents) of `currency`.
    pub const fn from_minor(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Nothing, in `currency`.
    pub const fn zero(currency: Currency) -> Self {
        Self::from_minor(0, currency)
    }

    /// Reads an amount such as `29.00`; more decimal places than the currency has are refused, not
    /// rounded.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let places = decimal_places(currency);
        let invalid = || MoneyError::Invalid { text: text.chars().take(40).collect(), currency, places };
        // The parser would take exponents and underscores too; an amount has neither.
        if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.' || byte == b'-') {
            return Err(invalid());
        }
        let decimal = Decimal::from_str(text).map_err(|_| invalid())?.normalize();
        if decimal.scale() > places {
            return Err(invalid());
        }
        let scale_up = 10_i128.pow(places - decimal.scale());
        let minor = decimal.mantissa().checked_mul(scale_up).ok_or(MoneyError::Overflow)?;
        let minor = i64::try_from(minor).map_err(|_| MoneyError::Overflow)?;
        Ok(Self::from_minor(minor, currency))
    }

    /// The amount in minor units (cents).
    pub const fn minor(self) -> i64 {
        self.minor
    }

    /// The currency of the amount.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// The sum of two amounts of one currency.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch { left: self.currency, right: other.currency });
        }
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self::from_minor(minor, self.currency))
    }

    /// The amount as plain digits, `103.80`, without the currency.
    pub fn digits(self) -> String {
        let places = decimal_places(self.currency) as usize;
        let sign = if self.minor < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.minor.unsigned_abs(), width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&format!("{} {}", self.digits(), self.currency.code()))
    }
}

/// An exact price: `amount` in major currency units for every `per` units of usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitPrice {
    /// Major currency units, as in `5.00` dollars; written in quotes, since an unquoted 5.00 would
    /// be a float.
    #[serde(deserialize_with = "exact_decimal")]
    pub amount: Decimal,
    /// Units of usage that the amount buys; at least 1.
    pub per: u64,
}

impl UnitPrice {
    /// Returns the price of `units`: `units x amount / per`, exact until the one rounding to minor
    /// units, half away from zero.
    pub fn amount_for(&self, units: u64, currency: Currency) -> Result<Money, MoneyError> {
        let price = self.amount.normalize();
        let minor_per_major = 10_i128.pow(decimal_places(currency));
        let numerator = price
            .mantissa()
            .checked_mul(i128::from(units))
            .and_then(|product| product.checked_mul(minor_per_major))
            .ok_or(MoneyError::Overflow)?;
        let denominator = 10_i128
            .checked_pow(price.scale())
            .and_then(|scale| scale.checked_mul(i128::from(self.per)))
            .filter(|denominator| *denominator > 0)
            .ok_or(MoneyError::Overflow)?;
        let minor = round_half_away_from_zero(numerator, denominator);
        let minor = i64::try_from(minor).map_err(|_| MoneyError::Overflow)?;
        Ok(Money::from_minor(minor, currency))
    }
}

fn exact_decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    struct DecimalText;

    impl de::Visitor<'_> for DecimalText {
        type Value = Decimal;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an exact decimal in quotes, as in \"5.00\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Decimal, E> {
            Decimal::from_str_exact(text).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }

        fn visit_u64<E: de::Error>(self, whole: u64) -> Result<Decimal, E> {
            Ok(Decimal::from(whole))
        }
    }

    deserializer.deserialize_any(DecimalText)
}

fn round_half_away_from_zero(numerator: i128, denominator: i128) -> i128 {
    let quotient = numerator / denominator;
    let remainder = (numerator % denominator).unsigned_abs();
    if remainder >= denominator.unsigned_abs() - remainder { quotient + numerator.signum() } else { quotient }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price(amount: &str, per: u64) -> UnitPrice {
        UnitPrice { amount: amount.parse().unwrap(), per }
    }

    #[test]
    fn amount_shows_decimal_places_of_currency() {
        assert_eq!(Money::from_minor(10_380, Currency::USD).to_string(), "103.80 USD");
        assert_eq!(Money::from_minor(-5, Currency::USD).to_string(), "-0.05 USD");
        assert_eq!(Money::from_minor(1_500, Currency::JPY).to_string(), "1500 JPY");
        assert_eq!(Money::from_minor(1_234, Currency::KWD).to_string(), "1.234 KWD");
        assert_eq!(Money::from_minor(i64::MIN, Currency::USD).to_string(), "-92233720368547758.08 USD");
    }

    #[test]
    fn amount_with_too_many_decimals_is_refused() {
        assert_eq!(Money::parse("29", Currency::USD).unwrap().minor(), 2_900);
        assert_eq!(Money::parse("29.5", Currency::USD).unwrap().minor(), 2_950);
        assert_eq!(Money::parse("29.500", Currency::USD).unwrap().minor(), 2_950);
        for text in ["29.005", "", "1e3", "NaN", "29,00"] {
            assert!(Money::parse(text, Currency::USD).is_err(), "{text} was accepted");
        }
        assert!(Money::parse("0.5", Currency::JPY).is_err());
        assert_eq!(Money::parse("99999999999999999999", Currency::USD), Err(MoneyError::Overflow));
    }

    #[test]
    fn halves_round_away_from_zero() {
        let half_cent = price("0.005", 1);
        assert_eq!(half_cent.amount_for(1, Currency::USD).unwrap().minor(), 1);
        assert_eq!(half_cent.amount_for(3, Currency::USD).unwrap().minor(), 2);
        assert_eq!(price("-0.005", 1).amount_for(1, Currency::USD).unwrap().minor(), -1);
        assert_eq!(price("0.0049", 1).amount_for(1, Currency::USD).unwrap().minor(), 0);
        assert_eq!(price("1", 3).amount_for(2, Currency::USD).unwrap().minor(), 67);
    }

    #[test]
    fn amounts_of_different_currencies_do_not_add() {
        let sum = Money::zero(Currency::USD).checked_add(Money::zero(Currency::EUR));
        assert!(matches!(sum, Err(MoneyError::CurrencyMismatch { .. })));
    }

    proptest! {
        #[test]
        fn rounding_is_within_half_a_minor_unit(
            mantissa in -1_000_000_000_i64..1_000_000_000,
            scale in 0_u32..10,
            per in 1_u64..10_000_000,
            units in 0_u64..1_000_000_000,
        ) {
            let price = UnitPrice { amount: Decimal::new(mantissa, scale), per };
            if let Ok(money) = price.amount_for(units, Currency::USD) {
                let exact = i128::from(mantissa) * i128::from(units) * 100;
                let denominator = 10_i128.pow(scale) * i128::from(per);
                let error = (exact - i128::from(money.minor()) * denominator).abs();
                prop_assert!(2 * error <= denominator);
            }
        }

        #[test]
        fn digits_parse_back(minor in any::<i64>()) {
            let money = Money::from_minor(minor, Currency::USD);
            prop_assert_eq!(Money::parse(&money.digits(), Currency::USD), Ok(money));
        }
    }
}
