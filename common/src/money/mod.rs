//! Money and prices. No float ever touches either.
//!
//! An amount is a whole number of minor units (cents) in one currency. A price may be any exact
//! decimal per any number of units, and a part of a period any fraction: both are [`Exact`], and
//! become money in one place, [`Exact::to_money`], rounding once, half away from zero.

mod exact;
mod split;
mod unit_price;

use std::{fmt, str::FromStr};

pub use exact::Exact;
pub use iso_currency::Currency;
pub use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
pub use split::split;
pub use unit_price::UnitPrice;
pub(crate) use unit_price::{exact_decimal, exact_decimal_or_none};

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

    /// The amount less another of its currency.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        let minor = other.minor.checked_neg().ok_or(MoneyError::Overflow)?;
        self.checked_add(Self::from_minor(minor, other.currency))
    }

    /// The sum of amounts in `currency`.
    pub fn sum(amounts: impl IntoIterator<Item = Self>, currency: Currency) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::zero(currency), Self::checked_add)
    }

    /// Returns true if it is nothing.
    pub const fn is_zero(self) -> bool {
        self.minor == 0
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amount_shows_decimal_places_of_currency() {
        assert_eq!(Money::from_minor(10_380, Currency::USD).to_string(), "103.80 USD");
        assert_eq!(Money::from_minor(-5, Currency::USD).to_string(), "-0.05 USD");
        assert_eq!(Money::zero(Currency::USD).to_string(), "0.00 USD");
        assert_eq!(Money::zero(Currency::JPY).to_string(), "0 JPY");
        assert_eq!(format!("{:>9}|", Money::from_minor(5, Currency::USD)), " 0.05 USD|");
        assert_eq!(Money::from_minor(1_500, Currency::JPY).to_string(), "1500 JPY");
        assert_eq!(Money::from_minor(1_234, Currency::KWD).to_string(), "1.234 KWD");
        assert_eq!(Money::from_minor(i64::MIN, Currency::USD).to_string(), "-92233720368547758.08 USD");
    }

    #[test]
    fn amount_with_too_many_decimals_is_refused() {
        assert_eq!(Money::parse("29", Currency::USD).unwrap().minor(), 2_900);
        assert_eq!(Money::parse("29.5", Currency::USD).unwrap().minor(), 2_950);
        assert_eq!(Money::parse("29.500", Currency::USD).unwrap().minor(), 2_950);
        assert_eq!(Money::parse("29.55", Currency::USD).unwrap().minor(), 2_955);
        assert_eq!(Money::parse("-0.01", Currency::USD).unwrap().minor(), -1);
        assert_eq!(Money::parse("1.234", Currency::KWD).unwrap().minor(), 1_234);
        assert_eq!(Money::parse("7", Currency::JPY).unwrap().minor(), 7);
        for text in ["29.005", "", "1e3", "NaN", "29,00"] {
            assert!(Money::parse(text, Currency::USD).is_err(), "{text} was accepted");
        }
        assert!(Money::parse("0.5", Currency::JPY).is_err());
        assert_eq!(Money::parse("99999999999999999999", Currency::USD), Err(MoneyError::Overflow));
    }

    #[test]
    fn amounts_of_different_currencies_do_not_add() {
        let sum = Money::zero(Currency::USD).checked_add(Money::zero(Currency::EUR));
        assert!(matches!(sum, Err(MoneyError::CurrencyMismatch { .. })));
    }

    proptest! {
        #[test]
        fn digits_parse_back(minor in any::<i64>()) {
            let money = Money::from_minor(minor, Currency::USD);
            prop_assert_eq!(Money::parse(&money.digits(), Currency::USD), Ok(money));
        }
    }
}
