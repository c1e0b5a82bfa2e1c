//! Limits of a tenant: its plan, clamped by every tenant above.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::instant::Instant;
use crate::{
    id::TenantId,
    plan::{
        EffectiveTerms, PlanId, QuotaKind, RateLimit,
        effective::{Clamped, EffectiveQuota, EffectiveRates, SubtreeCap},
    },
    time::Micros,
};

/// Limits of a tenant at an instant.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TenantLimits)]
pub struct LimitsDocument {
    /// The tenant.
    #[schema(value_type = String)]
    pub tenant: TenantId,
    /// The instant.
    pub at: Instant,
    /// The terms; null if neither the tenant nor any tenant above has a plan, so that nothing is
    /// served.
    #[schema(required = true)]
    pub terms: Option<TermsDocument>,
}

/// The plan that a tenant has or inherits, clamped by every tenant above.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = EffectiveTerms)]
pub struct TermsDocument {
    /// The tenant whose subscription counts: the tenant itself, or the nearest above that has one.
    #[schema(value_type = String)]
    pub holder: TenantId,
    /// The plan.
    #[schema(value_type = String, example = "growth")]
    pub plan: PlanId,
    /// Its version.
    pub version: i64,
    /// Limits of each key by itself.
    pub key: EffectiveRatesDocument,
    /// Limits of all keys of the tenant together.
    pub tenant: EffectiveRatesDocument,
    /// Limits that the tenant shares with every tenant below it; empty if the plan is inherited.
    pub pool: EffectiveRatesDocument,
    /// Units per month, by meter.
    pub quotas: Vec<EffectiveQuotaDocument>,
    /// Hard quotas that every request draws on, the tenant's own first, then those of the tenants
    /// above.
    #[serde(default)]
    #[schema(required = true)]
    pub caps: Vec<CapDocument>,
    /// Meters that are paid for in advance.
    pub prepaid: Vec<String>,
}

/// Limits; a missing one does not limit.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = EffectiveRates)]
pub struct EffectiveRatesDocument {
    /// Requests per second.
    #[schema(required = true)]
    pub per_second: Option<EffectiveRateDocument>,
    /// Requests per minute.
    #[schema(required = true)]
    pub per_minute: Option<EffectiveRateDocument>,
    /// Requests per hour.
    #[schema(required = true)]
    pub per_hour: Option<EffectiveRateDocument>,
    /// Requests per day.
    #[schema(required = true)]
    pub per_day: Option<EffectiveRateDocument>,
    /// Concurrent requests.
    #[schema(required = true)]
    pub concurrent: Option<ConcurrencyDocument>,
}

/// A rate that counts.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = EffectiveRate)]
pub struct EffectiveRateDocument {
    /// Requests per window, refilled evenly.
    pub limit: u64,
    /// Requests that may come at once after a pause.
    pub burst: u64,
    /// The tenant above whose ceiling it is; null if the plan's own value counts.
    #[schema(value_type = Option<String>, required = true)]
    pub clamped_by: Option<TenantId>,
}

/// A limit of concurrent requests that counts.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = EffectiveConcurrency)]
pub struct ConcurrencyDocument {
    /// Requests at once.
    pub limit: u64,
    /// The tenant above whose ceiling it is; null if the plan's own value counts.
    #[schema(value_type = Option<String>, required = true)]
    pub clamped_by: Option<TenantId>,
}

/// A quota that counts.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = EffectiveQuota)]
pub struct EffectiveQuotaDocument {
    /// The meter.
    pub meter: String,
    /// Units per month.
    pub per_month: u64,
    /// Treatment of requests beyond the quota.
    pub kind: QuotaKind,
    /// The tenant above whose ceiling it is; null if the plan's own value counts.
    #[schema(value_type = Option<String>, required = true)]
    pub clamped_by: Option<TenantId>,
}

/// A hard quota that a tenant shares with every tenant below it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SubtreeCap)]
pub struct CapDocument {
    /// The tenant whose quota it is.
    #[schema(value_type = String)]
    pub tenant: TenantId,
    /// The meter.
    pub meter: String,
    /// Units in each month of that tenant's time zone.
    pub per_month: u64,
}

impl LimitsDocument {
    /// The limits of `tenant` at `at`.
    pub fn of(tenant: TenantId, at: Micros, terms: Option<EffectiveTerms>) -> Self {
        Self { tenant, at: at.into(), terms: terms.map(Into::into) }
    }
}

impl From<EffectiveTerms> for TermsDocument {
    fn from(terms: EffectiveTerms) -> Self {
        let EffectiveTerms { holder, plan, version, key, tenant, pool, quotas, caps, prepaid } = terms;
        let quotas = quotas.into_iter().map(Into::into).collect();
        let caps = caps.into_iter().map(Into::into).collect();
        let (key, tenant, pool) = (key.into(), tenant.into(), pool.into());
        Self { holder, plan, version, key, tenant, pool, quotas, caps, prepaid }
    }
}

impl From<SubtreeCap> for CapDocument {
    fn from(SubtreeCap { tenant, meter, per_month, place: _ }: SubtreeCap) -> Self {
        Self { tenant, meter, per_month }
    }
}

impl From<EffectiveRates> for EffectiveRatesDocument {
    fn from(rates: EffectiveRates) -> Self {
        let EffectiveRates { per_second, per_minute, per_hour, per_day, concurrent } = rates;
        Self {
            per_second: per_second.map(Into::into),
            per_minute: per_minute.map(Into::into),
            per_hour: per_hour.map(Into::into),
            per_day: per_day.map(Into::into),
            concurrent: concurrent.map(Into::into),
        }
    }
}

impl From<Clamped<RateLimit>> for EffectiveRateDocument {
    fn from(Clamped { value: RateLimit { limit, burst }, clamped_by }: Clamped<RateLimit>) -> Self {
        Self { limit, burst, clamped_by }
    }
}

impl From<Clamped<u64>> for ConcurrencyDocument {
    fn from(Clamped { value: limit, clamped_by }: Clamped<u64>) -> Self {
        Self { limit, clamped_by }
    }
}

impl From<EffectiveQuota> for EffectiveQuotaDocument {
    fn from(EffectiveQuota { meter, per_month, kind, clamped_by }: EffectiveQuota) -> Self {
        Self { meter, per_month, kind, clamped_by }
    }
}
