//! Tax: what is due on the lines of an invoice, by rate.
//!
//! Tax is rounded once for each rate, on the sum of its lines (as EN 16931 and Japan's qualified
//! invoices require), or once for each line where an issuer's rule says so.

use crate::money::{Currency, Decimal, Exact, Money, MoneyError};
use serde::{Deserialize, Serialize};

/// Treatment of an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// The tax comes on top.
    Exclusive,
    /// The amount contains the tax.
    Inclusive,
    /// The buyer owes the tax.
    ReverseCharge,
    /// No tax is due.
    Exempt,
}

/// The rule by which a line is taxed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TaxRule {
    /// Treatment of the amount.
    pub treatment: Treatment,
    /// Percent: `"19"`; 0 where none is due.
    #[cfg_attr(feature = "api", schema(value_type = String, example = "19"))]
    pub percent: Decimal,
}

/// The place of rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TaxRounding {
    /// Once for each rate.
    #[default]
    PerRate,
    /// Once for each line.
    PerLine,
}

/// The lines of one rule together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaxGroup {
    /// The rule.
    pub rule: TaxRule,
    /// Sum without tax.
    pub net: Money,
    /// Tax on it.
    pub tax: Money,
}

impl TaxRule {
    /// The rule of a tenant that states none.
    pub const NONE: Self = Self { treatment: Treatment::Exclusive, percent: Decimal::ZERO };

    /// Returns true if amounts contain the tax.
    pub const fn is_inclusive(&self) -> bool {
        matches!(self.treatment, Treatment::Inclusive)
    }

    /// The category of EN 16931 (UNTDID 5305).
    pub fn category(&self) -> &'static str {
        match self.treatment {
            Treatment::ReverseCharge => "AE",
            Treatment::Exempt => "E",
            Treatment::Exclusive | Treatment::Inclusive if self.percent.is_zero() => "Z",
            Treatment::Exclusive | Treatment::Inclusive => "S",
        }
    }

    /// The note that an invoice must carry.
    pub const fn note(&self) -> Option<&'static str> {
        match self.treatment {
            Treatment::ReverseCharge => Some("Reverse charge"),
            Treatment::Exempt => Some("Exempt from tax"),
            Treatment::Exclusive | Treatment::Inclusive => None,
        }
    }

    /// Checks the percentage: 0 to 100 with at most 4 decimal places, and 0 where no tax is due.
    pub fn validate(&self) -> Result<(), String> {
        let percent = self.percent.normalize();
        if percent.is_sign_negative() && !percent.is_zero() || percent > Decimal::ONE_HUNDRED || percent.scale() > 4 {
            return Err(format!("{percent} is not a rate of tax: use 0 to 100, with at most 4 decimal places"));
        }
        match self.treatment {
            Treatment::ReverseCharge | Treatment::Exempt if !percent.is_zero() => {
                Err("no tax is due by this treatment: use 0".into())
            }
            _ => Ok(()),
        }
    }

    /// The tax that an amount contains, rounded.
    pub fn contained_in(&self, amount: Money) -> Result<Money, MoneyError> {
        self.on(amount).to_money(amount.currency())
    }

    /// An amount as a line states it, without the tax that it contains.
    pub fn net_of(&self, amount: Money) -> Result<Money, MoneyError> {
        if self.is_inclusive() { amount.checked_sub(self.contained_in(amount)?) } else { Ok(amount) }
    }

    /// The tax on an amount, exact.
    fn on(&self, amount: Money) -> Exact {
        let rate = Exact::percent(self.percent);
        match self.treatment {
            Treatment::Exclusive => Exact::from(amount) * rate,
            Treatment::Inclusive => {
                let factor = rate.divided_by(&(Exact::whole(1) + rate.clone()));
                Exact::from(amount) * factor.unwrap_or_else(Exact::zero)
            }
            Treatment::ReverseCharge | Treatment::Exempt => Exact::zero(),
        }
    }
}

/// The tax on lines, by rule, in the order in which the rules first come. What a line of an
/// inclusive rule contains as tax is not part of its group's net.
pub fn groups(
    lines: &[(Money, TaxRule)],
    rounding: TaxRounding,
    currency: Currency,
) -> Result<Vec<TaxGroup>, MoneyError> {
    let mut rules: Vec<TaxRule> = Vec::new();
    for (_, rule) in lines {
        if !rules.contains(rule) {
            rules.push(*rule);
        }
    }
    let group = |rule: TaxRule| {
        let amounts: Vec<Money> = lines.iter().filter(|(_, other)| *other == rule).map(|(amount, _)| *amount).collect();
        let sum = Money::sum(amounts.iter().copied(), currency)?;
        let tax = match rounding {
            TaxRounding::PerRate => rule.on(sum).to_money(currency)?,
            TaxRounding::PerLine => {
                let each: Result<Vec<Money>, _> = amounts.iter().map(|one| rule.on(*one).to_money(currency)).collect();
                Money::sum(each?, currency)?
            }
        };
        let net = if rule.treatment == Treatment::Inclusive { sum.checked_sub(tax)? } else { sum };
        Ok(TaxGroup { rule, net, tax })
    };
    rules.into_iter().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(treatment: Treatment, percent: &str) -> TaxRule {
        TaxRule { treatment, percent: percent.parse().unwrap() }
    }

    fn taxed(lines: &[(&str, TaxRule)], rounding: TaxRounding, currency: Currency) -> Vec<(String, String)> {
        let lines: Vec<_> = lines.iter().map(|(net, rule)| (Money::parse(net, currency).unwrap(), *rule)).collect();
        let groups = groups(&lines, rounding, currency).unwrap();
        groups.into_iter().map(|group| (group.net.digits(), group.tax.digits())).collect()
    }

    fn pair(net: &str, tax: &str) -> (String, String) {
        (net.into(), tax.into())
    }

    #[test]
    fn tax_is_rounded_once_for_each_rate() {
        let standard = rule(Treatment::Exclusive, "19");
        let lines = [("0.33", standard), ("0.33", standard), ("0.33", standard)];
        assert_eq!(taxed(&lines, TaxRounding::PerRate, Currency::EUR), [pair("0.99", "0.19")]);
        assert_eq!(taxed(&lines, TaxRounding::PerLine, Currency::EUR), [pair("0.99", "0.18")]);
    }

    #[test]
    fn each_rate_is_a_group() {
        let lines = [("100.05", rule(Treatment::Exclusive, "7")), ("33.33", rule(Treatment::Exclusive, "21"))];
        let expected = [pair("100.05", "7.00"), pair("33.33", "7.00")];
        assert_eq!(taxed(&lines, TaxRounding::PerRate, Currency::EUR), expected);
    }

    #[test]
    fn inclusive_amount_contains_its_tax() {
        let lines = [("119.00", rule(Treatment::Inclusive, "19")), ("0.05", rule(Treatment::Inclusive, "19"))];
        assert_eq!(taxed(&lines, TaxRounding::PerRate, Currency::EUR), [pair("100.04", "19.01")]);
    }

    #[test]
    fn buyer_owes_the_tax_under_reverse_charge() {
        let rule = rule(Treatment::ReverseCharge, "0");
        assert_eq!(taxed(&[("103.80", rule)], TaxRounding::PerRate, Currency::EUR), [pair("103.80", "0.00")]);
        assert_eq!((rule.category(), rule.note()), ("AE", Some("Reverse charge")));
    }

    #[test]
    fn every_treatment_has_its_category_its_note_and_its_rates() {
        for (treatment, percent, category, note, is_valid) in [
            (Treatment::Exclusive, "19", "S", None, true),
            (Treatment::Inclusive, "0.0001", "S", None, true),
            (Treatment::Exclusive, "0", "Z", None, true),
            (Treatment::Exclusive, "-0.0", "Z", None, true),
            (Treatment::Inclusive, "100", "S", None, true),
            (Treatment::Inclusive, "100.0001", "S", None, false),
            (Treatment::Exclusive, "-0.1", "S", None, false),
            (Treatment::Exclusive, "1.00001", "S", None, false),
            (Treatment::Exclusive, "1.00010", "S", None, true),
            (Treatment::ReverseCharge, "0", "AE", Some("Reverse charge"), true),
            (Treatment::ReverseCharge, "19", "AE", Some("Reverse charge"), false),
            (Treatment::Exempt, "0", "E", Some("Exempt from tax"), true),
            (Treatment::Exempt, "7", "E", Some("Exempt from tax"), false),
        ] {
            let rule = rule(treatment, percent);
            assert_eq!((rule.category(), rule.note(), rule.validate().is_ok()), (category, note, is_valid), "{rule:?}");
            assert_eq!(rule.is_inclusive(), treatment == Treatment::Inclusive);
        }
    }

    #[test]
    fn rates_that_are_contained_are_taken_out_of_each_group() {
        let (high, low) = (rule(Treatment::Inclusive, "19"), rule(Treatment::Inclusive, "7"));
        let lines =
            [("10.00", high), ("-2.00", low), ("10.00", high), ("12.70", low), ("5.00", rule(Treatment::Exempt, "0"))];
        let expected = [pair("16.81", "3.19"), pair("10.00", "0.70"), pair("5.00", "0.00")];
        assert_eq!(taxed(&lines, TaxRounding::PerRate, Currency::EUR), expected);
        let each = [pair("16.80", "3.20"), pair("10.00", "0.70"), pair("5.00", "0.00")];
        assert_eq!(taxed(&lines, TaxRounding::PerLine, Currency::EUR), each);
        let net = |rule: TaxRule| rule.net_of(Money::parse("11.90", Currency::EUR).unwrap()).unwrap().digits();
        assert_eq!((net(high), net(rule(Treatment::Exclusive, "19")).as_str()), ("10.00".to_owned(), "11.90"));
    }

    #[test]
    fn tax_has_the_places_of_its_currency() {
        for (currency, net, tax) in
            [(Currency::JPY, "105", "11"), (Currency::KWD, "0.105", "0.011"), (Currency::USD, "1.05", "0.11")]
        {
            let lines = [(net, rule(Treatment::Exclusive, "10"))];
            assert_eq!(taxed(&lines, TaxRounding::PerRate, currency), [pair(net, tax)], "{currency:?}");
        }
    }

    #[test]
    fn lines_below_zero_lower_the_tax() {
        let standard = rule(Treatment::Exclusive, "25");
        let lines = [("200.00", standard), ("-193.33", standard)];
        assert_eq!(taxed(&lines, TaxRounding::PerRate, Currency::EUR), [pair("6.67", "1.67")]);
    }
}
