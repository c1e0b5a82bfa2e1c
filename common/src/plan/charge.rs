//! Price of usage: an allowance, then what the units beyond it come to.

use serde::{Deserialize, Serialize};

use super::{
    PlanError,
    check::Found,
    price::{Measured, Part, Percentage, Price, Tier},
};
use crate::{
    config::way,
    money::{Money, UnitPrice},
};

/// Units of a meter in a period that every plan can rate: 2^53, far more than anybody uses.
pub const RATEABLE_UNITS: u64 = 1 << 53;

/// The price of one meter: nothing for the included units, then what the price says for those
/// beyond.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ChargeFile", into = "ChargeFile")]
pub struct Charge {
    /// The meter whose units are charged.
    pub meter: String,
    /// Units per period that the flat fee already pays for.
    pub included: u64,
    /// Price of the units beyond; graduated without tiers, they cost nothing.
    pub price: Price,
}

/// A charge as people write it: with one price.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChargeFile {
    meter: String,
    #[serde(default)]
    included: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tiers: Option<Vec<Tier>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    per_unit: Option<UnitPrice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    volume: Option<Vec<Tier>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    package: Option<UnitPrice>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    percentage: Option<Percentage>,
}

/// A charge has more than one price.
#[derive(Debug, thiserror::Error)]
#[error("charge on meter `{meter}`: `{one}` and `{other}` are two prices: write one of them")]
struct TwoPrices {
    meter: String,
    one: &'static str,
    other: &'static str,
}

impl TryFrom<ChargeFile> for Charge {
    type Error = TwoPrices;

    fn try_from(file: ChargeFile) -> Result<Self, TwoPrices> {
        let ChargeFile { meter, included, tiers, per_unit, volume, package, percentage } = file;
        let prices = [
            tiers.map(Price::Graduated),
            per_unit.map(Price::PerUnit),
            volume.map(Price::Volume),
            package.map(Price::Package),
            percentage.map(Price::Percentage),
        ];
        let mut prices = prices.into_iter().flatten();
        let price = prices.next().unwrap_or_else(|| Price::Graduated(Vec::new()));
        match prices.next() {
            Some(other) => Err(TwoPrices { meter, one: price.name(), other: other.name() }),
            None => Ok(Self { meter, included, price }),
        }
    }
}

impl From<Charge> for ChargeFile {
    fn from(Charge { meter, included, price }: Charge) -> Self {
        let empty =
            Self { meter, included, tiers: None, per_unit: None, volume: None, package: None, percentage: None };
        match price {
            Price::Graduated(tiers) => Self { tiers: Some(tiers), ..empty },
            Price::PerUnit(price) => Self { per_unit: Some(price), ..empty },
            Price::Volume(tiers) => Self { volume: Some(tiers), ..empty },
            Price::Package(price) => Self { package: Some(price), ..empty },
            Price::Percentage(percentage) => Self { percentage: Some(percentage), ..empty },
        }
    }
}

impl Charge {
    /// The units beyond the allowance, and all requests: the allowance is units.
    pub fn beyond(&self, measured: Measured) -> Measured {
        Measured { units: measured.units.saturating_sub(self.included), ..measured }
    }

    /// The parts of what was measured since `before`, the allowance taken off.
    pub fn parts(&self, before: Option<Measured>, after: Measured) -> Vec<Part> {
        self.price.parts(before.map(|before| self.beyond(before)), self.beyond(after))
    }

    /// Returns the faults of its price, each with the way to it from the charge.
    pub(super) fn faults(&self) -> Vec<Found> {
        let refuse = |(way, reason)| (way, PlanError::Charge { meter: self.meter.clone(), reason });
        self.price.faults().into_iter().map(refuse).collect()
    }

    /// Checks that [`RATEABLE_UNITS`] can be rated, and so every number below: the flat fee and
    /// this charge together are money that can be stored.
    pub(super) fn validate_amounts(&self, flat_fee: Money) -> Result<(), Found> {
        let most = RATEABLE_UNITS.saturating_sub(self.included);
        for units in self.price.extremes(most) {
            let total = self.price.total(Measured { units, requests: units }).to_money(flat_fee.currency());
            let total = total.and_then(|total| total.checked_add(flat_fee));
            total.map_err(|error| {
                let reason = format!(
                    "{RATEABLE_UNITS} units in a period cannot be rated, as the {error}; a smaller `amount` or a \
                     larger `per` can"
                );
                (way![self.price.name()], PlanError::Charge { meter: self.meter.clone(), reason })
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Currency;

    fn refusal(charge: &Charge) -> Option<String> {
        let form = charge.faults().into_iter().next().map(|(_, error)| error);
        let amounts = || charge.validate_amounts(Money::zero(Currency::USD)).err().map(|(_, error)| error);
        form.or_else(amounts).map(|error| error.to_string())
    }

    fn charge(tiers: &[(Option<u64>, &str, u64)]) -> Charge {
        let tier = |(up_to, amount, per): &(Option<u64>, &str, u64)| Tier {
            up_to: *up_to,
            price: Some(UnitPrice { amount: amount.parse().unwrap(), per: *per }),
            fixed: None,
        };
        Charge { meter: "tokens".into(), included: 0, price: Price::Graduated(tiers.iter().map(tier).collect()) }
    }

    #[test]
    fn charge_that_cannot_rate_two_to_the_53_units_is_refused() {
        for tiers in [
            vec![(None, "10.24", 1)],
            vec![(None, "999999999999999", 1)],
            vec![(Some(1 << 60), "10.24", 1), (None, "0", 1)],
            vec![(Some(1), "0.01", 1), (None, "999999999999.99", 3)],
        ] {
            let refused = refusal(&charge(&tiers)).unwrap_or_else(|| panic!("{tiers:?} was taken"));
            assert!(refused.contains("9007199254740992 units"), "{refused}");
        }
    }

    #[test]
    fn charge_that_can_rate_two_to_the_53_units_is_accepted() {
        for tiers in [
            vec![(None, "10.23", 1)],
            vec![(None, "0.000000000001", 1)],
            vec![(None, "4.00", 1_000_000)],
            vec![(None, "0.0000000000000000000000000001", u64::MAX)],
            vec![(Some(1_000), "25.00", 1), (None, "0.50", 1)],
            vec![(None, "0", u64::MAX)],
        ] {
            let charge = charge(&tiers);
            assert_eq!(refusal(&charge), None, "{tiers:?}");
        }
    }

    #[test]
    fn flat_fee_and_charge_share_a_currency() {
        let most = Money::from_minor(i64::MAX, Currency::USD);
        assert!(charge(&[(None, "0.01", 1)]).validate_amounts(most).is_err());
        assert!(charge(&[(None, "0", 1)]).validate_amounts(most).is_ok());
    }

    #[test]
    fn every_price_model_is_written_as_it_is_read() {
        for price in [
            r#""tiers":[{"up_to":5,"price":{"amount":"7","per":1},"fixed":"1.50"},{"fixed":"3"}]"#,
            r#""volume":[{"price":{"amount":"0.001","per":10}}]"#,
            r#""per_unit":{"amount":"0.5","per":1}"#,
            r#""package":{"amount":"15","per":10}"#,
            r#""percentage":{"percent":"1.2","unit":"0.01","fixed":"0.10"}"#,
        ] {
            let text = format!(r#"{{"meter":"tokens","included":3,{price}}}"#);
            let read: Charge = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
            assert_eq!(refusal(&read), None);
        }
    }

    #[test]
    fn charge_with_two_prices_is_refused_with_both_names() {
        let text = r#"{"meter":"tokens","tiers":[],"package":{"amount":"15","per":10}}"#;
        let refused = serde_json::from_str::<Charge>(text).unwrap_err().to_string();
        assert!(refused.contains("`tiers` and `package` are two prices"), "{refused}");
    }

    #[test]
    fn faults_of_prices_are_told_with_their_place() {
        let faults = |price: Price| {
            let charge = Charge { meter: "tokens".into(), included: 0, price };
            charge.faults().into_iter().map(|(way, error)| format!("{way:?} {error}")).collect::<Vec<_>>()
        };
        let tier =
            |up_to, fixed: Option<&str>| Tier { up_to, price: None, fixed: fixed.map(|one| one.parse().unwrap()) };
        assert_eq!(faults(Price::Volume(vec![tier(Some(5), Some("-1")), tier(Some(5), None)])).len(), 3);
        assert_eq!(faults(Price::Package(UnitPrice { amount: "-1".parse().unwrap(), per: 0 })).len(), 2);
        let (percent, unit) = ("1".parse().unwrap(), "0".parse().unwrap());
        assert_eq!(faults(Price::Percentage(Percentage { percent, unit, fixed: None, free_requests: 1 })).len(), 2);
    }
}
