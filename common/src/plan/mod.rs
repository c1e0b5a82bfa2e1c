//! Plans: what a tenant may do and what it pays, as `config/plans.yaml` states it.
//!
//! A plan is immutable once stored: applying a changed file adds a version, and a subscription pins
//! one. It belongs to a tenant, whose subtree it is offered to; another tenant may have a plan of
//! the same name.

pub(crate) mod apply;
mod billing_terms;
mod charge;
mod check;
mod currency;
pub mod effective;
mod file;
mod limit;
pub(crate) mod owner;
pub mod price;
mod self_service;
pub mod subscription;
pub(crate) mod versions;

use std::{fmt, str::FromStr};

pub use apply::{PLANS_AT_ONCE_MAX, PLANS_OF_OWNER_MAX};
pub use billing_terms::BillingTerms;
pub use charge::{Charge, RATEABLE_UNITS};
pub use effective::EffectiveTerms;
pub use file::PlanFile;
pub use limit::{LimitError, PlanLimits, PoolMode, RateLimit, RateLimits, RateWindow};
use serde::{Deserialize, Deserializer, Serialize, de};
pub use versions::{AppliedPlan, OfferedPlan, PlanOutcome, PlanPage, PlanPlace};

use crate::{
    config::Step,
    id::TenantId,
    money::{Currency, Money, MoneyError},
    time::Micros,
};

/// The meter that counts requests, for routes that name no other.
pub const REQUESTS_METER: &str = "requests";

/// Most charges, quotas and prepaid meters of a plan, and most tiers of a charge.
const ENTRIES_MAX: usize = 100;

/// A plan's name in files, commands and headers: 1 to 64 of a-z, 0-9, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct PlanId(String);

/// A plan as people write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The name that commands and headers use.
    pub id: PlanId,
    /// The name on invoices.
    pub name: String,
    /// The currency of every amount in this plan.
    pub currency: Currency,
    /// Charged once per period whatever the usage, in major units: `"29.00"`.
    pub flat_fee: String,
    /// Price of usage, per meter.
    #[serde(default)]
    pub charges: Vec<Charge>,
    /// Terms by which a period is billed.
    #[serde(default, skip_serializing_if = "BillingTerms::is_default")]
    pub billing: BillingTerms,
    /// Monthly quotas, per meter.
    #[serde(default)]
    pub quotas: Vec<Quota>,
    /// Meters whose units are paid for in advance: gateways serve as many as the tenant has credit
    /// for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepaid: Vec<String>,
    /// Rate limits.
    #[serde(default)]
    pub limits: PlanLimits,
}

/// Units of one meter for a month. Using 80 % and all of them raises events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// The meter.
    pub meter: String,
    /// Units in each calendar month of the tenant's time zone.
    pub per_month: u64,
    /// Treatment of requests beyond the quota.
    #[serde(default, skip_serializing_if = "QuotaKind::is_hard")]
    pub kind: QuotaKind,
}

/// Treatment of requests beyond a quota: `hard` refuses them, `soft` bills them as the plan's
/// charges say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "api", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum QuotaKind {
    /// Gateways refuse them.
    #[default]
    Hard,
    /// They are served and billed as the plan's charges say.
    Soft,
}

/// A stored plan with its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlanVersion {
    /// Tenant that the plan belongs to. None: it was stored before there was a tenant, and the
    /// first root takes it over.
    pub owner: Option<TenantId>,
    /// Counts from 1 within the plan.
    pub version: i64,
    /// Time at which this version was applied.
    pub created_at: Micros,
    /// The plan itself.
    #[serde(flatten)]
    pub plan: Plan,
}

/// The reason why a plan is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Not a plan name.
    #[error("`{0}` is not a plan id: use 1 to 64 characters of a-z, 0-9, - and _")]
    Id(String),
    /// The flat fee is not an amount of the plan's currency.
    #[error("flat_fee: {0}")]
    FlatFee(MoneyError),
    /// The flat fee would pay the customer.
    #[error("flat_fee is negative")]
    NegativeFlatFee,
    /// A minimum or maximum of a period makes no sense.
    #[error("billing.{field}: {reason}")]
    Spend {
        /// The field.
        field: &'static str,
        /// The reason.
        reason: String,
    },
    /// Nobody can pay in the currency.
    #[error("currency {currency}: {reason}")]
    Currency {
        /// Its code.
        currency: &'static str,
        /// Reason, and the value to use instead.
        reason: String,
    },
    /// One meter is charged or capped twice.
    #[error("meter `{meter}` has more than one {what}")]
    DuplicateMeter {
        /// The meter.
        meter: String,
        /// `charge`, `quota` or `prepaid`.
        what: &'static str,
    },
    /// More entries than a plan may have.
    #[error("{found} {what} are too many: a plan has at most {ENTRIES_MAX}")]
    TooMany {
        /// `charges`, `quotas`, `prepaid` or `tiers`.
        what: &'static str,
        /// Number found.
        found: usize,
    },
    /// A meter is paid for twice.
    #[error("meter `{meter}` is prepaid and has a {what} as well")]
    PaidTwice {
        /// The meter.
        meter: String,
        /// `charge` or `quota`.
        what: &'static str,
    },
    /// A charge's tiers do not make sense.
    #[error("charge on meter `{meter}`: {reason}")]
    Charge {
        /// The charge's meter.
        meter: String,
        /// Reason for the refusal.
        reason: String,
    },
    /// A limit is zero or absurdly large.
    #[error("limits.{scope}.{error}")]
    Limit {
        /// `tenant`, `key` or `pool`.
        scope: &'static str,
        /// The limit and its fault.
        error: LimitError,
    },
    /// A meter's name is not one.
    #[error("`{0}` is not a meter name: use 1 to 64 characters of a-z, 0-9, - and _")]
    Meter(String),
}

impl Plan {
    /// Checks all that the types alone cannot hold; tells the first fault.
    pub fn validate(&self) -> Result<(), PlanError> {
        self.faults().into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// All that is wrong with it, each with the way to it from the plan.
    pub fn faults(&self) -> Vec<(Vec<Step>, PlanError)> {
        check::faults(self)
    }

    /// The flat fee as money.
    pub fn flat_fee(&self) -> Result<Money, PlanError> {
        Money::parse(&self.flat_fee, self.currency).map_err(PlanError::FlatFee)
    }

    /// The quota of `meter`, if there is one.
    pub fn quota(&self, meter: &str) -> Option<&Quota> {
        self.quotas.iter().find(|quota| quota.meter == meter)
    }
}

impl QuotaKind {
    /// Returns true if gateways refuse requests beyond the quota.
    pub const fn is_hard(&self) -> bool {
        matches!(self, Self::Hard)
    }
}

/// Checks the name of a meter, in plans and in routes alike.
pub fn validate_meter(meter: &str) -> Result<(), PlanError> {
    if is_slug(meter) { Ok(()) } else { Err(PlanError::Meter(meter.chars().take(80).collect())) }
}

/// Returns true if `text` is a name in files: of a plan, a meter, a scope.
pub fn is_slug(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_')
}

// === impl PlanId ===

impl PlanId {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl FromStr for PlanId {
    type Err = PlanError;

    fn from_str(text: &str) -> Result<Self, PlanError> {
        if is_slug(text) { Ok(Self(text.into())) } else { Err(PlanError::Id(text.chars().take(80).collect())) }
    }
}

impl<'de> Deserialize<'de> for PlanId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}
