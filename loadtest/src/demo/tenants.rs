//! The tenants of the demo: a root, a reseller, two customers on two plans, and one whose plan is
//! too small.

use common::{id::TenantId, key::Mode};

use crate::processes::{CreatedKey, Keyctl, KeyctlError};

/// All tenants of the demo.
#[derive(Debug, Clone)]
pub struct Tenants {
    /// The company that sells the API.
    pub root: TenantId,
    /// The company that resells it.
    pub reseller: TenantId,
    /// Its two customers, which stay within their plans.
    pub customers: Vec<Customer>,
    /// A customer that sends more than its plan allows.
    pub trial: Customer,
}

/// A customer with its keys.
#[derive(Debug, Clone)]
pub struct Customer {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its name.
    pub name: &'static str,
    /// Its plan.
    pub plan: &'static str,
    /// The key that is billed.
    pub live: CreatedKey,
    /// The key that is only metered.
    pub test: CreatedKey,
}

impl Tenants {
    /// Creates all tenants and keys in an empty store.
    pub async fn create(keyctl: &Keyctl) -> Result<Self, KeyctlError> {
        let root = keyctl.create_tenant("Example API", "root", None, None).await?;
        let reseller = keyctl.create_tenant("Northwind Resale", "reseller", Some(root), None).await?;
        let mut customers = Vec::new();
        for (name, plan) in [("Acme", "growth"), ("Globex", "starter")] {
            customers.push(Customer::create(keyctl, reseller, name, plan).await?);
        }
        let trial = Customer::create(keyctl, reseller, "Initech", "free").await?;
        Ok(Self { root, reseller, customers, trial })
    }

    /// All customers.
    pub fn all(&self) -> impl Iterator<Item = &Customer> {
        self.customers.iter().chain([&self.trial])
    }
}

impl Customer {
    async fn create(
        keyctl: &Keyctl,
        reseller: TenantId,
        name: &'static str,
        plan: &'static str,
    ) -> Result<Self, KeyctlError> {
        let tenant = keyctl.create_tenant(name, "customer", Some(reseller), Some(plan)).await?;
        let live = keyctl.create_key(tenant, "demo", Mode::Live).await?;
        let test = keyctl.create_key(tenant, "demo sandbox", Mode::Test).await?;
        Ok(Self { tenant, name, plan, live, test })
    }
}
