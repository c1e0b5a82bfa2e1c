//! Tiers of graduated and volume prices.

use serde::{Deserialize, Serialize};

use crate::{
    config::{Step, way},
    money::{Decimal, Exact, UnitPrice, exact_decimal_or_none},
};

/// Largest mantissa of a price: nobody writes more digits on purpose.
const PRICE_MANTISSA_MAX: i128 = 1_000_000_000_000_000;

/// One step of a price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The last unit beyond the allowance that this tier prices; the last tier has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<u64>,
    /// Price of each unit in this tier; none: they cost nothing beside the fixed part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<UnitPrice>,
    /// Charged once when the tier is reached, in major units. The first tier is always reached.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "exact_decimal_or_none")]
    pub fixed: Option<Decimal>,
}

/// The way to a fault, and what is wrong.
pub(super) type Fault = (Vec<Step>, String);

impl Tier {
    /// The fixed part.
    pub(super) fn fixed(&self) -> Exact {
        self.fixed.map_or_else(Exact::zero, Exact::from)
    }
}

/// Each tier with the first unit that it prices and the last.
pub(super) fn ranges(tiers: &[Tier]) -> impl Iterator<Item = (&Tier, u64, Option<u64>)> {
    let mut first = 1;
    tiers.iter().map(move |tier| {
        let range = (tier, first, tier.up_to);
        first = tier.up_to.map_or(u64::MAX, |up_to| up_to.saturating_add(1));
        range
    })
}

/// Faults of tiers.
pub(super) fn faults(tiers: &[Tier]) -> Vec<Fault> {
    let mut previous = 0;
    let mut found: Vec<Fault> = Vec::new();
    for (index, tier) in tiers.iter().enumerate() {
        let (number, is_last) = (index + 1, index + 1 == tiers.len());
        let mut refuse = |way: Vec<Step>, reason: String| {
            found.push((way![index].into_iter().chain(way).collect(), reason));
        };
        match tier.up_to {
            None if !is_last => {
                refuse(vec![], format!("tier {number} has no `up_to`, so the tiers after it are never reached"));
            }
            Some(_) if is_last => {
                let reason = "the last tier has an `up_to`: units beyond it would have no price";
                refuse(way!["up_to"], reason.into());
            }
            Some(up_to) if up_to <= previous => {
                refuse(way!["up_to"], format!("tier {number} ends at {up_to}, which is not above {previous}"));
            }
            up_to => previous = up_to.unwrap_or(previous),
        }
        if tier.price.is_none() && tier.fixed.is_none() {
            refuse(vec![], format!("tier {number} needs a `price`, a `fixed` part or both"));
        }
        if let Some(price) = &tier.price {
            for (rest, reason) in price_faults(price, &format!("tier {number}: ")) {
                refuse(way!["price"].into_iter().chain(rest).collect(), reason);
            }
        }
        if let Some(reason) = tier.fixed.and_then(decimal_fault) {
            refuse(way!["fixed"], format!("tier {number}: `fixed` {reason}"));
        }
    }
    found
}

/// Faults of a price, each text beginning with `place`.
pub(super) fn price_faults(price: &UnitPrice, place: &str) -> Vec<Fault> {
    let per = (price.per == 0).then(|| (way!["per"], format!("{place}`per` is 0")));
    let amount = decimal_fault(price.amount).map(|reason| (way!["amount"], format!("{place}`amount` {reason}")));
    per.into_iter().chain(amount).collect()
}

/// The fault of an amount, if it has one.
pub(super) fn decimal_fault(amount: Decimal) -> Option<&'static str> {
    match amount {
        _ if amount.is_sign_negative() && !amount.is_zero() => Some("is negative"),
        _ if amount.mantissa() > PRICE_MANTISSA_MAX => Some("has more than 15 digits"),
        _ => None,
    }
}
