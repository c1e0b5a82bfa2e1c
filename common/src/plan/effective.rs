//! The effective terms of a plan at a tenant's place in the tree: inherited from above, and clamped
//! by every ancestor.
//!
//! A tenant has the plan of the nearest tenant on its way up that has one of its own: the *holder*.
//! What an inherited plan says of keys, tenants and quotas holds for each inheriting tenant by
//! itself. Every tenant above with a plan of its own is a *ceiling*: nobody below has more than its
//! pool or, if its plan has none, than its own limits, and than its hard quotas. Limits are clamped
//! when they are resolved, so that lowering one above needs no change below. A hard quota is also a
//! pool ([`caps`]): everybody below the tenant whose plan states it draws on it, whatever their own
//! plan says and whatever pays for their units.

use serde::Serialize;

use super::{Plan, PlanId, PlanVersion, Quota, QuotaKind, RateLimit, RateLimits};
use crate::id::TenantId;

/// One tenant on the way up, and the plan of its own that is in force, if any.
#[derive(Debug, Clone, Copy)]
pub struct Level<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// Its own plan.
    pub plan: Option<&'a PlanVersion>,
}

/// Resolved limits, quotas and plan of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct EffectiveTerms {
    /// Whose subscription it is: the tenant itself, or the nearest above that has one.
    pub holder: TenantId,
    /// The plan.
    pub plan: PlanId,
    /// Its version.
    pub version: i64,
    /// For each key by itself.
    pub key: EffectiveRates,
    /// For all keys of the tenant together.
    pub tenant: EffectiveRates,
    /// Rates that the tenant and everybody below it share; empty if the plan is inherited.
    pub pool: EffectiveRates,
    /// Units per month, by meter.
    pub quotas: Vec<EffectiveQuota>,
    /// Hard quotas that every request draws on, the tenant's own first, then those above it.
    pub caps: Vec<SubtreeCap>,
    /// Meters that are paid for in advance.
    pub prepaid: Vec<String>,
}

/// Limits of one scope, with who clamped them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize)]
pub struct EffectiveRates {
    /// Requests per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<Clamped<RateLimit>>,
    /// Requests per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<Clamped<RateLimit>>,
    /// Requests per hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_hour: Option<Clamped<RateLimit>>,
    /// Requests per day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_day: Option<Clamped<RateLimit>>,
    /// Requests under way at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent: Option<Clamped<u64>>,
}

/// A value, and the tenant above that it was lowered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Clamped<T> {
    /// Value in effect.
    pub value: T,
    /// Whose ceiling it is; none if the plan's own value stands.
    pub clamped_by: Option<TenantId>,
}

/// A quota, with who clamped it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct EffectiveQuota {
    /// The meter.
    pub meter: String,
    /// Units per month that count.
    pub per_month: u64,
    /// Treatment of requests beyond the quota.
    pub kind: QuotaKind,
    /// Whose ceiling it is; none if the plan's own value stands.
    pub clamped_by: Option<TenantId>,
}

/// A hard quota of the own plan of a tenant or of one above it. Each request of the tenant draws on
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct SubtreeCap {
    /// Whose quota it is: everybody below this tenant shares it.
    pub tenant: TenantId,
    /// The meter.
    pub meter: String,
    /// Units in each month of that tenant's time zone: the lowest that it and those above it state.
    pub per_month: u64,
    /// Levels between the tenant that draws and the one whose quota it is; 0 is its own.
    #[serde(skip)]
    pub place: usize,
}

/// Highest limits that one ancestor allows to tenants below it.
struct Ceiling<'a> {
    tenant: TenantId,
    rates: &'a RateLimits,
    /// True if tenants below draw on the very pool that the rates are of, and so never exceed them
    /// together either.
    is_pool: bool,
    quotas: &'a [Quota],
}

/// Resolves the terms of the first of `levels`, which lead from it up to the root. None if nobody
/// on the way has a plan.
pub fn resolve(levels: &[Level<'_>]) -> Option<EffectiveTerms> {
    let (place, holder, own) =
        levels.iter().enumerate().find_map(|(place, level)| level.plan.map(|plan| (place, level.tenant, plan)))?;
    let above = levels.get(1..).unwrap_or_default();
    let ceilings: Vec<_> =
        above.iter().filter_map(|level| Some(Ceiling::of(level.tenant, &level.plan?.plan))).collect();
    let Plan { limits, quotas, prepaid, .. } = &own.plan;
    let pool = if place == 0 { limits.pool.clone() } else { RateLimits::default() };
    Some(EffectiveTerms {
        holder,
        plan: own.plan.id.clone(),
        version: own.version,
        key: EffectiveRates::clamped(&limits.key, &ceilings, false),
        tenant: EffectiveRates::clamped(&limits.tenant, &ceilings, true),
        pool: EffectiveRates::clamped(&pool, &ceilings, false),
        quotas: clamp_quotas(quotas, &ceilings),
        caps: caps(levels),
        prepaid: prepaid.clone(),
    })
}

/// The hard quotas that requests of the first of `levels` draw on, nearest first.
fn caps(levels: &[Level<'_>]) -> Vec<SubtreeCap> {
    let hard = |level: &Level<'_>| {
        let quotas = level.plan.map_or(&[][..], |version| &version.plan.quotas);
        quotas.iter().filter(|quota| quota.kind.is_hard()).cloned().collect::<Vec<_>>()
    };
    let mut caps: Vec<SubtreeCap> = Vec::new();
    for (place, level) in levels.iter().enumerate() {
        for Quota { meter, per_month, .. } in hard(level) {
            // Nobody below may use more than there is here.
            for below in caps.iter_mut().filter(|below| below.meter == meter) {
                below.per_month = below.per_month.min(per_month);
            }
            caps.push(SubtreeCap { tenant: level.tenant, meter, per_month, place });
        }
    }
    caps
}

impl<'a> Ceiling<'a> {
    fn of(tenant: TenantId, plan: &'a Plan) -> Self {
        let is_pool = !plan.limits.pool.is_empty();
        let rates = if is_pool { &plan.limits.pool } else { &plan.limits.tenant };
        Self { tenant, rates, is_pool, quotas: &plan.quotas }
    }
}

impl EffectiveRates {
    /// The limits by themselves.
    pub fn rates(&self) -> RateLimits {
        RateLimits {
            per_second: self.per_second.map(|one| one.value),
            per_minute: self.per_minute.map(|one| one.value),
            per_hour: self.per_hour.map(|one| one.value),
            per_day: self.per_day.map(|one| one.value),
            concurrent: self.concurrent.map(|one| one.value),
        }
    }

    /// `own` under `ceilings`. `fills`: a window that `own` leaves open takes the ceiling, unless
    /// that is a pool, which is debited by itself.
    fn clamped(own: &RateLimits, ceilings: &[Ceiling<'_>], fills: bool) -> Self {
        let rate = |of: fn(&RateLimits) -> Option<RateLimit>| {
            clamp(of(own), ceilings, fills, of, |one, other| RateLimit {
                limit: one.limit.min(other.limit),
                burst: one.burst.min(other.burst),
            })
        };
        Self {
            per_second: rate(|limits| limits.per_second),
            per_minute: rate(|limits| limits.per_minute),
            per_hour: rate(|limits| limits.per_hour),
            per_day: rate(|limits| limits.per_day),
            concurrent: clamp(own.concurrent, ceilings, fills, |limits| limits.concurrent, u64::min),
        }
    }
}

fn clamp<T: Copy + PartialEq>(
    own: Option<T>,
    ceilings: &[Ceiling<'_>],
    fills: bool,
    of: impl Fn(&RateLimits) -> Option<T>,
    lower: impl Fn(T, T) -> T,
) -> Option<Clamped<T>> {
    let own = own.map(|value| Clamped { value, clamped_by: None });
    ceilings.iter().fold(own, |current, ceiling| match (current, of(ceiling.rates)) {
        (current, None) => current,
        (None, Some(_)) if !fills || ceiling.is_pool => None,
        (None, Some(value)) => Some(Clamped { value, clamped_by: Some(ceiling.tenant) }),
        (Some(current), Some(most)) => {
            let value = lower(current.value, most);
            let clamped_by = if value == current.value { current.clamped_by } else { Some(ceiling.tenant) };
            Some(Clamped { value, clamped_by })
        }
    })
}

/// Hard quotas above hold below as well, also for what is prepaid there.
fn clamp_quotas(own: &[Quota], ceilings: &[Ceiling<'_>]) -> Vec<EffectiveQuota> {
    let mut effective: Vec<_> = own
        .iter()
        .map(|quota| EffectiveQuota {
            meter: quota.meter.clone(),
            per_month: quota.per_month,
            kind: quota.kind,
            clamped_by: None,
        })
        .collect();
    let hard = ceilings.iter().flat_map(|ceiling| ceiling.quotas.iter().map(|quota| (ceiling.tenant, quota)));
    for (tenant, quota) in hard.filter(|(_, quota)| quota.kind.is_hard()) {
        let clamped = EffectiveQuota {
            meter: quota.meter.clone(),
            per_month: quota.per_month,
            kind: QuotaKind::Hard,
            clamped_by: Some(tenant),
        };
        match effective.iter_mut().find(|known| known.meter == quota.meter) {
            None => effective.push(clamped),
            // A soft one below is served beyond its units, which the ceiling is not.
            Some(known) if known.per_month > quota.per_month || !known.kind.is_hard() => *known = clamped,
            Some(_) => {}
        }
    }
    effective
}
