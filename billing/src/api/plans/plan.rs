//! A plan as documents show it: the members of `config/plans.yaml`.

use common::{
    money::UnitPrice,
    plan::{Charge, Plan, PlanId, PlanLimits, PoolMode, Quota, QuotaKind, RateLimit, RateLimits, Tier},
};
use serde::Serialize;
use utoipa::ToSchema;

/// A plan, as `config/plans.yaml` states it.
#[derive(Serialize, ToSchema)]
#[schema(as = Plan)]
pub(in crate::api) struct PlanDocument {
    /// The name that commands and headers use: 1 to 64 of a-z, 0-9, `-` and `_`.
    #[schema(value_type = String, pattern = "^[a-z0-9_-]{1,64}$", example = "growth")]
    id: PlanId,
    /// The name on invoices: 1 to 200 characters, none of them a control character.
    #[schema(min_length = 1, max_length = 200, example = "Growth")]
    name: String,
    /// The currency of every amount in this plan, by its ISO 4217 code.
    #[schema(example = "USD")]
    currency: String,
    /// Charged once per period whatever the usage, in major units.
    #[schema(example = "29.00")]
    flat_fee: String,
    /// What usage costs, per meter.
    #[schema(required = false)]
    charges: Vec<ChargeDocument>,
    /// What usage per month is meant to stay within, per meter.
    #[schema(required = false)]
    quotas: Vec<QuotaDocument>,
    /// Meters whose units are paid for in advance.
    #[schema(required = false)]
    prepaid: Vec<String>,
    /// How fast it may come.
    #[schema(required = false)]
    limits: LimitsDocument,
}

/// The price of one meter: nothing for the included units, then each tier's price for the units that fall into it.
#[derive(Serialize, ToSchema)]
#[schema(as = Charge)]
pub(in crate::api) struct ChargeDocument {
    /// The meter whose units are charged.
    #[schema(example = "requests")]
    meter: String,
    /// Units per period that the flat fee already pays for.
    #[schema(required = false)]
    included: u64,
    /// Prices of the units beyond, lowest tier first.
    #[schema(required = false)]
    tiers: Vec<TierDocument>,
}

/// One step of a graduated price.
#[derive(Serialize, ToSchema)]
#[schema(as = Tier)]
pub(in crate::api) struct TierDocument {
    /// The last unit beyond the allowance that this tier prices; the last tier has none.
    up_to: Option<u64>,
    /// What units in this tier cost.
    price: PriceDocument,
}

/// An exact price.
#[derive(Serialize, ToSchema)]
#[schema(as = Price)]
pub(in crate::api) struct PriceDocument {
    /// Major currency units.
    #[schema(example = "5.00")]
    amount: String,
    /// Units of usage that the amount buys.
    #[schema(minimum = 1)]
    per: u64,
}

/// Units of one meter for a month.
#[derive(Serialize, ToSchema)]
#[schema(as = Quota)]
pub(in crate::api) struct QuotaDocument {
    /// The meter.
    #[schema(example = "requests")]
    meter: String,
    /// Units in each calendar month of the tenant's time zone.
    per_month: u64,
    /// What becomes of requests beyond.
    #[schema(value_type = QuotaKindWord, required = false)]
    kind: QuotaKind,
}

/// What becomes of requests beyond a quota: `hard` refuses them, `soft` bills them as the plan's charges say.
#[derive(ToSchema)]
#[schema(as = QuotaKind, rename_all = "lowercase")]
#[expect(dead_code, reason = "it only describes the words of the domain's own type")]
pub(in crate::api) enum QuotaKindWord {
    Hard,
    Soft,
}

/// The limits of a plan.
#[derive(Serialize, ToSchema)]
#[schema(as = PlanLimits)]
pub(in crate::api) struct LimitsDocument {
    /// Shared by all keys of the tenant.
    #[schema(required = false)]
    tenant: RatesDocument,
    /// For each key by itself.
    #[schema(required = false)]
    key: RatesDocument,
    /// Shared by the tenant and everybody below it.
    #[schema(required = false)]
    pool: RatesDocument,
    /// How the pool is divided among those below.
    #[schema(value_type = PoolModeWord, required = false)]
    pool_mode: PoolMode,
}

/// How a pool is divided: `shared` is first come, first served; `partitioned` promises no more than there is.
#[derive(ToSchema)]
#[schema(as = PoolMode, rename_all = "lowercase")]
#[expect(dead_code, reason = "it only describes the words of the domain's own type")]
pub(in crate::api) enum PoolModeWord {
    Shared,
    Partitioned,
}

/// At most one limit per window, and one on requests under way; a missing one does not limit.
#[derive(Serialize, ToSchema)]
#[schema(as = RateLimits)]
pub(in crate::api) struct RatesDocument {
    /// Requests per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<RateDocument>,
    /// Requests per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_minute: Option<RateDocument>,
    /// Requests per hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_hour: Option<RateDocument>,
    /// Requests per day (86,400 s).
    #[serde(skip_serializing_if = "Option::is_none")]
    per_day: Option<RateDocument>,
    /// Requests under way at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    concurrent: Option<u64>,
}

/// A token bucket. In requests, a plain number stands for a limit with a burst as large.
#[derive(Serialize, ToSchema)]
#[schema(as = RateLimit)]
pub(in crate::api) struct RateDocument {
    /// Requests per window, refilled evenly.
    #[schema(minimum = 1)]
    limit: u64,
    /// Requests that may come at once after a pause; as many as `limit` unless stated.
    #[schema(minimum = 1, required = false)]
    burst: u64,
}

impl From<Plan> for PlanDocument {
    fn from(plan: Plan) -> Self {
        let Plan { id, name, currency, flat_fee, charges, quotas, prepaid, limits } = plan;
        Self {
            id,
            name,
            currency: currency.code().into(),
            flat_fee,
            charges: charges.into_iter().map(Into::into).collect(),
            quotas: quotas.into_iter().map(Into::into).collect(),
            prepaid,
            limits: limits.into(),
        }
    }
}

impl From<Charge> for ChargeDocument {
    fn from(Charge { meter, included, tiers }: Charge) -> Self {
        Self { meter, included, tiers: tiers.into_iter().map(Into::into).collect() }
    }
}

impl From<Tier> for TierDocument {
    fn from(Tier { up_to, price: UnitPrice { amount, per } }: Tier) -> Self {
        Self { up_to, price: PriceDocument { amount: amount.to_string(), per } }
    }
}

impl From<Quota> for QuotaDocument {
    fn from(Quota { meter, per_month, kind }: Quota) -> Self {
        Self { meter, per_month, kind }
    }
}

impl From<PlanLimits> for LimitsDocument {
    fn from(PlanLimits { tenant, key, pool, pool_mode }: PlanLimits) -> Self {
        Self { tenant: tenant.into(), key: key.into(), pool: pool.into(), pool_mode }
    }
}

impl From<RateLimits> for RatesDocument {
    fn from(limits: RateLimits) -> Self {
        let RateLimits { per_second, per_minute, per_hour, per_day, concurrent } = limits;
        Self {
            per_second: per_second.map(Into::into),
            per_minute: per_minute.map(Into::into),
            per_hour: per_hour.map(Into::into),
            per_day: per_day.map(Into::into),
            concurrent,
        }
    }
}

impl From<RateLimit> for RateDocument {
    fn from(RateLimit { limit, burst }: RateLimit) -> Self {
        Self { limit, burst }
    }
}
