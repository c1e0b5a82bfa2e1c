//! Makes the changes, one after the other, and says what became of each.

use common::{
    api::{
        admin_key::NewAdminKeyBody,
        webhook::{EndpointUpdateBody, NewEndpointBody},
    },
    id::TenantId,
    money::Decimal,
    plan::subscription::{Agreement, PlanStart},
    tenant::lifecycle::NewTenant,
    time::Zone,
};

use super::{
    change::{Change, Of, Outcome, Work},
    file::{AdminKeyEntry, CatalogFile, SubscriptionEntry, TenantEntry, WebhookEntry},
    secrets::SecretsFile,
};
use crate::{
    backend::{Backend, NamedPlan},
    context::Context,
    error::Failure,
    pepper::PepperArgs,
};

/// The execution of changes.
pub(super) struct Execution<'a> {
    context: &'a Context,
    pepper: &'a PepperArgs,
    file: &'a CatalogFile,
    /// The tenant that each entry of the file is, as far as it is there.
    ids: Vec<Option<TenantId>>,
    secrets: Option<SecretsFile>,
}

impl<'a> Execution<'a> {
    /// An execution on the tenants that were found.
    pub(super) fn new(
        context: &'a Context,
        pepper: &'a PepperArgs,
        file: &'a CatalogFile,
        ids: Vec<Option<TenantId>>,
        secrets: Option<SecretsFile>,
    ) -> Self {
        Self { context, pepper, file, ids, secrets }
    }

    /// Makes the changes until one fails. Returns what became of each, and the failure.
    pub(super) async fn run(mut self, mut changes: Vec<Change>) -> (Vec<Change>, Option<Failure>) {
        let mut failure = None;
        let all = changes.len();
        for (place, change) in changes.iter_mut().enumerate() {
            if failure.is_some() {
                change.outcome = Some(Outcome::NotTried);
                continue;
            }
            match self.make(change).await {
                Ok(()) => change.outcome = Some(Outcome::Done),
                Err(reason) => {
                    change.outcome = Some(Outcome::Failed);
                    let what = format!("{} `{}` of {}", change.kind, change.name, change.tenant);
                    failure = Some(Failure::ChangeFailed { what, done: place, all, reason: Box::new(reason) });
                }
            }
        }
        (changes, failure)
    }

    fn backend(&self) -> &dyn Backend {
        &*self.context.backend
    }

    /// The tenant of a change. One that the file creates comes before whatever needs it.
    fn tenant(&self, of: Of) -> Result<TenantId, Failure> {
        match of {
            Of::Present(id) => Ok(id),
            Of::Entry(index) => self.ids[index].ok_or_else(|| {
                Failure::CatalogText(format!("tenant `{}` is not there", self.file.tenants[index].reference))
            }),
        }
    }

    async fn make(&mut self, change: &Change) -> Result<(), Failure> {
        if let (Work::CreateTenant, Of::Entry(index)) = (&change.work, change.of) {
            return self.create_tenant(index).await;
        }
        let tenant = self.tenant(change.of)?;
        let backend = self.backend();
        match &change.work {
            Work::CreateTenant => {}
            Work::RenameTenant => drop(backend.rename_tenant(tenant, &change.name).await?),
            Work::MoveTenant => {
                let parent = match change.of {
                    Of::Entry(index) => self.parent(index)?,
                    Of::Present(_) => None,
                };
                if let Some(parent) = parent {
                    backend.move_tenant(tenant, parent).await?;
                }
            }
            Work::SetStatus(status) => drop(backend.set_tenant_status(tenant, *status).await?),
            Work::DeleteTenant => drop(backend.delete_tenant(tenant).await?),
            Work::ApplyPlan(plan) => drop(backend.apply_plans(Some(tenant), vec![(**plan).clone()]).await?),
            Work::DeprecatePlan(id) | Work::RestorePlan(id) => {
                let deprecated = matches!(change.work, Work::DeprecatePlan(_));
                let plan = NamedPlan { owner: Some(tenant), id: id.clone() };
                backend.set_plan_deprecated(&plan, deprecated).await?;
            }
            Work::Subscribe(subscription) => subscribe(backend, tenant, subscription).await?,
            Work::EndSubscription => backend.end_subscription(tenant, PlanStart::Now).await?,
            Work::CreateWebhook(webhook) => return self.create_webhook(change, tenant, webhook).await,
            Work::UpdateWebhook(id, webhook) => drop(backend.update_endpoint(tenant, *id, update(webhook)).await?),
            Work::DeleteWebhook(id) => backend.delete_endpoint(tenant, *id).await?,
            Work::CreateAdminKey(key) => return self.create_admin_key(change, tenant, key).await,
            Work::RevokeAdminKey(id) => drop(backend.revoke_admin_key(*id).await?),
        }
        Ok(())
    }

    fn parent(&self, index: usize) -> Result<Option<TenantId>, Failure> {
        let Some(parent) = &self.file.tenants[index].parent else { return Ok(None) };
        let above = self.file.tenants.iter().position(|tenant| tenant.reference == *parent);
        above.map(|above| self.tenant(Of::Entry(above))).transpose()
    }

    async fn create_tenant(&mut self, index: usize) -> Result<(), Failure> {
        let entry: &TenantEntry = &self.file.tenants[index];
        let new = NewTenant {
            parent: self.parent(index)?,
            kind: entry.place(),
            name: entry.name.clone(),
            zone: entry.zone.clone().unwrap_or_else(Zone::utc),
            plan: None,
        };
        self.ids[index] = Some(self.backend().create_tenant(&new).await?.id);
        Ok(())
    }

    async fn create_webhook(
        &mut self,
        change: &Change,
        tenant: TenantId,
        webhook: &WebhookEntry,
    ) -> Result<(), Failure> {
        let WebhookEntry { name, url, types, below, enabled } = webhook.clone();
        let new = NewEndpointBody { name, url, types, below };
        let created = self.backend().create_endpoint(tenant, new, self.pepper).await?;
        self.keep(change, &created.endpoint.id.to_string(), created.secret.as_deref())?;
        if !enabled {
            let disable = EndpointUpdateBody { enabled: Some(false), ..EndpointUpdateBody::default() };
            self.backend().update_endpoint(tenant, created.endpoint.id, disable).await?;
        }
        Ok(())
    }

    async fn create_admin_key(
        &mut self,
        change: &Change,
        tenant: TenantId,
        key: &AdminKeyEntry,
    ) -> Result<(), Failure> {
        let AdminKeyEntry { name, role, scopes, expires_at } = key.clone();
        let new = NewAdminKeyBody { tenant, name, role, scopes, expires_at };
        let created = self.backend().create_admin_key(new, self.pepper).await?;
        self.keep(change, &created.key.id.to_string(), Some(&created.secret))
    }

    fn keep(&mut self, change: &Change, id: &str, secret: Option<&str>) -> Result<(), Failure> {
        match (&mut self.secrets, secret) {
            (Some(file), Some(secret)) => file.add(change, id, secret),
            _ => Ok(()),
        }
    }
}

async fn subscribe(backend: &dyn Backend, tenant: TenantId, wanted: &SubscriptionEntry) -> Result<(), Failure> {
    let discount = wanted.discount_percent.as_ref().map(|percent| percent.parse::<Decimal>());
    let agreement = Agreement {
        trial_days: 0,
        // Checked with the file.
        discount_percent: discount.and_then(Result::ok),
        flat_fee: wanted.flat_fee.clone(),
        anchor_day: wanted.anchor_day,
    };
    backend.assign_plan(tenant, &wanted.plan, wanted.version, PlanStart::Now, &agreement).await?;
    Ok(())
}

fn update(webhook: &WebhookEntry) -> EndpointUpdateBody {
    let WebhookEntry { name, url, types, below, enabled } = webhook.clone();
    EndpointUpdateBody {
        name: Some(name),
        url: Some(url),
        types: Some(types),
        below: Some(below),
        enabled: Some(enabled),
    }
}
