//! Subscriptions: the plans that a tenant has of its own, and from when on.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

use super::instant::Instant;
use crate::{
    id::TenantId,
    plan::{
        PlanId,
        subscription::{Agreement, BillingOverride, PlanStart, Subscription, add_on::AddOn},
    },
    time::Micros,
};

/// A tenant's right to use a plan, over a half-open range of time.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Subscription)]
pub struct SubscriptionDocument {
    /// The tenant that has the plan.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    pub tenant: TenantId,
    /// The tenant that the plan belongs to.
    #[schema(value_type = String, example = "ten_01jd0000000000000000000000")]
    pub plan_owner: TenantId,
    /// The plan.
    #[schema(value_type = String, example = "growth")]
    pub plan: PlanId,
    /// The version that is pinned.
    pub version: i64,
    /// First instant at which the plan counts.
    pub starts_at: Instant,
    /// First instant at which it no longer counts, if it was ended.
    #[schema(required = true)]
    pub ends_at: Option<Instant>,
    /// Current status.
    pub status: SubscriptionStatus,
    /// Terms that differ from the plan's, where they are told: in the list of a tenant's own, and
    /// as a plan is assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<TermsDocument>,
}

/// A plan that a tenant chooses by itself.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanChoice)]
pub struct PlanChoiceBody {
    /// The plan.
    #[schema(value_type = String, example = "business")]
    pub plan: PlanId,
    /// `now`, `period_end` for the end of the billing period, or an instant; now unless stated.
    #[serde(default)]
    #[schema(value_type = String, required = false, example = "now")]
    pub starts: When,
}

/// Terms of a subscription that differ from those of its plan.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SubscriptionTerms)]
pub struct TermsDocument {
    /// True in a trial: neither fee nor usage is charged.
    pub trial: bool,
    /// True while it is paused: no fee is charged, usage is.
    #[serde(default)]
    pub paused: bool,
    /// Percent off every line.
    #[schema(required = true, example = "15")]
    pub discount_percent: Option<String>,
    /// Flat fee in place of the plan's, in major units.
    #[schema(required = true, example = "49.00")]
    pub flat_fee: Option<String>,
    /// Day of the month on which billing periods begin, in place of the plan's alignment.
    #[serde(default)]
    #[schema(required = true)]
    pub anchor_day: Option<i8>,
}

/// Status of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SubscriptionStatus {
    /// Over.
    Ended,
    /// In force.
    Current,
    /// Yet to start.
    Scheduled,
}

/// A plan to be assigned.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanAssignment)]
pub struct AssignmentBody {
    /// The plan.
    #[schema(value_type = String, example = "growth")]
    pub plan: PlanId,
    /// The version to pin; the latest unless stated. Only the tenant that the plan belongs to may
    /// assign a superseded version.
    #[schema(minimum = 1)]
    pub version: Option<i64>,
    /// Start of the subscription: `now`, `period_end` (the end of the tenant's billing period), or
    /// an instant that has not passed.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "period_end", default = "now")]
    pub starts: When,
    /// Days of a trial, in which neither fee nor usage is charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 366)]
    pub trial_days: Option<u32>,
    /// Percent off every line of the tenant's bills.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "15")]
    pub discount_percent: Option<String>,
    /// Flat fee in place of the plan's, in major units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "49.00")]
    pub flat_fee: Option<String>,
    /// Day of the month on which billing periods begin, from 1 to 31, in place of the plan's
    /// alignment; the last day of a month that has no such day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 31)]
    pub anchor_day: Option<i8>,
}

/// A pause of a subscription, or its end.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SubscriptionPause)]
pub struct PauseBody {
    /// Start of the pause: `now`, `period_end` (the end of the tenant's billing period), or an instant
    /// that has not passed.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "period_end", default = "now")]
    pub starts: When,
    /// Its end; none unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Instant>,
}

/// The end of a pause.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SubscriptionResume)]
pub struct ResumeBody {
    /// The end of the pause: `now`, `period_end` (the end of the tenant's billing period), or an instant
    /// that has not passed.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "now", default = "now")]
    pub starts: When,
}

/// The quantity of an add-on.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AddOnQuantity)]
pub struct AddOnBody {
    /// A plan that has a flat fee and nothing else.
    #[schema(value_type = String, example = "seat")]
    pub plan: PlanId,
    /// Number of times that its fee is due; 0 ends it.
    #[schema(maximum = 1_000_000)]
    pub quantity: u32,
    /// From when on: `now`, `period_end` (the end of the tenant's billing period), or an instant that has
    /// not passed.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "now", default = "now")]
    pub starts: When,
}

/// Add-ons of a tenant.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AddOns)]
pub struct AddOnsDocument {
    /// The add-ons, by start.
    pub items: Vec<AddOnDocument>,
}

/// An add-on of a tenant.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AddOn)]
pub struct AddOnDocument {
    /// The tenant that the plan belongs to.
    #[schema(value_type = String)]
    pub plan_owner: TenantId,
    /// The plan.
    #[schema(value_type = String, example = "seat")]
    pub plan: PlanId,
    /// The version that is pinned.
    pub version: i64,
    /// Number of times that its fee is due.
    pub quantity: u32,
    /// First instant at which it counts.
    pub starts_at: Instant,
    /// First instant at which it no longer counts, if it was ended.
    #[schema(required = true)]
    pub ends_at: Option<Instant>,
}

impl From<AddOn> for AddOnDocument {
    fn from(add_on: AddOn) -> Self {
        Self {
            plan_owner: add_on.plan_owner,
            plan: add_on.plan,
            version: add_on.version,
            quantity: add_on.quantity,
            starts_at: add_on.starts_at.into(),
            ends_at: add_on.ends_at.map(Into::into),
        }
    }
}

/// Start or end of a subscription: `now`, `period_end` or an instant.
#[derive(Debug, Clone, Copy)]
pub struct When(pub PlanStart);

impl SubscriptionDocument {
    /// The document of `subscription`, with its status at `now`.
    pub fn of(subscription: Subscription, now: Micros) -> Self {
        let Subscription { tenant, plan_owner, plan, version, starts_at, ends_at } = subscription;
        let status = if ends_at.is_some_and(|end| end <= now) {
            SubscriptionStatus::Ended
        } else if starts_at <= now {
            SubscriptionStatus::Current
        } else {
            SubscriptionStatus::Scheduled
        };
        let (starts_at, ends_at) = (starts_at.into(), ends_at.map(Into::into));
        Self { tenant, plan_owner, plan, version, starts_at, ends_at, status, terms: None }
    }

    /// The same, with its terms if they differ from the plan's.
    #[must_use]
    pub fn with_terms(self, terms: Option<BillingOverride>) -> Self {
        let document = |terms: BillingOverride| TermsDocument {
            trial: terms.trial,
            paused: terms.paused,
            discount_percent: terms.discount_percent.map(|percent| percent.to_string()),
            flat_fee: terms.flat_fee,
            anchor_day: terms.anchor_day,
        };
        Self { terms: terms.filter(|terms| !terms.is_none()).map(document), ..self }
    }
}

impl AssignmentBody {
    /// The terms that it asks for; an error names the field.
    pub fn agreement(&self) -> Result<Agreement, String> {
        let percent = self.discount_percent.as_deref().map(|text| {
            text.parse().map_err(|_| format!("discount_percent: `{text}` is not a number: write it as in \"15\""))
        });
        Ok(Agreement {
            trial_days: self.trial_days.unwrap_or(0),
            discount_percent: percent.transpose()?,
            flat_fee: self.flat_fee.clone(),
            anchor_day: self.anchor_day,
        })
    }
}

impl SubscriptionStatus {
    /// The word in documents.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Current => "current",
            Self::Scheduled => "scheduled",
        }
    }
}

impl Default for When {
    fn default() -> Self {
        Self(PlanStart::Now)
    }
}

impl fmt::Display for When {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            PlanStart::Now => formatter.write_str("now"),
            PlanStart::PeriodEnd => formatter.write_str("period_end"),
            PlanStart::At(at) => at.fmt(formatter),
        }
    }
}

impl Serialize for When {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self(match text.as_str() {
            "now" => PlanStart::Now,
            "period_end" => PlanStart::PeriodEnd,
            _ => PlanStart::At(
                Instant::parse(&text)
                    .map_err(|error| de::Error::custom(format!("{error}, or `now`, or `period_end`")))?,
            ),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_is_read_as_it_is_written() {
        for text in ["\"now\"", "\"period_end\"", "\"2027-01-01T00:00:00Z\""] {
            let start: When = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&start).unwrap(), text);
        }
        let error = serde_json::from_str::<When>("\"soon\"").unwrap_err().to_string();
        assert!(error.contains("`period_end`"), "{error}");
    }
}
