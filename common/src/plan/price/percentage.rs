//! Percentage: a share of an amount that units stand for, and a fixed part per request.
//!
//! An API that moves money counts it in units: cents, or whatever `unit` says one is worth.

use serde::{Deserialize, Serialize};

use super::{
    Measured, Part, PartKind, difference,
    tier::{Fault, decimal_fault},
};
use crate::{
    config::way,
    money::{Decimal, Exact, exact_decimal, exact_decimal_or_none},
};

/// A share of an amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Percentage {
    /// Percent of the amount: `"1.2"`; 133.333 is a multiplier of 1.33333.
    #[serde(deserialize_with = "exact_decimal")]
    pub percent: Decimal,
    /// Worth of one unit, in major units of the currency: `"0.01"` for cents.
    #[serde(deserialize_with = "exact_decimal")]
    pub unit: Decimal,
    /// Charged for each request, in major units.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "exact_decimal_or_none")]
    pub fixed: Option<Decimal>,
    /// Requests of a period for which the fixed part is not charged: the first ones. Their share is
    /// charged; units that cost no share are the charge's allowance.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub free_requests: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Percentage {
    /// The parts of what was measured since `before`.
    pub(super) fn parts(&self, before: Measured, after: Measured) -> Vec<Part> {
        let units = difference(before.units, after.units);
        let charged = |measured: Measured| measured.requests.saturating_sub(self.free_requests);
        let requests = difference(charged(before), charged(after));
        let amount = Exact::percent(self.percent) * Exact::from(self.unit) * Exact::whole(units);
        let part = |kind, units, amount| Part { kind, tier: (1, None), units, amount };
        let fixed = self.fixed.unwrap_or_default();
        let amount_of_requests = Exact::from(fixed) * Exact::whole(requests);
        let per_request = part(PartKind::PerRequest(requests, fixed), 0, amount_of_requests);
        vec![part(PartKind::Share(self.clone()), units, amount), per_request]
    }

    /// Its faults, each with the way to it.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let amounts = [("percent", Some(self.percent)), ("unit", Some(self.unit)), ("fixed", self.fixed)];
        let fault = |(name, amount): (&'static str, Option<Decimal>)| {
            Some((way![name], format!("`{name}` {}", decimal_fault(amount?)?)))
        };
        let mut found: Vec<Fault> = amounts.into_iter().filter_map(fault).collect();
        if self.unit.is_zero() {
            found.push((way!["unit"], "`unit` is 0: say what one unit is worth, as in \"0.01\"".into()));
        }
        if self.free_requests > 0 && self.fixed.is_none() {
            found.push((way!["free_requests"], "`free_requests` without `fixed` frees nothing".into()));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::amounts;
    use super::*;
    use crate::plan::price::Price;

    fn percentage(percent: &str, unit: &str, fixed: Option<&str>) -> Price {
        let decimal = |text: &str| text.parse().unwrap();
        Price::Percentage(Percentage {
            percent: decimal(percent),
            unit: decimal(unit),
            fixed: fixed.map(decimal),
            free_requests: 0,
        })
    }

    #[test]
    fn share_and_fixed_part_are_lines_of_their_own() {
        let price = percentage("1.2", "0.01", Some("0.10"));
        assert_eq!(amounts(&price.parts(None, Measured { units: 40_000, requests: 1 })), ["4.80", "0.10"]);
        assert_eq!(amounts(&price.parts(None, Measured { units: 85_000, requests: 4 })), ["10.20", "0.40"]);
    }

    #[test]
    fn first_requests_are_free_of_the_fixed_part_once_in_a_period() {
        let Price::Percentage(price) = percentage("2.9", "0.01", Some("0.30")) else { unreachable!() };
        let price = Price::Percentage(Percentage { free_requests: 3, ..price });
        let measured = |requests| Measured { units: 1_000 * requests, requests };
        // 2.9 % of 10.00 are 0.29 for each.
        for (requests, expected) in
            [(1, vec!["0.29"]), (3, vec!["0.87"]), (4, vec!["1.16", "0.30"]), (9, vec!["2.61", "1.80"])]
        {
            assert_eq!(amounts(&price.parts(None, measured(requests))), expected, "{requests}");
        }
        assert_eq!(
            amounts(&price.parts(Some(measured(2)), measured(5))),
            ["0.87", "0.60"],
            "of the period, not of a bill"
        );
        assert_eq!(amounts(&price.parts(Some(measured(5)), measured(2))), ["-0.87", "-0.60"], "taken back");
        let quantities: Vec<_> = price.parts(None, measured(9)).into_iter().map(|part| part.kind).collect();
        assert!(matches!(quantities[1], PartKind::PerRequest(6, _)), "{quantities:?}");
    }

    #[test]
    fn multiplier_is_a_percentage_above_a_hundred() {
        let price = percentage("133.333", "1", None);
        assert_eq!(amounts(&price.parts(None, Measured { units: 10, requests: 3 })), ["13.33"]);
    }
}
