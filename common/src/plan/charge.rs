//! What usage costs: an allowance, then graduated tiers.

use serde::{Deserialize, Serialize};

use super::PlanError;
use crate::money::UnitPrice;

/// Largest mantissa of a price; keeps `price x units` inside 128 bits for every possible count of units.
const PRICE_MANTISSA_MAX: i128 = 1_000_000_000_000_000;

/// The price of one meter: nothing for the included units, then each tier's price for the units that fall into it.
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
    /// What units in this tier cost.
    pub price: UnitPrice,
}

impl Charge {
    pub(super) fn validate(&self) -> Result<(), PlanError> {
        let refuse = |reason: String| Err(PlanError::Charge { meter: self.meter.clone(), reason });
        let mut previous = 0;
        for (index, tier) in self.tiers.iter().enumerate() {
            let last = index + 1 == self.tiers.len();
            let number = index + 1;
            match tier.up_to {
                None if !last => {
                    return refuse(format!("tier {number} has no `up_to`, so the tiers after it are never reached"));
                }
                Some(_) if last => {
                    return refuse("the last tier has an `up_to`: units beyond it would have no price".into());
                }
                Some(up_to) if up_to <= previous => {
                    return refuse(format!("tier {number} ends at {up_to}, which is not above {previous}"));
                }
                up_to => previous = up_to.unwrap_or(previous),
            }
            if tier.price.per == 0 {
                return refuse(format!("tier {number}: `per` is 0"));
            }
            if tier.price.amount.is_sign_negative() && !tier.price.amount.is_zero() {
                return refuse(format!("tier {number}: `amount` is negative"));
            }
            if tier.price.amount.mantissa() > PRICE_MANTISSA_MAX {
                return refuse(format!("tier {number}: `amount` has more than 15 digits"));
            }
        }
        Ok(())
    }
}
