//! Prices of units of usage.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Currency, Decimal, Exact, Money, MoneyError};

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
    /// The price of `units`: `units x amount / per`.
    pub fn exact_for(&self, units: i128) -> Exact {
        Exact::from(self.amount) * Exact::ratio(units, i128::from(self.per.max(1)))
    }

    /// Returns the price of `units` as money: [`Self::exact_for`], rounded once to minor units,
    /// half away from zero.
    pub fn amount_for(&self, units: u64, currency: Currency) -> Result<Money, MoneyError> {
        self.exact_for(i128::from(units)).to_money(currency)
    }
}

/// Reads an exact decimal that may be missing.
pub(crate) fn exact_decimal_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Decimal>, D::Error> {
    exact_decimal(deserializer).map(Some)
}

/// Reads a decimal in quotes, or a whole number; anything else would have been a float.
pub(crate) fn exact_decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price(amount: &str, per: u64) -> UnitPrice {
        UnitPrice { amount: amount.parse().unwrap(), per }
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
    }
}
