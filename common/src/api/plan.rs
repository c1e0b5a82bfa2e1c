//! Plans: the members of `config/plans.yaml`, with owner and version. A version never changes.

use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use super::instant::Instant;
use crate::{
    id::TenantId,
    money::UnitPrice,
    plan::{
        AppliedPlan, BillingTerms, Charge, OfferedPlan, Plan, PlanId, PlanLimits, PlanOutcome, PoolMode, Quota,
        QuotaKind, RateLimit, RateLimits,
        price::{Percentage, Price, Tier},
        subscription::PlanStart,
    },
};

/// A version of a plan.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PlanVersion)]
pub struct PlanVersionDocument {
    /// The tenant that the plan belongs to; the plan is offered to that tenant and to every tenant
    /// below it. Null: the plan waits for the first root, which takes it over.
    #[schema(value_type = Option<String>, required = true, example = "ten_01jd0000000000000000000000")]
    pub owner: Option<TenantId>,
    /// The plan's name in files, commands and headers; unique within its owner.
    #[schema(value_type = String, example = "growth")]
    pub id: PlanId,
    /// Counts from 1 within the plan.
    pub version: i64,
    /// Time at which this version was applied.
    pub created_at: Instant,
    /// True if the plan is no longer offered: tenants that have it keep it, and no other tenant
    /// gets it.
    pub deprecated: bool,
    /// True if tenants below the owner may change to the plan by themselves.
    #[serde(default)]
    #[schema(required = true)]
    pub self_service: bool,
    /// The plan.
    #[serde(serialize_with = "with_every_member")]
    #[schema(value_type = PlanDocument)]
    pub plan: Plan,
}

/// Plans to be applied: all of them or none.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlansToApply)]
pub struct PlansBody {
    /// The plans, as `config/plans.yaml` states them.
    #[schema(value_type = Vec<PlanDocument>, max_items = 100)]
    pub plans: Vec<Plan>,
}

/// A plan after it was applied.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = AppliedPlan)]
pub struct AppliedPlanDocument {
    /// The plan.
    #[schema(value_type = String, example = "growth")]
    pub id: PlanId,
    /// Its latest version now.
    pub version: i64,
    /// Effect of applying it.
    pub outcome: PlanOutcome,
}

/// Whether tenants below the owner of a plan may change to it by themselves.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanSelfService)]
pub struct SelfServiceBody {
    /// True if they may.
    pub allowed: bool,
}

/// Moves the tenants that have a plan to its latest version.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanMigration)]
pub struct MigrationBody {
    /// At once, or each tenant at the end of its billing period.
    pub starts: MigrationStart,
}

/// Start of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MigrationStart {
    /// At once.
    Now,
    /// Each tenant at the end of its billing period.
    PeriodEnd,
}

/// Tenants that were moved to the latest version, or will be.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = MigratedPlan)]
pub struct MigratedDocument {
    /// Their ids, by creation. Tenants that have another change of plan scheduled are left out.
    #[schema(value_type = Vec<String>, max_items = 1_000, example = json!(["ten_01jd0000000000000000000000"]))]
    pub tenants: Vec<TenantId>,
    /// True if there may be further tenants: repeat the request for the next ones.
    #[serde(default)]
    #[schema(required = true)]
    pub more: bool,
}

/// A plan, as `config/plans.yaml` states it.
#[derive(Serialize, ToSchema)]
#[schema(as = Plan)]
pub struct PlanDocument {
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
    /// Prices of usage, per meter.
    #[schema(required = false)]
    charges: Vec<ChargeDocument>,
    /// Terms by which a period is billed.
    #[schema(required = false)]
    billing: BillingTerms,
    /// Units of usage per month, per meter.
    #[schema(required = false)]
    quotas: Vec<QuotaDocument>,
    /// Meters whose units are paid for in advance.
    #[schema(required = false)]
    prepaid: Vec<String>,
    /// Rate limits.
    #[schema(required = false)]
    limits: PlanLimitsDocument,
}

/// The price of one meter: nothing for the included units, then each tier's price for the units
/// that fall into it.
#[derive(Serialize, ToSchema)]
#[schema(as = Charge)]
pub struct ChargeDocument {
    /// The meter whose units are charged.
    #[schema(example = "requests")]
    meter: String,
    /// Units per period that the flat fee already pays for.
    #[schema(required = false)]
    included: u64,
    /// Graduated prices of the units beyond, lowest tier first: each tier prices the units that fall
    /// into it.
    #[serde(skip_serializing_if = "Option::is_none")]
    tiers: Option<Vec<TierDocument>>,
    /// A price that every unit beyond has.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_unit: Option<PriceDocument>,
    /// Volume prices, lowest tier first: the tier that all units beyond reach together prices all
    /// of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    volume: Option<Vec<TierDocument>>,
    /// A package: `per` units for `amount`, each package that is begun in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<PriceDocument>,
    /// A share of an amount that the units stand for.
    #[serde(skip_serializing_if = "Option::is_none")]
    percentage: Option<PercentageDocument>,
}

/// A share of an amount that units stand for, and a fixed part per request.
#[derive(Serialize, ToSchema)]
#[schema(as = Percentage)]
pub struct PercentageDocument {
    /// Percent of the amount.
    #[schema(example = "1.2")]
    percent: String,
    /// Worth of one unit, in major currency units.
    #[schema(example = "0.01")]
    unit: String,
    /// Charged for each request, in major currency units.
    #[schema(example = "0.10")]
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<String>,
    /// Requests of a period, the first ones, for which `fixed` is not charged; none unless stated.
    #[serde(skip_serializing_if = "Option::is_none")]
    free_requests: Option<u64>,
}

/// One step of a graduated or volume price.
#[derive(Serialize, ToSchema)]
#[schema(as = Tier)]
pub struct TierDocument {
    /// The last unit beyond the allowance that this tier prices; the last tier has none.
    up_to: Option<u64>,
    /// Price of units in this tier; none: they cost nothing beside the fixed part.
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<PriceDocument>,
    /// Charged once when the tier is reached, in major currency units.
    #[schema(example = "10.00")]
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<String>,
}

/// An exact price.
#[derive(Serialize, ToSchema)]
#[schema(as = Price)]
pub struct PriceDocument {
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
pub struct QuotaDocument {
    /// The meter.
    #[schema(example = "requests")]
    meter: String,
    /// Units in each calendar month of the tenant's time zone.
    per_month: u64,
    /// Treatment of requests beyond the quota.
    #[schema(required = false)]
    kind: QuotaKind,
}

/// The limits of a plan.
#[derive(Serialize, ToSchema)]
#[schema(as = PlanLimits)]
pub struct PlanLimitsDocument {
    /// Shared by all keys of the tenant.
    #[schema(required = false)]
    tenant: RatesDocument,
    /// For each key by itself.
    #[schema(required = false)]
    key: RatesDocument,
    /// Shared by the tenant and every tenant below it.
    #[schema(required = false)]
    pool: RatesDocument,
    /// Division of the pool among the tenants below.
    #[schema(required = false)]
    pool_mode: PoolMode,
}

/// At most one limit per window, and one of concurrent requests; a missing one does not limit.
#[derive(Serialize, ToSchema)]
#[schema(as = RateLimits)]
pub struct RatesDocument {
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
    /// Concurrent requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1_000_000)]
    concurrent: Option<u64>,
}

/// A token bucket. In requests, a plain number is a limit with a burst as large.
#[derive(Serialize, ToSchema)]
#[schema(as = RateLimit)]
pub struct RateDocument {
    /// Requests per window, refilled evenly.
    #[schema(minimum = 1)]
    limit: u64,
    /// Requests that may come at once after a pause; as many as `limit` unless stated.
    #[schema(minimum = 1, required = false)]
    burst: u64,
}

/// Writes a plan with every member, also those that a plan file may leave out.
fn with_every_member<S: Serializer>(plan: &Plan, serializer: S) -> Result<S::Ok, S::Error> {
    PlanDocument::from(plan.clone()).serialize(serializer)
}

impl From<OfferedPlan> for PlanVersionDocument {
    fn from(OfferedPlan { stored, deprecated, self_service }: OfferedPlan) -> Self {
        Self {
            owner: stored.owner,
            id: stored.plan.id.clone(),
            version: stored.version,
            created_at: stored.created_at.into(),
            deprecated,
            self_service,
            plan: stored.plan,
        }
    }
}

impl From<AppliedPlan> for AppliedPlanDocument {
    fn from(AppliedPlan { id, version, outcome }: AppliedPlan) -> Self {
        Self { id, version, outcome }
    }
}

impl From<Plan> for PlanDocument {
    fn from(plan: Plan) -> Self {
        let Plan { id, name, currency, flat_fee, charges, billing, quotas, prepaid, limits } = plan;
        Self {
            id,
            name,
            currency: currency.code().into(),
            flat_fee,
            charges: charges.into_iter().map(Into::into).collect(),
            billing,
            quotas: quotas.into_iter().map(Into::into).collect(),
            prepaid,
            limits: limits.into(),
        }
    }
}

impl From<Charge> for ChargeDocument {
    fn from(Charge { meter, included, price }: Charge) -> Self {
        let documents = |tiers: Vec<Tier>| Some(tiers.into_iter().map(Into::into).collect());
        let empty =
            Self { meter, included, tiers: None, per_unit: None, volume: None, package: None, percentage: None };
        match price {
            Price::Graduated(tiers) => Self { tiers: documents(tiers), ..empty },
            Price::PerUnit(price) => Self { per_unit: Some(price.into()), ..empty },
            Price::Volume(tiers) => Self { volume: documents(tiers), ..empty },
            Price::Package(price) => Self { package: Some(price.into()), ..empty },
            Price::Percentage(percentage) => Self { percentage: Some(percentage.into()), ..empty },
        }
    }
}

impl From<Tier> for TierDocument {
    fn from(Tier { up_to, price, fixed }: Tier) -> Self {
        Self { up_to, price: price.map(Into::into), fixed: fixed.map(|fixed| fixed.to_string()) }
    }
}

impl From<UnitPrice> for PriceDocument {
    fn from(UnitPrice { amount, per }: UnitPrice) -> Self {
        Self { amount: amount.to_string(), per }
    }
}

impl From<Percentage> for PercentageDocument {
    fn from(Percentage { percent, unit, fixed, free_requests }: Percentage) -> Self {
        let text = |decimal: crate::money::Decimal| decimal.to_string();
        let free_requests = (free_requests > 0).then_some(free_requests);
        Self { percent: text(percent), unit: text(unit), fixed: fixed.map(text), free_requests }
    }
}

impl From<Quota> for QuotaDocument {
    fn from(Quota { meter, per_month, kind }: Quota) -> Self {
        Self { meter, per_month, kind }
    }
}

impl From<PlanLimits> for PlanLimitsDocument {
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

impl From<MigrationStart> for PlanStart {
    fn from(start: MigrationStart) -> Self {
        match start {
            MigrationStart::Now => Self::Now,
            MigrationStart::PeriodEnd => Self::PeriodEnd,
        }
    }
}
