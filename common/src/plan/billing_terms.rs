//! Terms by which a period of a plan is billed, beside its prices.

use serde::{Deserialize, Serialize};

use super::{PlanError, check::Found};
use crate::{
    config::way,
    money::{Currency, Money},
    time::{Alignment, CycleUnit},
};

/// Terms of billing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct BillingTerms {
    /// Length of the periods that are billed. Fees, included units, tiers and spends are for each
    /// period.
    #[serde(skip_serializing_if = "is_month")]
    pub cycle: CycleUnit,
    /// The instants at which periods begin, on the payer's clock.
    #[serde(skip_serializing_if = "is_calendar")]
    pub alignment: Alignment,
    /// True: the flat fee of a period is due as it begins. False: once it has ended.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub in_advance: bool,
    /// Amount without tax, in major units: usage that comes to so much is billed before its period has
    /// ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoice_at: Option<String>,
    /// True: the flat fee and the spends below are due for the part of a period in which the plan
    /// was in force, by exact time. False: the plan that is in force last is due in full.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub prorate: bool,
    /// Least amount of a period without tax, in major units: what is missing is charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_spend: Option<String>,
    /// Greatest amount of a period without tax, in major units: what is beyond is taken off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_spend: Option<String>,
    /// True: a reseller pays for all usage of every tenant below it, also of those that have a plan
    /// or credit of their own. False: it pays for those that have neither.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub wholesale: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_month(unit: &CycleUnit) -> bool {
    matches!(unit, CycleUnit::Month)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_calendar(alignment: &Alignment) -> bool {
    matches!(alignment, Alignment::Calendar)
}

impl BillingTerms {
    /// Returns true if nothing is stated.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Returns true if a period has a least or greatest amount.
    pub const fn has_spends(&self) -> bool {
        self.minimum_spend.is_some() || self.maximum_spend.is_some()
    }

    /// The least amount of a period.
    pub fn minimum(&self, currency: Currency) -> Result<Option<Money>, PlanError> {
        spend("minimum_spend", self.minimum_spend.as_deref(), currency)
    }

    /// The greatest amount of a period.
    pub fn maximum(&self, currency: Currency) -> Result<Option<Money>, PlanError> {
        spend("maximum_spend", self.maximum_spend.as_deref(), currency)
    }

    /// The amount of usage that is billed before its period has ended.
    pub fn threshold(&self, currency: Currency) -> Result<Option<Money>, PlanError> {
        let threshold = spend("invoice_at", self.invoice_at.as_deref(), currency)?;
        match threshold {
            Some(zero) if zero.is_zero() => {
                Err(PlanError::Spend { field: "invoice_at", reason: "is nothing".to_owned() })
            }
            other => Ok(other),
        }
    }

    /// Returns true if a period may be billed in several parts.
    pub const fn has_parts(&self) -> bool {
        self.in_advance || self.invoice_at.is_some()
    }

    /// Its faults, each with the way to it from the plan.
    pub(super) fn faults(&self, currency: Currency) -> Vec<Found> {
        let (minimum, maximum) = (self.minimum(currency), self.maximum(currency));
        if let (Ok(Some(minimum)), Ok(Some(maximum))) = (&minimum, &maximum)
            && minimum.minor() > maximum.minor()
        {
            let reason = format!("is {maximum}, less than the minimum of {minimum}");
            return vec![(way!["billing", "maximum_spend"], PlanError::Spend { field: "maximum_spend", reason })];
        }
        let located = |field: &'static str| move |error: PlanError| (way!["billing", field], error);
        let minimum = minimum.err().map(located("minimum_spend"));
        let threshold = self.threshold(currency).err().map(located("invoice_at"));
        minimum.into_iter().chain(maximum.err().map(located("maximum_spend"))).chain(threshold).collect()
    }
}

fn spend(field: &'static str, text: Option<&str>, currency: Currency) -> Result<Option<Money>, PlanError> {
    let Some(text) = text else { return Ok(None) };
    let amount = Money::parse(text, currency).map_err(|error| PlanError::Spend { field, reason: error.to_string() })?;
    if amount.minor() < 0 {
        return Err(PlanError::Spend { field, reason: "is negative".into() });
    }
    Ok(Some(amount))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spends_that_make_no_sense_are_refused() {
        for (minimum, maximum, expected) in [
            (Some("-1"), None, "billing.minimum_spend: is negative"),
            (None, Some("1.001"), "billing.maximum_spend: `1.001` is not an amount in"),
            (Some("10"), Some("9.99"), "billing.maximum_spend: is 9.99 USD, less than the minimum of 10.00 USD"),
        ] {
            let (minimum_spend, maximum_spend) = (minimum.map(str::to_owned), maximum.map(str::to_owned));
            let terms = BillingTerms { minimum_spend, maximum_spend, ..BillingTerms::default() };
            let found = terms.faults(Currency::USD);
            assert_eq!(found.len(), 1);
            assert!(found[0].1.to_string().starts_with(expected), "{}", found[0].1);
        }
    }
}
