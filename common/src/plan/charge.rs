//! Price of usage: an allowance, then graduated tiers.

use serde::{Deserialize, Serialize};

use super::{
    PlanError,
    check::{Found, way},
};
use crate::{
    config::Step,
    money::{Money, UnitPrice},
};

/// Units of a meter in a period that every plan can rate: 2^53, far more than anybody uses.
pub const RATEABLE_UNITS: u64 = 1 << 53;

/// Largest mantissa of a price; keeps `price x units` inside 128 bits for every possible count of
/// units.
const PRICE_MANTISSA_MAX: i128 = 1_000_000_000_000_000;

/// The price of one meter: nothing for the included units, then each tier's price for the units
/// that fall into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charge {
    /// The meter whose units are charged.
    pub meter: String,
    /// Units per period that the flat fee already pays for.
    #[serde(default)]
    pub included: u64,
    /// Prices of the units beyond, lowest tier first. Without any, units beyond cost nothing.
    #[serde(default)]
    pub tiers: Vec<Tier>,
}

/// One step of a graduated price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The last unit beyond the allowance that this tier prices; the last tier has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<u64>,
    /// Price of units in this tier.
    pub price: UnitPrice,
}

impl Charge {
    /// Returns the faults of its tiers, each with the way to it from the charge.
    pub(super) fn faults(&self) -> Vec<Found> {
        let mut previous = 0;
        let mut found = Vec::new();
        for (index, tier) in self.tiers.iter().enumerate() {
            let last = index + 1 == self.tiers.len();
            let number = index + 1;
            let mut refuse = |way: Vec<Step>, reason: String| {
                let way = way!["tiers", index].into_iter().chain(way).collect();
                found.push((way, PlanError::Charge { meter: self.meter.clone(), reason }));
            };
            match tier.up_to {
                None if !last => {
                    refuse(vec![], format!("tier {number} has no `up_to`, so the tiers after it are never reached"));
                }
                Some(_) if last => {
                    let reason = "the last tier has an `up_to`: units beyond it would have no price";
                    refuse(way!["up_to"], reason.into());
                }
                Some(up_to) if up_to <= previous => {
                    refuse(way!["up_to"], format!("tier {number} ends at {up_to}, which is not above {previous}"));
                }
                up_to => previous = up_to.unwrap_or(previous),
            }
            if tier.price.per == 0 {
                refuse(way!["price", "per"], format!("tier {number}: `per` is 0"));
            }
            if tier.price.amount.is_sign_negative() && !tier.price.amount.is_zero() {
                refuse(way!["price", "amount"], format!("tier {number}: `amount` is negative"));
            }
            if tier.price.amount.mantissa() > PRICE_MANTISSA_MAX {
                refuse(way!["price", "amount"], format!("tier {number}: `amount` has more than 15 digits"));
            }
        }
        found
    }

    /// Checks that [`RATEABLE_UNITS`] can be rated, and so every number below: the flat fee and
    /// this charge together are money that can be stored.
    pub(super) fn validate_amounts(&self, flat_fee: Money) -> Result<(), PlanError> {
        let mut beyond = RATEABLE_UNITS.saturating_sub(self.included);
        let (mut total, mut before) = (flat_fee, 0);
        for (index, tier) in self.tiers.iter().enumerate() {
            let width = tier.up_to.map_or(u64::MAX, |up_to| up_to - before);
            before = tier.up_to.unwrap_or(before);
            let units = beyond.min(width);
            beyond -= units;
            // A tier that so few units never reach has to be able to rate one.
            let amount = tier.price.amount_for(units.max(1), flat_fee.currency());
            total = amount.and_then(|amount| total.checked_add(amount)).map_err(|error| PlanError::Charge {
                meter: self.meter.clone(),
                reason: format!(
                    "tier {}: {RATEABLE_UNITS} units in a period cannot be rated, as the {error}; a price of fewer digits, \
                     a smaller `amount` or a smaller `per` can",
                    index + 1
                ),
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
        let fault = form.or_else(|| charge.validate_amounts(Money::zero(Currency::USD)).err());
        fault.map(|error| error.to_string())
    }

    fn charge(tiers: &[(Option<u64>, &str, u64)]) -> Charge {
        let tier = |(up_to, amount, per): &(Option<u64>, &str, u64)| Tier {
            up_to: *up_to,
            price: UnitPrice { amount: amount.parse().unwrap(), per: *per },
        };
        Charge { meter: "tokens".into(), included: 0, tiers: tiers.iter().map(tier).collect() }
    }

    #[test]
    fn charge_that_cannot_rate_two_to_the_53_units_is_refused() {
        for tiers in [
            vec![(None, "0.0000000000000000000000000001", 1_000_000_000_000)],
            vec![(None, "0.0000000000000000000000000001", u64::MAX)],
            vec![(None, "10.24", 1)],
            vec![(None, "999999999999999", 1)],
            vec![(Some(1 << 60), "0.01", 1), (None, "0.0000000000000000000000000001", u64::MAX)],
            vec![(Some(1), "0.01", 1), (None, "999999999999.99", 3)],
        ] {
            let refused = refusal(&charge(&tiers)).unwrap_or_else(|| panic!("{tiers:?} was taken"));
            assert!(refused.contains("9007199254740992 units"), "{refused}");
            assert!(refused.contains(&format!("tier {}", tiers.len())), "{refused}");
        }
    }

    #[test]
    fn charge_that_can_rate_two_to_the_53_units_is_accepted() {
        for tiers in [
            vec![(None, "10.23", 1)],
            vec![(None, "0.000000000001", 1)],
            vec![(None, "4.00", 1_000_000)],
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
        assert_eq!(charge(&[(None, "0", 1)]).validate_amounts(most), Ok(()));
    }
}
