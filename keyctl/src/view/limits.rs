//! What a tenant may do, and who keeps it from more.

use common::{
    id::TenantId,
    plan::{
        EffectiveTerms, PlanId, QuotaKind, RateLimit,
        effective::{Clamped, EffectiveQuota, EffectiveRates, SubtreeCap},
    },
    time::Micros,
};
use serde::{Deserialize, Serialize};

use super::Instant;
use crate::output::{Rows, View};

/// What a tenant may do at an instant; nothing, if nobody on its way up has a plan.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LimitsView {
    tenant: TenantId,
    at: Instant,
    terms: Option<Terms>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Terms {
    holder: TenantId,
    plan: PlanId,
    version: i64,
    key: Rates,
    tenant: Rates,
    pool: Rates,
    quotas: Vec<Quota>,
    #[serde(default)]
    caps: Vec<Cap>,
    prepaid: Vec<String>,
}

/// A hard quota that a tenant shares with everybody below it.
#[derive(Debug, Serialize, Deserialize)]
struct Cap {
    tenant: TenantId,
    meter: String,
    per_month: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Rates {
    per_second: Option<Rate>,
    per_minute: Option<Rate>,
    per_hour: Option<Rate>,
    per_day: Option<Rate>,
    concurrent: Option<Concurrency>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Rate {
    limit: u64,
    burst: u64,
    clamped_by: Option<TenantId>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Concurrency {
    limit: u64,
    clamped_by: Option<TenantId>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Quota {
    meter: String,
    per_month: u64,
    kind: QuotaKind,
    clamped_by: Option<TenantId>,
}

impl LimitsView {
    /// Returns true if no plan reaches the tenant.
    pub(crate) const fn serves_nothing(&self) -> bool {
        self.terms.is_none()
    }

    /// The terms of `tenant` at `at`.
    pub(crate) fn new(tenant: TenantId, at: Micros, terms: Option<EffectiveTerms>) -> Self {
        Self { tenant, at: Instant(at), terms: terms.map(Terms::from) }
    }
}

impl From<EffectiveTerms> for Terms {
    fn from(terms: EffectiveTerms) -> Self {
        let EffectiveTerms { holder, plan, version, key, tenant, pool, quotas, caps, prepaid } = terms;
        let quotas = quotas.into_iter().map(Quota::from).collect();
        let cap = |SubtreeCap { tenant, meter, per_month, place: _ }| Cap { tenant, meter, per_month };
        let caps = caps.into_iter().map(cap).collect();
        let (key, tenant, pool) = (key.into(), tenant.into(), pool.into());
        Self { holder, plan, version, key, tenant, pool, quotas, caps, prepaid }
    }
}

impl From<EffectiveRates> for Rates {
    fn from(rates: EffectiveRates) -> Self {
        let EffectiveRates { per_second, per_minute, per_hour, per_day, concurrent } = rates;
        Self {
            per_second: per_second.map(Rate::from),
            per_minute: per_minute.map(Rate::from),
            per_hour: per_hour.map(Rate::from),
            per_day: per_day.map(Rate::from),
            concurrent: concurrent.map(|Clamped { value: limit, clamped_by }| Concurrency { limit, clamped_by }),
        }
    }
}

impl From<Clamped<RateLimit>> for Rate {
    fn from(Clamped { value: RateLimit { limit, burst }, clamped_by }: Clamped<RateLimit>) -> Self {
        Self { limit, burst, clamped_by }
    }
}

impl From<EffectiveQuota> for Quota {
    fn from(EffectiveQuota { meter, per_month, kind, clamped_by }: EffectiveQuota) -> Self {
        Self { meter, per_month, kind, clamped_by }
    }
}

impl View for LimitsView {
    fn table(&self) -> Rows {
        let mut rows = Rows::properties([("tenant", self.tenant.to_string()), ("at", self.at.to_string())]);
        let Some(terms) = &self.terms else {
            rows.push("plan", "none, so nothing is served".to_owned());
            return rows;
        };
        rows.push("plan", format!("{} v{}", terms.plan, terms.version));
        rows.push("plan of", terms.holder.to_string());
        for (scope, rates) in [("tenant", &terms.tenant), ("each key", &terms.key), ("pool", &terms.pool)] {
            rates.add_to(&mut rows, scope);
        }
        for Quota { meter, per_month, kind, clamped_by } in &terms.quotas {
            let kind = if kind.is_hard() { "hard" } else { "soft" };
            rows.push(&format!("quota {meter}"), lowered(format!("{per_month} units per month, {kind}"), *clamped_by));
        }
        for Cap { tenant, meter, per_month } in terms.caps.iter().filter(|cap| cap.tenant != self.tenant) {
            rows.push(&format!("shares {meter}"), format!("{per_month} units per month with everybody below {tenant}"));
        }
        for meter in &terms.prepaid {
            rows.push(&format!("prepaid {meter}"), "as many units as there is credit for".to_owned());
        }
        rows
    }
}

impl Rates {
    fn add_to(&self, rows: &mut Rows, scope: &str) {
        let windows =
            [("s", &self.per_second), ("min", &self.per_minute), ("h", &self.per_hour), ("day", &self.per_day)];
        for (unit, rate) in windows {
            if let Some(Rate { limit, burst, clamped_by }) = rate {
                let burst = if burst == limit { String::new() } else { format!(" (burst {burst})") };
                rows.push(&format!("limit {scope}"), lowered(format!("{limit}/{unit}{burst}"), *clamped_by));
            }
        }
        if let Some(Concurrency { limit, clamped_by }) = &self.concurrent {
            rows.push(&format!("limit {scope}"), lowered(format!("{limit} at once"), *clamped_by));
        }
    }
}

fn lowered(text: String, by: Option<TenantId>) -> String {
    match by {
        Some(tenant) => format!("{text}, lowered by {tenant}"),
        None => text,
    }
}
