//! Figures by tenant, for metrics: only the tenants with the most are shown.
//!
//! Invariant: however many tenants there are, a family has at most [`SHOWN`] series.

use std::{
    cmp::Reverse,
    collections::HashMap,
    sync::{Arc, Mutex},
};

use common::{
    id::TenantId,
    usage::{UsageBatch, UsageEntry},
};
use prometheus::{
    IntCounterVec, Opts, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::lock::locked;

/// Most tenants that a family of metrics shows.
pub(super) const SHOWN: usize = 20;

/// Counts by tenant since the start of the process.
#[derive(Clone)]
pub(super) struct TenantFigures {
    /// Requests whose usage the sink has booked.
    requests: TopTenants,
    /// Requests that the gateway itself refused.
    refusals: TopTenants,
    /// Requests served although their usage could not be recorded.
    unmetered: TopTenants,
}

impl TenantFigures {
    /// Figures that `registry` collects.
    pub(super) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let tenants = |name: &str, help: &str| {
            let family = IntCounterVec::new(Opts::new(name, help), &["tenant"])?;
            let tenants = TopTenants { family, counts: Arc::default() };
            registry.register(Box::new(tenants.clone()))?;
            Ok::<_, prometheus::Error>(tenants)
        };
        Ok(Self {
            requests: tenants(
                "tollgate_tenant_requests_total",
                "Requests whose usage was booked, of the 20 tenants with the most since the start",
            )?,
            refusals: tenants(
                "tollgate_tenant_refusals_total",
                "Requests that the gateway itself refused, of the 20 tenants with the most since the start",
            )?,
            unmetered: tenants(
                "tollgate_tenant_unmetered_requests_total",
                "Requests served although their usage could not be recorded, of the 20 tenants with the most since the \
                 start",
            )?,
        })
    }

    /// Counts the requests of the first entries of a batch, which the sink has booked.
    pub(super) fn booked(&self, batch: &UsageBatch, entries: usize) {
        let mut counts = locked(&self.requests.counts);
        for entry in batch.entries.iter().take(entries) {
            if let UsageEntry::Request(record) = entry {
                *counts.entry(record.tenant).or_default() += 1;
            }
        }
    }

    /// Counts refusals.
    pub(super) fn refused(&self, tenant: TenantId, count: u64) {
        self.refusals.add(tenant, count);
    }

    /// Counts a request that was served without a record.
    pub(super) fn served_unmetered(&self, tenant: TenantId) {
        self.unmetered.add(tenant, 1);
    }
}

/// A count for each tenant, of which the largest are shown.
#[derive(Clone)]
struct TopTenants {
    /// Name, help and label of the family; its own series are never used.
    family: IntCounterVec,
    counts: Arc<Mutex<HashMap<TenantId, u64>>>,
}

impl TopTenants {
    fn add(&self, tenant: TenantId, count: u64) {
        *locked(&self.counts).entry(tenant).or_default() += count;
    }

    fn largest(&self) -> Vec<(TenantId, u64)> {
        let mut counts: Vec<_> = locked(&self.counts).iter().map(|(tenant, count)| (*tenant, *count)).collect();
        let order = |(tenant, count): &(TenantId, u64)| (Reverse(*count), *tenant);
        if counts.len() > SHOWN {
            counts.select_nth_unstable_by_key(SHOWN, order);
            counts.truncate(SHOWN);
        }
        counts
    }
}

impl Collector for TopTenants {
    fn desc(&self) -> Vec<&Desc> {
        self.family.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(description) = self.family.desc().first().map(|desc| Opts::new(&desc.fq_name, &desc.help)) else {
            return Vec::new();
        };
        let Ok(shown) = IntCounterVec::new(description, &["tenant"]) else { return Vec::new() };
        for (tenant, count) in self.largest() {
            shown.with_label_values(&[tenant.to_string()]).inc_by(count);
        }
        shown.collect()
    }
}

#[cfg(test)]
mod tests {
    use common::id::TenantId;

    use super::*;

    #[test]
    fn of_ten_thousand_tenants_those_with_the_most_are_shown() {
        let registry = Registry::new();
        let figures = TenantFigures::register(&registry).unwrap();
        for tenant in 0..10_000 {
            figures.refused(TenantId::from_u128(tenant), 1);
            figures.served_unmetered(TenantId::from_u128(tenant));
        }
        for tenant in 9_000..9_005 {
            figures.refused(TenantId::from_u128(tenant), 7);
        }
        for family in registry.gather() {
            assert_eq!(family.get_metric().len(), SHOWN, "{}", family.name());
        }
        let families = registry.gather();
        let refusals = families.iter().find(|family| family.name() == "tollgate_tenant_refusals_total").unwrap();
        for tenant in 9_000..9_005 {
            let name = TenantId::from_u128(tenant).to_string();
            let shown = refusals.get_metric().iter().find(|metric| metric.get_label()[0].value() == name).unwrap();
            assert!((shown.get_counter().get_value() - 8.0).abs() < 0.1);
        }
    }

    #[test]
    fn registry_without_requests_shows_no_tenant() {
        let registry = Registry::new();
        let _figures = TenantFigures::register(&registry).unwrap();
        assert!(registry.gather().iter().all(|family| family.get_metric().is_empty()));
    }
}
