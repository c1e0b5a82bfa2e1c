//! Exact amounts: what a price comes to before it is rounded.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, Mul, Neg, Sub},
    str::FromStr,
};

use num_bigint::{BigInt, Sign};
use num_rational::BigRational;

use super::{Currency, Decimal, Money, MoneyError, decimal_places};

/// Decimal places that an amount without a finite decimal shows.
const SHOWN_PLACES: usize = 12;

/// One in units of the last of them.
const SHOWN_SCALE: i128 = 10_i128.pow(12);

/// An exact number: of major units of a currency, or a plain factor. It is a fraction of whole
/// numbers of any size, so no step of a computation rounds or overflows; [`Exact::to_money`] does
/// both, once, at the end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exact(BigRational);

/// The text is not an exact decimal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an exact decimal: write digits with a point, as in \"0.0005\"")]
pub struct ExactError(String);

impl Exact {
    /// Nothing.
    pub fn zero() -> Self {
        Self::whole(0)
    }

    /// A whole number.
    pub fn whole(number: i128) -> Self {
        Self(BigRational::from_integer(number.into()))
    }

    /// A fraction; a denominator of zero counts as one, so callers check it before.
    pub fn ratio(numerator: i128, denominator: i128) -> Self {
        let denominator = if denominator == 0 { 1 } else { denominator };
        Self(BigRational::new(numerator.into(), denominator.into()))
    }

    /// This many percent as a factor: 19 is 0.19.
    pub fn percent(percent: Decimal) -> Self {
        Self::from(percent) * Self::ratio(1, 100)
    }

    /// The amount as money: rounded once to minor units, half away from zero.
    pub fn to_money(&self, currency: Currency) -> Result<Money, MoneyError> {
        let minor_per_major = BigInt::from(10).pow(decimal_places(currency));
        let minor = rounded(&(&self.0 * BigRational::from_integer(minor_per_major)));
        let minor = i64::try_from(minor).map_err(|_| MoneyError::Overflow)?;
        Ok(Money::from_minor(minor, currency))
    }

    /// The number divided by another; none if that is zero.
    pub fn divided_by(&self, other: &Self) -> Option<Self> {
        (!other.is_zero()).then(|| Self(&self.0 / &other.0))
    }

    /// The whole number towards zero; none if that does not fit 64 bits.
    pub(super) fn truncated(&self) -> Option<i64> {
        i64::try_from(self.0.trunc().to_integer()).ok()
    }

    /// Returns true if it is nothing.
    pub fn is_zero(&self) -> bool {
        self.0.numer().sign() == Sign::NoSign
    }

    /// Returns true if it is below zero.
    pub fn is_negative(&self) -> bool {
        self.0.numer().sign() == Sign::Minus
    }
}

/// The nearest whole number, halves away from zero.
fn rounded(number: &BigRational) -> BigInt {
    let (numerator, denominator) = (number.numer(), number.denom());
    let doubled = numerator.magnitude() * 2_u8 + denominator.magnitude();
    let magnitude = doubled / (denominator.magnitude() * 2_u8);
    BigInt::from_biguint(numerator.sign(), magnitude)
}

impl From<Decimal> for Exact {
    fn from(decimal: Decimal) -> Self {
        let scale = BigInt::from(10).pow(decimal.scale());
        Self(BigRational::new(decimal.mantissa().into(), scale))
    }
}

impl From<Money> for Exact {
    /// The amount in major units.
    fn from(money: Money) -> Self {
        let scale = BigInt::from(10).pow(decimal_places(money.currency()));
        Self(BigRational::new(money.minor().into(), scale))
    }
}

impl FromStr for Exact {
    type Err = ExactError;

    /// Reads a decimal with any number of digits.
    fn from_str(text: &str) -> Result<Self, ExactError> {
        let invalid = || ExactError(text.chars().take(40).collect());
        let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !is_number(whole) || !is_number(fraction) || digits.ends_with('.') || text.len() > 100 {
            return Err(invalid());
        }
        let numerator: BigInt = format!("{whole}{fraction}").parse().map_err(|_| invalid())?;
        let places = u32::try_from(fraction.len()).map_err(|_| invalid())?;
        Ok(Self(BigRational::new(numerator * sign, BigInt::from(10).pow(places))))
    }
}

impl fmt::Display for Exact {
    /// The decimal if it ends within some places, or else a fraction such as `28210/91`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scaled = &self.0 * BigRational::from_integer(SHOWN_SCALE.into());
        if !scaled.is_integer() {
            return formatter.pad(&format!("{}/{}", self.0.numer(), self.0.denom()));
        }
        let sign = if self.is_negative() { "-" } else { "" };
        let digits = format!("{:0>width$}", scaled.numer().magnitude().to_string(), width = SHOWN_PLACES + 1);
        let (whole, fraction) = digits.split_at(digits.len() - SHOWN_PLACES);
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        formatter.pad(&format!("{sign}{whole}{point}{fraction}"))
    }
}

impl Add for Exact {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Exact {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Mul for Exact {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self(self.0 * other.0)
    }
}

impl Neg for Exact {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl Sum for Exact {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::zero(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exact(text: &str) -> Exact {
        text.parse().unwrap()
    }

    #[test]
    fn halves_round_away_from_zero_in_the_places_of_the_currency() {
        let minor = |text: &str, currency| exact(text).to_money(currency).unwrap().minor();
        assert_eq!(minor("0.005", Currency::USD), 1);
        assert_eq!(minor("-0.005", Currency::USD), -1);
        assert_eq!(minor("0.00499999999999999999999", Currency::USD), 0);
        assert_eq!(minor("617.5", Currency::JPY), 618);
        assert_eq!(minor("5.1245", Currency::KWD), 5125);
        assert_eq!(minor("17.9699999999999988631316", Currency::EUR), 1797);
    }

    #[test]
    fn fraction_stays_exact_until_it_is_money() {
        let third = Exact::ratio(1, 3);
        assert_eq!(third.clone() + third.clone() + third, Exact::whole(1));
        let fee = Exact::whole(910) * Exact::ratio(31, 91);
        assert_eq!(fee.to_money(Currency::EUR).unwrap().digits(), "310.00");
    }

    #[test]
    fn amount_beyond_64_bits_of_minor_units_is_an_error() {
        let most = exact("92233720368547758.07");
        assert_eq!(most.to_money(Currency::USD).unwrap().minor(), i64::MAX);
        assert_eq!((most + exact("0.005")).to_money(Currency::USD), Err(MoneyError::Overflow));
    }

    #[test]
    fn decimal_shows_as_such_and_other_fractions_as_fractions() {
        assert_eq!(exact("-0.0500").to_string(), "-0.05");
        assert_eq!(exact("12").to_string(), "12");
        assert_eq!(Exact::ratio(28210, 91).to_string(), "310");
        assert_eq!(Exact::ratio(1000, 7).to_string(), "1000/7");
    }

    #[test]
    fn numbers_are_added_compared_and_divided_exactly() {
        assert_eq!(exact("1.5") - exact("2"), exact("-0.5"));
        assert_eq!(-exact("1.5"), exact("-1.5"));
        assert_eq!([exact("0.1"), exact("0.2"), exact("-0.3")].into_iter().sum::<Exact>(), Exact::zero());
        assert_eq!(Exact::percent("19".parse().unwrap()), exact("0.19"));
        assert_eq!(exact("1").divided_by(&exact("8")), Some(exact("0.125")));
        assert_eq!(exact("1").divided_by(&Exact::zero()), None);
        assert_eq!(Exact::ratio(7, 0), Exact::whole(7));
        let signs = ["-0.1", "0", "0.1"].map(|text| (exact(text).is_negative(), exact(text).is_zero()));
        assert_eq!(signs, [(true, false), (false, true), (false, false)]);
        assert_eq!(
            ["-1.9", "1.9", "9223372036854775807.5"].map(|text| exact(text).truncated()),
            [Some(-1), Some(1), Some(i64::MAX)]
        );
        assert_eq!(exact("9223372036854775808").truncated(), None);
    }

    #[test]
    fn text_of_a_hundred_characters_is_read_and_a_longer_one_refused() {
        let digits = "1".repeat(100);
        assert_eq!(digits.parse::<Exact>().unwrap().to_string(), digits);
        assert!("1".repeat(101).parse::<Exact>().is_err());
        assert_eq!(format!("{:>5}|{:>4}|", exact("0.5"), Exact::ratio(1, 7)), "  0.5| 1/7|");
    }

    #[test]
    fn text_that_is_no_decimal_is_refused() {
        for text in ["", "-", ".5", "5.", "1e3", "1,0", "NaN", "--1", "+1", "1.2.3"] {
            assert!(text.parse::<Exact>().is_err(), "{text} was accepted");
        }
    }

    proptest! {
        #[test]
        fn rounding_is_within_half_a_minor_unit(numerator in any::<i64>(), denominator in 1_i64..=i64::MAX) {
            let number = Exact::ratio(i128::from(numerator), i128::from(denominator));
            if let Ok(money) = number.to_money(Currency::USD) {
                let error = number - Exact::from(money);
                prop_assert!(error <= Exact::ratio(1, 200) && error >= Exact::ratio(-1, 200));
            }
        }

        #[test]
        fn money_is_exact(minor in any::<i64>()) {
            let money = Money::from_minor(minor, Currency::KWD);
            prop_assert_eq!(Exact::from(money).to_money(Currency::KWD), Ok(money));
            prop_assert_eq!(exact(&money.digits()), Exact::from(money));
        }
    }
}
