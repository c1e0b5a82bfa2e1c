//! Credit notes: what may still be taken back of an invoice.
//!
//! Invariant: the credit notes of a line, and those of a tax rate, never add up to more than what
//! the invoice charged. Tax is rounded for each credit note, within what is left of it; who takes
//! back all that is left of the net gets all that is left of the tax, so nothing remains behind
//! (lago-api#2643, lago-api#4553).

use crate::money::{Exact, Money, MoneyError};

use super::tax::{TaxRule, Treatment};

/// The rest of the lines of one tax rule that can still be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Without tax.
    pub net: Money,
    /// Tax on it.
    pub tax: Money,
}

/// The amount that a credit note takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credited {
    /// Without tax.
    pub net: Money,
    /// Tax on it.
    pub tax: Money,
}

/// The reason for which an amount cannot be taken back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CorrectionError {
    /// More than is left.
    #[error("{asked} cannot be credited: {left} of the lines with this tax rate are left")]
    Exceeds {
        /// The amount without tax.
        asked: Money,
        /// The rest without tax.
        left: Money,
    },
    /// Nothing, or less.
    #[error("{0} cannot be credited: the amount of a credit note is above zero")]
    NotPositive(Money),
    /// A sum does not fit.
    #[error(transparent)]
    Amount(#[from] MoneyError),
}

impl Left {
    /// Everything that is left, tax included.
    pub fn total(&self) -> Result<Money, MoneyError> {
        self.net.checked_add(self.tax)
    }

    /// Takes `net` back with its tax.
    pub fn credit(&mut self, net: Money, rule: &TaxRule) -> Result<Credited, CorrectionError> {
        if net.minor() <= 0 {
            return Err(CorrectionError::NotPositive(net));
        }
        let tax = match rule.treatment {
            _ if net == self.net => self.tax,
            Treatment::Exclusive | Treatment::Inclusive => {
                (Exact::from(net) * Exact::percent(rule.percent)).to_money(net.currency())?
            }
            Treatment::ReverseCharge | Treatment::Exempt => Money::zero(net.currency()),
        };
        self.take(net, tax)
    }

    /// Takes `net` back with `tax`, or with as much of the tax as is left.
    pub fn take(&mut self, net: Money, tax: Money) -> Result<Credited, CorrectionError> {
        if net.minor() <= 0 {
            return Err(CorrectionError::NotPositive(net));
        }
        let left = self.net.checked_sub(net)?;
        if left.minor() < 0 {
            return Err(CorrectionError::Exceeds { asked: net, left: self.net });
        }
        let tax = if tax.minor() > self.tax.minor() || left.is_zero() { self.tax } else { tax };
        *self = Self { net: left, tax: self.tax.checked_sub(tax)? };
        Ok(Credited { net, tax })
    }
}

impl Credited {
    /// The amount that the buyer gets back.
    pub fn total(&self) -> Result<Money, MoneyError> {
        self.net.checked_add(self.tax)
    }
}

#[cfg(test)]
mod tests {
    use crate::money::Currency;
    use proptest::prelude::*;

    use super::*;

    fn eur(text: &str) -> Money {
        Money::parse(text, Currency::EUR).unwrap()
    }

    fn rule(percent: &str) -> TaxRule {
        TaxRule { treatment: Treatment::Exclusive, percent: percent.parse().unwrap() }
    }

    #[test]
    fn credit_note_at_an_odd_rate_leaves_what_a_second_one_takes() {
        let mut left = Left { net: eur("29.99"), tax: eur("7.00") };
        let first = left.credit(eur("25.71"), &rule("23.33")).unwrap();
        assert_eq!((first.tax, first.total().unwrap()), (eur("6.00"), eur("31.71")));
        assert_eq!(left.total().unwrap(), eur("5.28"));
        let second = left.credit(eur("4.28"), &rule("23.33")).unwrap();
        assert_eq!((second.total().unwrap(), left.total().unwrap()), (eur("5.28"), eur("0")));
    }

    #[test]
    fn more_than_is_left_is_refused_and_changes_nothing() {
        let mut left = Left { net: eur("10"), tax: eur("1.90") };
        for asked in ["10.01", "0", "-1"] {
            assert!(left.credit(eur(asked), &rule("19")).is_err(), "{asked}");
        }
        assert_eq!(left, Left { net: eur("10"), tax: eur("1.90") });
    }

    proptest! {
        #[test]
        fn credit_notes_never_add_up_to_more_than_the_invoice(
            net in 1_i64..1_000_000,
            percent in 0_i64..5_000,
            asked in proptest::collection::vec(1_i64..400_000, 1..9),
        ) {
            let rule = TaxRule { treatment: Treatment::Exclusive, percent: crate::money::Decimal::new(percent, 2) };
            let net = Money::from_minor(net, Currency::EUR);
            let tax = (Exact::from(net) * Exact::percent(rule.percent)).to_money(Currency::EUR).unwrap();
            let mut left = Left { net, tax };
            let mut credited = 0;
            for minor in asked {
                if let Ok(note) = left.credit(Money::from_minor(minor, Currency::EUR), &rule) {
                    credited += note.total().unwrap().minor();
                }
                prop_assert!(left.net.minor() >= 0 && left.tax.minor() >= 0);
                prop_assert_eq!(credited + left.total().unwrap().minor(), net.minor() + tax.minor());
            }
            if !left.net.is_zero() {
                left.credit(left.net, &rule).unwrap();
            }
            prop_assert!(left.total().unwrap().is_zero());
        }
    }
}
