//! Rows for tests: a small tree of tenants with a plan and keys.

use common::{
    change::Catalog,
    id::{KeyId, TenantId},
    key::{Key, KeyHash, Mode},
    plan::{Plan, PlanFile, PlanVersion, subscription::Subscription},
    tenant::{Tenant, TenantKind, TenantStatus},
    time::{Micros, Zone},
};

/// The rows of a store, to be edited before they are loaded.
pub(crate) struct Rows {
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) plans: Vec<PlanVersion>,
    pub(crate) keys: Vec<Key>,
}

impl Rows {
    /// A root, a reseller and a customer; the customer has a plan without limits.
    pub(crate) fn three_levels(now: Micros) -> Self {
        let kinds = [TenantKind::Root, TenantKind::Reseller, TenantKind::Customer];
        let mut tenants: Vec<Tenant> = Vec::new();
        for kind in kinds {
            tenants.push(Tenant {
                id: TenantId::generate(),
                parent: tenants.last().map(|above| above.id),
                kind,
                name: kind.to_string(),
                status: TenantStatus::Active,
                zone: Zone::utc(),
                created_at: now,
                revision: 1,
                unpaid: None,
            });
        }
        let root = tenants[0].id;
        let plan = PlanVersion { owner: Some(root), version: 1, created_at: now, plan: plan("plain", "") };
        let subscriptions = vec![Subscription {
            tenant: tenants[2].id,
            plan_owner: root,
            plan: plan.plan.id.clone(),
            version: 1,
            starts_at: now,
            ends_at: None,
        }];
        Self { tenants, subscriptions, plans: vec![plan], keys: Vec::new() }
    }

    /// Adds a key to the tenant at `level` of the tree.
    pub(crate) fn add_key(&mut self, level: usize, hash: KeyHash, mode: Mode) -> Key {
        let key = Key {
            id: KeyId::generate(),
            tenant: self.tenants[level].id,
            name: "test".into(),
            mode,
            hash,
            pepper_id: "00000000".into(),
            hint: "abcd".into(),
            created_at: Micros(0),
            expires_at: None,
            revoked_at: None,
            replaces: None,
            scopes: Vec::new(),
            allowed_ips: Vec::new(),
            last_used_at: None,
            created_by: None,
            revision: 1,
        };
        self.keys.push(key.clone());
        key
    }

    /// Gives the customer this plan instead.
    pub(crate) fn with_plan(mut self, plan: Plan) -> Self {
        self.subscriptions[0].plan = plan.id.clone();
        self.plans = vec![PlanVersion { owner: Some(self.tenants[0].id), version: 1, created_at: Micros(0), plan }];
        self
    }

    /// Gives the tenant at `level` of the tree, which has none, this plan.
    pub(crate) fn subscribe(&mut self, level: usize, plan: Plan) {
        self.subscriptions.push(Subscription {
            tenant: self.tenants[level].id,
            plan_owner: self.tenants[0].id,
            plan: plan.id.clone(),
            version: 1,
            starts_at: Micros(0),
            ends_at: None,
        });
        self.plans.push(PlanVersion { owner: Some(self.tenants[0].id), version: 1, created_at: Micros(0), plan });
    }

    pub(crate) fn into_catalog(self) -> Catalog {
        let Self { tenants, subscriptions, plans, keys } = self;
        Catalog { seq: 1, tenants, subscriptions, plans, keys }
    }
}

/// A free plan with these lines of YAML: `limits: ..`, `quotas: ..`.
pub(crate) fn plan(id: &str, terms: &str) -> Plan {
    let lines = terms.replace('\n', "\n    ");
    let text = format!("plans:\n  - id: {id}\n    name: Test\n    currency: USD\n    flat_fee: '0.00'\n    {lines}\n");
    PlanFile::parse(&text, "test.yaml").unwrap().plans.remove(0)
}
