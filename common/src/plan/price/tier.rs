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

#[cfg(test)]
mod tests {
    use super::super::{
        Percentage, Price,
        tests::{price, tier},
    };

    /// Ways and reasons of the faults of a price.
    fn told(price: &Price) -> Vec<String> {
        let way = |way: &[super::Step]| {
            let step = |step: &super::Step| match step {
                super::Step::Key(key) => key.clone(),
                super::Step::Item(index) => index.to_string(),
            };
            way.iter().map(step).collect::<Vec<_>>().join(".")
        };
        price.faults().iter().map(|(steps, reason)| format!("{}: {reason}", way(steps))).collect()
    }

    #[test]
    fn tiers_that_make_no_sense_are_told_with_their_place() {
        let one = |up_to| tier(up_to, Some("1"), None);
        let end = one(None);
        let cases = [
            (vec![one(Some(5)), one(Some(6)), end.clone()], vec![]),
            (vec![end.clone()], vec![]),
            (
                vec![one(Some(5))],
                vec!["tiers.0.up_to: the last tier has an `up_to`: units beyond it would have no price"],
            ),
            (
                vec![end.clone(), one(Some(5)), end.clone()],
                vec!["tiers.0: tier 1 has no `up_to`, so the tiers after it are never reached"],
            ),
            (
                vec![one(Some(5)), one(Some(5)), end.clone()],
                vec!["tiers.1.up_to: tier 2 ends at 5, which is not above 5"],
            ),
            (vec![one(Some(0)), end.clone()], vec!["tiers.0.up_to: tier 1 ends at 0, which is not above 0"]),
            // What a tier that is at fault says counts for nothing.
            (
                vec![one(Some(5)), one(Some(4)), one(Some(6)), end.clone()],
                vec!["tiers.1.up_to: tier 2 ends at 4, which is not above 5"],
            ),
            (vec![tier(None, None, None)], vec!["tiers.0: tier 1 needs a `price`, a `fixed` part or both"]),
            (vec![tier(None, None, Some("0"))], vec![]),
            (
                vec![tier(Some(1), Some("-1"), Some("-2")), end.clone()],
                vec![
                    "tiers.0.price.amount: tier 1: `amount` is negative",
                    "tiers.0.fixed: tier 1: `fixed` is negative",
                ],
            ),
        ];
        for (tiers, expected) in cases {
            assert_eq!(told(&Price::Graduated(tiers.clone())), expected, "{tiers:?}");
            let volume: Vec<String> = expected.iter().map(|one| one.replacen("tiers", "volume", 1)).collect();
            assert_eq!(told(&Price::Volume(tiers)), volume);
        }
    }

    #[test]
    fn amounts_have_fifteen_digits_and_are_not_below_zero() {
        let one = |amount: &str, per| told(&Price::PerUnit(price(amount, per)));
        for amount in ["0", "-0.00", "1000000000000000", "0.000000000000001"] {
            assert_eq!(one(amount, 1), [""; 0], "{amount}");
        }
        assert_eq!(one("1000000000000001", 1), ["per_unit.amount: `amount` has more than 15 digits"]);
        assert_eq!(one("-0.01", 1), ["per_unit.amount: `amount` is negative"]);
        assert_eq!(one("1", 0), ["per_unit.per: `per` is 0"]);
        assert_eq!(told(&Price::Package(price("-1", 0))).len(), 2);
        let percentage = |percent: &str, unit: &str, fixed: &str| {
            let [percent, unit, fixed] = [percent, unit, fixed].map(|text| text.parse().unwrap());
            told(&Price::Percentage(Percentage { percent, unit, fixed: Some(fixed), free_requests: 1 }))
        };
        assert_eq!(percentage("1", "1", "0"), [""; 0]);
        assert_eq!(percentage("-1", "1", "-1").len(), 2);
        assert_eq!(
            percentage("1", "0", "1"),
            ["percentage.unit: `unit` is 0: say what one unit is worth, as in \"0.01\""]
        );
    }
}
