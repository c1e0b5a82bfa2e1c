//! The changes that make the store what a catalog file says.

use std::collections::BTreeMap;

use common::{
    admin::Role,
    api::{plan::PlanVersionDocument, tenant::TenantDocument, webhook::EndpointDocument},
    id::TenantId,
    tenant::{TenantKind, TenantStatus},
};

use super::{
    change::{Action, Change, Of, Setting, Work},
    file::{AdminKeyEntry, CatalogFile, EntryFault, TenantEntry, WebhookEntry},
    find::Found,
    present::Present,
    subscription,
};
use crate::{error::Failure, plan::PlanDifference};

/// Compares a file with what is there.
pub(super) struct Comparison<'a> {
    pub(super) file: &'a CatalogFile,
    pub(super) present: &'a Present,
    pub(super) found: &'a Found,
    /// Remove what is there and not in the file.
    pub(super) prune: bool,
    pub(super) changes: Vec<Change>,
    pub(super) faults: Vec<EntryFault>,
    /// Limits of plans that would be dropped.
    pub(super) dropped: Vec<String>,
}

impl Comparison<'_> {
    /// Finds all changes, in the order in which they are done: tenants from above, then plans, then
    /// what needs either; deletions last.
    pub(super) fn run(&mut self) -> Result<(), Failure> {
        let order = self.found.order.clone();
        for index in &order {
            self.tenant(*index);
        }
        for index in &order {
            self.plans(*index)?;
        }
        for index in &order {
            subscription::compare(self, *index);
            self.webhooks(*index);
            self.admin_keys(*index);
        }
        for index in &order {
            self.status(*index);
        }
        if self.prune {
            self.prune_tenants();
        }
        Ok(())
    }

    pub(super) fn entry(&self, index: usize) -> &TenantEntry {
        &self.file.tenants[index]
    }

    pub(super) fn push(
        &mut self,
        index: usize,
        action: Action,
        what: (&'static str, String),
        settings: Vec<Setting>,
        work: Work,
    ) {
        let (kind, name) = what;
        let tenant = self.entry(index).reference.clone();
        self.changes.push(Change { action, kind, tenant, name, settings, of: Of::Entry(index), work, outcome: None });
    }

    fn present_tenant(&self, index: usize) -> Option<&TenantDocument> {
        self.found.ids[index].and_then(|id| self.present.tenant(id))
    }

    fn tenant(&mut self, index: usize) {
        let entry = self.entry(index).clone();
        let Some(tenant) = self.present_tenant(index) else {
            let settings = [
                Setting::of("parent", None, entry.parent.clone()),
                Setting::of("kind", None, Some(entry.place().to_string())),
                Setting::of("zone", None, entry.zone.as_ref().map(ToString::to_string)),
            ];
            let settings = settings.into_iter().flatten().collect();
            self.push(index, Action::Create, ("tenant", entry.name), settings, Work::CreateTenant);
            return;
        };
        let (name, parent) = (tenant.name.clone(), tenant.parent);
        if let Some(setting) = Setting::of("name", Some(name), Some(entry.name.clone())) {
            self.push(index, Action::Update, ("tenant", entry.name.clone()), vec![setting], Work::RenameTenant);
        }
        // One without a parent in the file stays where it is.
        if entry.parent.is_some() && (parent.is_none() || parent != self.found.parent_id(index)) {
            self.faults.extend(self.plan_is_left_behind(index));
            let before = parent.map(|parent| parent.to_string());
            let setting = Setting { name: "parent".to_owned(), before, after: entry.parent };
            self.push(index, Action::Update, ("tenant", entry.name), vec![setting], Work::MoveTenant);
        }
    }

    /// The fault of a move away from the tenant that the plan in force belongs to.
    fn plan_is_left_behind(&self, index: usize) -> Option<EntryFault> {
        let current = self.found.ids[index].and_then(|id| self.present.subscriptions.get(&id))?;
        let above: Vec<_> = self.found.chain(index).into_iter().filter_map(|place| self.found.ids[place]).collect();
        let top = above.last().map_or_else(Vec::new, |top| self.present.chain(*top));
        let is_above = above.contains(&current.plan_owner) || top.contains(&current.plan_owner);
        let reference = &self.entry(index).reference;
        let reason = || {
            format!(
                "`{reference}` has the plan `{}` of {}, which is not above its new place: give it another plan first",
                current.plan, current.plan_owner
            )
        };
        (!is_above).then(|| EntryFault::of_tenant(index, "parent", reason()))
    }

    fn status(&mut self, index: usize) {
        let before = self.present_tenant(index).map_or(TenantStatus::Active, |tenant| tenant.status);
        let Some(after) = self.entry(index).status.filter(|status| *status != before) else { return };
        let setting = Setting::of("status", Some(before.to_string()), Some(after.to_string()));
        let name = self.entry(index).name.clone();
        self.push(index, Action::Update, ("tenant", name), setting.into_iter().collect(), Work::SetStatus(after));
    }

    /// The plans of a tenant that are there.
    fn present_plans(&self, index: usize) -> Vec<&PlanVersionDocument> {
        let Some(id) = self.found.ids[index] else { return Vec::new() };
        self.present.plans.iter().filter(|plan| plan.owner == Some(id)).collect()
    }

    fn plans(&mut self, index: usize) -> Result<(), Failure> {
        let entry = self.entry(index).clone();
        for plan in entry.plans {
            let latest = self.present_plans(index).into_iter().find(|present| present.id == plan.id);
            let (is_new, was_deprecated) = (latest.is_none(), latest.is_some_and(|plan| plan.deprecated));
            let difference = PlanDifference::new(latest, &plan)?;
            let id = plan.id.clone();
            if !difference.is_nothing() {
                self.dropped.extend(difference.dropped());
                let settings =
                    difference.settings().filter_map(|(name, before, after)| Setting::of(name, before, after));
                let settings = if is_new { Vec::new() } else { settings.collect() };
                let action = if is_new { Action::Create } else { Action::Update };
                self.push(index, action, ("plan", id.to_string()), settings, Work::ApplyPlan(Box::new(plan)));
            }
            let deprecated = entry.deprecated_plans.contains(&id);
            if deprecated != was_deprecated {
                let setting = Setting::of("deprecated", Some(was_deprecated.to_string()), Some(deprecated.to_string()));
                let work = if deprecated { Work::DeprecatePlan(id.clone()) } else { Work::RestorePlan(id.clone()) };
                self.push(index, Action::Update, ("plan", id.to_string()), setting.into_iter().collect(), work);
            }
        }
        if self.prune {
            let kept = &self.entry(index).plans;
            let gone = self.present_plans(index).into_iter().filter(|plan| !plan.deprecated);
            let gone: Vec<_> =
                gone.filter(|plan| !kept.iter().any(|kept| kept.id == plan.id)).map(|plan| plan.id.clone()).collect();
            for id in gone {
                let setting = Setting::of("deprecated", Some("false".to_owned()), Some("true".to_owned()));
                let work = Work::DeprecatePlan(id.clone());
                self.push(index, Action::Delete, ("plan", id.to_string()), setting.into_iter().collect(), work);
            }
        }
        Ok(())
    }

    fn webhooks(&mut self, index: usize) {
        let id = self.found.ids[index];
        let of_tenant = |webhook: &&EndpointDocument| Some(webhook.tenant) == id;
        let present: Vec<_> = self.present.webhooks.iter().filter(of_tenant).collect();
        let wanted = self.entry(index).webhooks.clone();
        for (item, webhook) in wanted.iter().enumerate() {
            let mut named = present.iter().filter(|one| one.name == webhook.name);
            match (named.next(), named.next()) {
                (None, _) => {
                    let settings = Setting::of("url", None, Some(webhook.url.clone())).into_iter().collect();
                    let work = Work::CreateWebhook(webhook.clone());
                    self.push(index, Action::Create, ("webhook", webhook.name.clone()), settings, work);
                }
                (Some(one), None) => {
                    let settings = webhook_settings(&WebhookEntry::from(*one), webhook);
                    if !settings.is_empty() {
                        let work = Work::UpdateWebhook(one.id, webhook.clone());
                        self.push(index, Action::Update, ("webhook", webhook.name.clone()), settings, work);
                    }
                }
                (Some(one), Some(other)) => {
                    let reason = format!("{} and {} are both named `{}`: rename one", one.id, other.id, webhook.name);
                    self.faults.push(EntryFault::of_item(index, "webhooks", item, "name", reason));
                }
            }
        }
        if self.prune {
            for one in present.iter().filter(|one| !wanted.iter().any(|webhook| webhook.name == one.name)) {
                self.push(
                    index,
                    Action::Delete,
                    ("webhook", one.name.clone()),
                    Vec::new(),
                    Work::DeleteWebhook(one.id),
                );
            }
        }
    }

    fn admin_keys(&mut self, index: usize) {
        let Some(id) = self.found.ids[index] else {
            for key in self.entry(index).admin_keys.clone() {
                self.create_admin_key(index, key);
            }
            return;
        };
        // Beside a key that was rotated, the former one has the same name until its grace has passed.
        let mut newest = BTreeMap::new();
        let keys: Vec<_> = self.present.admin_keys.iter().filter(|key| key.tenant == id).collect();
        for key in &keys {
            newest.insert(key.name.as_str(), *key);
        }
        let wanted = self.entry(index).admin_keys.clone();
        for (item, key) in wanted.iter().enumerate() {
            match newest.get(key.name.as_str()) {
                None => self.create_admin_key(index, key.clone()),
                Some(present) => {
                    if let Some(reason) = unlike(&AdminKeyEntry::from(*present), key) {
                        self.faults.push(EntryFault::of_item(index, "admin_keys", item, "name", reason));
                    }
                }
            }
        }
        if self.prune {
            let gone = |name: &str| !wanted.iter().any(|key| key.name == name);
            for key in keys.into_iter().filter(|key| key.role != Role::Owner && gone(&key.name)) {
                let work = Work::RevokeAdminKey(key.id);
                self.push(index, Action::Delete, ("admin key", key.name.clone()), Vec::new(), work);
            }
        }
    }

    fn create_admin_key(&mut self, index: usize, key: AdminKeyEntry) {
        let settings = Setting::of("role", None, Some(key.role.to_string())).into_iter().collect();
        self.push(index, Action::Create, ("admin key", key.name.clone()), settings, Work::CreateAdminKey(key));
    }

    /// Deletes tenants that are below one of the file and not in the file, those below first.
    fn prune_tenants(&mut self) {
        let is_claimed = |id: TenantId| self.found.ids.contains(&Some(id));
        let mut gone: Vec<_> = self
            .present
            .tenants
            .iter()
            .filter(|tenant| !is_claimed(tenant.id) && tenant.kind != TenantKind::Root)
            .map(|tenant| (self.present.chain(tenant.id), tenant))
            .filter(|(chain, _)| chain.iter().any(|above| is_claimed(*above)))
            .collect();
        gone.sort_by_key(|(chain, _)| std::cmp::Reverse(chain.len()));
        for (_, tenant) in gone {
            self.changes.push(Change {
                action: Action::Delete,
                kind: "tenant",
                tenant: tenant.id.to_string(),
                name: tenant.name.clone(),
                settings: Vec::new(),
                of: Of::Present(tenant.id),
                work: Work::DeleteTenant,
                outcome: None,
            });
        }
    }
}

fn webhook_settings(before: &WebhookEntry, after: &WebhookEntry) -> Vec<Setting> {
    let types = |webhook: &WebhookEntry| {
        let mut types: Vec<_> = webhook.types.iter().map(ToString::to_string).collect();
        types.sort();
        if types.is_empty() { "all".to_owned() } else { types.join(" ") }
    };
    let settings = [
        Setting::of("url", Some(before.url.clone()), Some(after.url.clone())),
        Setting::of("types", Some(types(before)), Some(types(after))),
        Setting::of("below", Some(before.below.to_string()), Some(after.below.to_string())),
        Setting::of("enabled", Some(before.enabled.to_string()), Some(after.enabled.to_string())),
    ];
    settings.into_iter().flatten().collect()
}

/// The reason why an admin key that is there is not the one of the file. Admin keys never change.
fn unlike(present: &AdminKeyEntry, wanted: &AdminKeyEntry) -> Option<String> {
    let sorted = |key: &AdminKeyEntry| {
        let mut scopes = key.scopes.clone();
        scopes.sort();
        scopes
    };
    let differing = [
        (present.role != wanted.role, "role"),
        (sorted(present) != sorted(wanted), "scopes"),
        (present.expires_at != wanted.expires_at, "expires_at"),
    ];
    let differing: Vec<_> = differing.into_iter().filter_map(|(differs, name)| differs.then_some(name)).collect();
    let what = differing.join(", ");
    let hint = "admin keys never change: give the new one another name, or revoke this one first";
    (!differing.is_empty()).then(|| format!("admin key `{}` is there with another {what}; {hint}", wanted.name))
}
