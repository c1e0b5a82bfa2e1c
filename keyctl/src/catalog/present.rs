//! The state of the store, as far as a catalog describes it.

use std::collections::{BTreeMap, HashMap, HashSet};

use common::{
    admin::AdminKeyFilter,
    api::{
        admin_key::AdminKeyDocument,
        plan::PlanVersionDocument,
        subscription::{SubscriptionDocument, SubscriptionStatus},
        tenant::TenantDocument,
        webhook::EndpointDocument,
    },
    id::TenantId,
    key::KeyStatus,
    tenant::{TenantFilter, TenantStatus},
};

use super::file::{AdminKeyEntry, CatalogFile, FORM, SubscriptionEntry, TenantEntry, WebhookEntry};
use crate::{backend::Backend, error::Failure};

/// All tenants that the caller may see, with what belongs to them.
pub(super) struct Present {
    /// Tenants that are not deleted, oldest first.
    pub(super) tenants: Vec<TenantDocument>,
    /// The latest version of every plan.
    pub(super) plans: Vec<PlanVersionDocument>,
    /// The subscription in force of each tenant that has one of its own.
    pub(super) subscriptions: HashMap<TenantId, SubscriptionDocument>,
    /// Admin keys that are accepted.
    pub(super) admin_keys: Vec<AdminKeyDocument>,
    /// Webhook endpoints.
    pub(super) webhooks: Vec<EndpointDocument>,
}

impl Present {
    /// Reads it.
    pub(super) async fn read(backend: &dyn Backend) -> Result<Self, Failure> {
        let mut tenants = backend.tenants(&TenantFilter::default()).await?;
        tenants.retain(|tenant| tenant.status != TenantStatus::Deleted);
        let ids: Vec<_> = tenants.iter().map(|tenant| tenant.id).collect();
        let mut subscriptions = HashMap::new();
        for tenant in backend.own_plans(&ids).await?.into_keys() {
            let all = backend.subscriptions_of(tenant).await?;
            let current = all.into_iter().find(|one| one.status == SubscriptionStatus::Current);
            subscriptions.extend(current.map(|current| (tenant, current)));
        }
        let mut admin_keys = backend.admin_keys(&AdminKeyFilter::default()).await?;
        admin_keys.retain(|key| key.status == KeyStatus::Active);
        let mut webhooks = Vec::new();
        for tenant in &ids {
            webhooks.extend(backend.endpoints(*tenant).await?);
        }
        Ok(Self { plans: backend.plans(None).await?, tenants, subscriptions, admin_keys, webhooks })
    }

    /// A tenant.
    pub(super) fn tenant(&self, id: TenantId) -> Option<&TenantDocument> {
        self.tenants.iter().find(|tenant| tenant.id == id)
    }

    /// The tenant and all tenants above it that can be seen, from below.
    pub(super) fn chain(&self, id: TenantId) -> Vec<TenantId> {
        let mut chain = vec![id];
        while let Some(above) = chain.last().and_then(|last| self.tenant(*last)).and_then(|tenant| tenant.parent) {
            chain.push(above);
        }
        chain
    }

    /// The catalog file that describes it.
    pub(super) fn export(&self) -> CatalogFile {
        let references = self.references();
        let entry = |tenant: &TenantDocument| {
            let owned: Vec<_> = self.plans.iter().filter(|plan| plan.owner == Some(tenant.id)).collect();
            let admin_keys = self.admin_keys.iter().filter(|key| key.tenant == tenant.id);
            let webhooks = self.webhooks.iter().filter(|webhook| webhook.tenant == tenant.id);
            TenantEntry {
                reference: references[&tenant.id].clone(),
                id: Some(tenant.id),
                parent: tenant.parent.and_then(|parent| references.get(&parent).cloned()),
                name: tenant.name.clone(),
                kind: Some(tenant.kind),
                zone: Some(tenant.zone.clone()),
                status: Some(tenant.status),
                plans: owned.iter().map(|plan| plan.plan.clone()).collect(),
                deprecated_plans: owned.iter().filter(|plan| plan.deprecated).map(|plan| plan.id.clone()).collect(),
                subscription: self.subscriptions.get(&tenant.id).map(|current| self.subscription(current)),
                admin_keys: admin_keys.map(AdminKeyEntry::from).collect(),
                webhooks: webhooks.map(WebhookEntry::from).collect(),
            }
        };
        CatalogFile { catalog: FORM, tenants: self.tenants.iter().map(entry).collect() }
    }

    /// A subscription; its version is told if it is not the latest.
    fn subscription(&self, current: &SubscriptionDocument) -> SubscriptionEntry {
        let is_it = |plan: &&PlanVersionDocument| plan.id == current.plan && plan.owner == Some(current.plan_owner);
        let latest = self.plans.iter().find(is_it).map(|plan| plan.version);
        let terms = current.terms.as_ref();
        SubscriptionEntry {
            plan: current.plan.clone(),
            version: Some(current.version).filter(|version| latest.is_some_and(|latest| latest != *version)),
            discount_percent: terms.and_then(|terms| terms.discount_percent.clone()),
            flat_fee: terms.and_then(|terms| terms.flat_fee.clone()),
            anchor_day: terms.and_then(|terms| terms.anchor_day),
        }
    }

    /// A reference for each tenant, made of its name.
    fn references(&self) -> BTreeMap<TenantId, String> {
        let mut taken = HashSet::new();
        let mut references = BTreeMap::new();
        for tenant in &self.tenants {
            let slug = slug(&tenant.name);
            let numbered = (2..).map(|number| format!("{slug}-{number}"));
            let free = std::iter::once(slug.clone()).chain(numbered).find(|one| taken.insert(one.clone()));
            references.insert(tenant.id, free.unwrap_or_default());
        }
        references
    }
}

/// A name in lower-case letters and digits, words apart by hyphens.
fn slug(name: &str) -> String {
    let words = name.split(|one: char| !one.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    if slug.is_empty() { "tenant".to_owned() } else { slug }
}

impl From<&AdminKeyDocument> for AdminKeyEntry {
    fn from(key: &AdminKeyDocument) -> Self {
        Self { name: key.name.clone(), role: key.role, scopes: key.scopes.clone(), expires_at: key.expires_at }
    }
}

impl From<&EndpointDocument> for WebhookEntry {
    fn from(endpoint: &EndpointDocument) -> Self {
        Self {
            name: endpoint.name.clone(),
            url: endpoint.url.clone(),
            types: endpoint.types.clone(),
            below: endpoint.below,
            enabled: endpoint.enabled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_is_made_of_the_letters_and_digits_of_a_name() {
        for (name, expected) in [("Acme GmbH & Co. 2", "acme-gmbh-co-2"), ("  ", "tenant"), ("漢字", "tenant")] {
            assert_eq!(slug(name), expected);
        }
    }
}
