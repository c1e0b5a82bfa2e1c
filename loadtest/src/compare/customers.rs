//! The customers of a comparison: a plan, tenants on it, and their keys.

use std::io;

use common::{
    id::TenantId,
    key::{Mode, NewKey, Pepper, Secret},
    plan::{PlanFile, PlanId, PlanLimits},
    store::Store,
    tenant::{TenantKind, lifecycle::NewTenant},
    time::{Clock as _, Micros, SystemClock, Zone},
};

use super::CompareError;

/// Number of tenants and keys, and the plan that they are on.
pub(super) struct Customers {
    pub(super) tenants: usize,
    pub(super) keys_per_tenant: usize,
    /// Quotas and limits of everybody's plan.
    pub(super) terms: &'static str,
}

/// The beginning of every plan.
const PLAN: &str = r#"
plans:
  - id: loadtest
    name: Load test
    currency: USD
    flat_fee: "999.00"
    charges:
      - { meter: requests, included: 50000000, tiers: [{ price: { amount: "2.00", per: 1000000 } }] }
"#;

/// A key that requests are sent under.
pub(super) struct Key {
    pub(super) id: String,
    pub(super) tenant: String,
    pub(super) secret: String,
}

impl Customers {
    /// Creates the plans, a root, its customers and their keys. Returns the limits of the
    /// customers.
    pub(super) async fn create(&self, store: &Store, pepper: &str) -> Result<(PlanLimits, Vec<Key>), CompareError> {
        let now = SystemClock.now();
        let pepper = Pepper::new(pepper.as_bytes())
            .map_err(|error| CompareError::System { what: "pepper".into(), source: io::Error::other(error) })?;
        let plans = PlanFile::parse(&format!("{PLAN}{}", self.terms), "the plan of the comparison")?.plans;
        store.apply_plans(&plans, now).await?;
        let limits = plans.first().map(|plan| plan.limits.clone()).unwrap_or_default();
        let plan = plans.first().map(|plan| plan.id.clone());
        let root = create_tenant(store, TenantKind::Root, None, None, now).await?;
        let mut keys = Vec::new();
        for _ in 0..self.tenants {
            let tenant = create_tenant(store, TenantKind::Customer, Some(root), plan.clone(), now).await?;
            for _ in 0..self.keys_per_tenant {
                keys.push(create_key(store, &pepper, tenant, now).await?);
            }
        }
        Ok((limits, keys))
    }
}

async fn create_key(store: &Store, pepper: &Pepper, tenant: TenantId, now: Micros) -> Result<Key, CompareError> {
    let secret = Secret::generate(Mode::Live);
    let new = NewKey::new(tenant, "load test", &secret, pepper);
    let key = store.create_key(&new, now).await?;
    Ok(Key { id: key.id.to_string(), tenant: tenant.to_string(), secret: secret.expose().to_owned() })
}

async fn create_tenant(
    store: &Store,
    kind: TenantKind,
    parent: Option<TenantId>,
    plan: Option<PlanId>,
    now: Micros,
) -> Result<TenantId, CompareError> {
    let new = NewTenant { parent, kind, name: format!("Load test {kind}"), zone: Zone::utc(), plan };
    Ok(store.create_tenant(&new, now).await?.id)
}
