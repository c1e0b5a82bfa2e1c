//! `GET /v1/tenants/{tenant}/limits`: what a tenant may do, and who keeps it from more.

use std::sync::Arc;

use axum::{Json, extract::State};
use common::{
    id::TenantId,
    plan::{
        EffectiveTerms, PlanId, QuotaKind, RateLimit,
        effective::{Clamped, EffectiveQuota, EffectiveRates, SubtreeCap},
    },
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    access::Caller,
    api::{Problem, Services, instant::Instant, parameters::Named, plans::QuotaKindWord},
};

/// What a tenant may do at an instant.
#[derive(Serialize, ToSchema)]
#[schema(as = TenantLimits)]
pub(in crate::api) struct LimitsDocument {
    /// Whose limits.
    #[schema(value_type = String)]
    tenant: TenantId,
    /// When.
    at: Instant,
    /// The terms; none if neither the tenant nor anybody above it has a plan, so that nothing is served.
    #[schema(required = true)]
    terms: Option<TermsDocument>,
}

/// The plan that a tenant has or inherits, clamped by everybody above.
#[derive(Serialize, ToSchema)]
#[schema(as = EffectiveTerms)]
pub(in crate::api) struct TermsDocument {
    /// Whose subscription it is: the tenant itself, or the nearest above that has one.
    #[schema(value_type = String)]
    holder: TenantId,
    /// The plan.
    #[schema(value_type = String, example = "growth")]
    plan: PlanId,
    /// Its version.
    version: i64,
    /// For each key by itself.
    key: RatesDocument,
    /// For all keys of the tenant together.
    tenant: RatesDocument,
    /// What the tenant and everybody below it share; empty if the plan is inherited.
    pool: RatesDocument,
    /// Units per month, by meter.
    quotas: Vec<QuotaDocument>,
    /// Hard quotas that every request draws on, its own first, then those of the tenants above.
    caps: Vec<CapDocument>,
    /// Meters that are paid for in advance.
    prepaid: Vec<String>,
}

/// Limits; a missing one does not limit.
#[derive(Serialize, ToSchema)]
#[schema(as = EffectiveRates)]
#[serde(rename_all = "snake_case")]
pub(in crate::api) struct RatesDocument {
    /// Requests per second.
    #[schema(required = true)]
    per_second: Option<RateDocument>,
    /// Requests per minute.
    #[schema(required = true)]
    per_minute: Option<RateDocument>,
    /// Requests per hour.
    #[schema(required = true)]
    per_hour: Option<RateDocument>,
    /// Requests per day.
    #[schema(required = true)]
    per_day: Option<RateDocument>,
    /// Requests under way at once.
    #[schema(required = true)]
    concurrent: Option<ConcurrentDocument>,
}

/// A rate that counts.
#[derive(Serialize, ToSchema)]
#[schema(as = EffectiveRate)]
pub(in crate::api) struct RateDocument {
    /// Requests per window, refilled evenly.
    limit: u64,
    /// Requests that may come at once after a pause.
    burst: u64,
    /// The tenant above whose ceiling it is; none if the plan's own value stands.
    #[schema(value_type = Option<String>, required = true)]
    clamped_by: Option<TenantId>,
}

/// Requests under way that count.
#[derive(Serialize, ToSchema)]
#[schema(as = EffectiveConcurrency)]
pub(in crate::api) struct ConcurrentDocument {
    /// Requests at once.
    limit: u64,
    /// The tenant above whose ceiling it is; none if the plan's own value stands.
    #[schema(value_type = Option<String>, required = true)]
    clamped_by: Option<TenantId>,
}

/// A quota that counts.
#[derive(Serialize, ToSchema)]
#[schema(as = EffectiveQuota)]
pub(in crate::api) struct QuotaDocument {
    /// The meter.
    meter: String,
    /// Units per month.
    per_month: u64,
    /// What becomes of requests beyond.
    #[schema(value_type = QuotaKindWord)]
    kind: QuotaKind,
    /// The tenant above whose ceiling it is; none if the plan's own value stands.
    #[schema(value_type = Option<String>, required = true)]
    clamped_by: Option<TenantId>,
}

/// A hard quota that a tenant shares with everybody below it.
#[derive(Serialize, ToSchema)]
#[schema(as = SubtreeCap)]
pub(in crate::api) struct CapDocument {
    /// Whose quota it is.
    #[schema(value_type = String)]
    tenant: TenantId,
    /// The meter.
    meter: String,
    /// Units in each month of that tenant's time zone.
    per_month: u64,
}

/// Show what a tenant may do
///
/// Its own plan or the nearest above, lowered to what everybody above allows, and by whom.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/limits",
    tag = "tenants",
    params(("tenant" = String, Path, description = "Its id")),
    responses((status = 200, description = "What counts now", body = LimitsDocument)),
)]
pub(in crate::api) async fn limits(
    State(services): State<Arc<Services>>,
    caller: Caller,
    Named(tenant): Named<TenantId>,
) -> Result<Json<LimitsDocument>, Problem> {
    let now = services.clock.now();
    let terms = caller.store().effective_terms(tenant, now).await?;
    Ok(Json(LimitsDocument { tenant, at: now.into(), terms: terms.map(Into::into) }))
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

impl From<EffectiveRates> for RatesDocument {
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

impl From<Clamped<RateLimit>> for RateDocument {
    fn from(Clamped { value: RateLimit { limit, burst }, clamped_by }: Clamped<RateLimit>) -> Self {
        Self { limit, burst, clamped_by }
    }
}

impl From<Clamped<u64>> for ConcurrentDocument {
    fn from(Clamped { value: limit, clamped_by }: Clamped<u64>) -> Self {
        Self { limit, clamped_by }
    }
}

impl From<EffectiveQuota> for QuotaDocument {
    fn from(EffectiveQuota { meter, per_month, kind, clamped_by }: EffectiveQuota) -> Self {
        Self { meter, per_month, kind, clamped_by }
    }
}
