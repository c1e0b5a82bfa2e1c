//! Table of a tenant's limits, each with the tenant that lowered it.

use common::{
    api::limits::{
        CapDocument, ConcurrencyDocument, EffectiveQuotaDocument, EffectiveRateDocument, EffectiveRatesDocument,
        LimitsDocument,
    },
    id::TenantId,
};

use crate::output::{Rows, View};

impl View for LimitsDocument {
    fn table(&self) -> Rows {
        let mut rows = Rows::properties([("tenant", self.tenant.to_string()), ("at", self.at.to_string())]);
        let Some(terms) = &self.terms else {
            rows.push("plan", "none, so nothing is served".to_owned());
            return rows;
        };
        rows.push("plan", format!("{} v{}", terms.plan, terms.version));
        rows.push("plan of", terms.holder.to_string());
        for (scope, rates) in [("tenant", &terms.tenant), ("each key", &terms.key), ("pool", &terms.pool)] {
            add_rates(&mut rows, scope, rates);
        }
        for EffectiveQuotaDocument { meter, per_month, kind, clamped_by } in &terms.quotas {
            let kind = if kind.is_hard() { "hard" } else { "soft" };
            rows.push(&format!("quota {meter}"), lowered(format!("{per_month} units per month, {kind}"), *clamped_by));
        }
        for CapDocument { tenant, meter, per_month } in terms.caps.iter().filter(|cap| cap.tenant != self.tenant) {
            rows.push(
                &format!("shares {meter}"),
                format!("{per_month} units per month with every tenant below {tenant}"),
            );
        }
        for meter in &terms.prepaid {
            rows.push(&format!("prepaid {meter}"), "as many units as there is credit for".to_owned());
        }
        rows
    }
}

fn add_rates(rows: &mut Rows, scope: &str, rates: &EffectiveRatesDocument) {
    let windows =
        [("s", &rates.per_second), ("min", &rates.per_minute), ("h", &rates.per_hour), ("day", &rates.per_day)];
    for (unit, rate) in windows {
        if let Some(EffectiveRateDocument { limit, burst, clamped_by }) = rate {
            let burst = if burst == limit { String::new() } else { format!(" (burst {burst})") };
            rows.push(&format!("limit {scope}"), lowered(format!("{limit}/{unit}{burst}"), *clamped_by));
        }
    }
    if let Some(ConcurrencyDocument { limit, clamped_by }) = &rates.concurrent {
        rows.push(&format!("limit {scope}"), lowered(format!("{limit} at once"), *clamped_by));
    }
}

fn lowered(text: String, by: Option<TenantId>) -> String {
    match by {
        Some(tenant) => format!("{text}, lowered by {tenant}"),
        None => text,
    }
}
