//! The catalog file: tenants with their plans, subscriptions, admin keys and webhooks.

use std::{collections::HashMap, io::Read as _, path::Path};

use common::{
    admin::{AdminScope, Role},
    api::instant::Instant,
    config::{self, ConfigError, Fault, Step, Tree},
    event::EventType,
    id::TenantId,
    name::validate_name,
    plan::{Plan, PlanId},
    tenant::{TenantKind, TenantStatus},
    time::Zone,
    webhook::EndpointUrl,
};
use serde::{Deserialize, Serialize};

/// The version of the file's form.
pub(super) const FORM: u32 = 1;

/// A catalog file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CatalogFile {
    /// The version of the form: 1.
    pub(super) catalog: u32,
    /// The tenants, in any order.
    pub(super) tenants: Vec<TenantEntry>,
}

/// A tenant of a catalog file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TenantEntry {
    /// Its name within the file, by which others refer to it.
    #[serde(rename = "ref")]
    pub(super) reference: String,
    /// The tenant that it is. Without it, the tenant is found by its name under its parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<TenantId>,
    /// The reference of the tenant right above. A root has none, and so has the uppermost tenant of
    /// a file about a subtree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) parent: Option<String>,
    /// Name for people.
    pub(super) name: String,
    /// Its place in the tree; `customer` under a parent, `root` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<TenantKind>,
    /// The time zone of its billing periods; `UTC` unless stated. It never changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) zone: Option<Zone>,
    /// `active` or `suspended`; left as it is unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<TenantStatus>,
    /// Plans that belong to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) plans: Vec<Plan>,
    /// Those of its plans that are no longer offered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) deprecated_plans: Vec<PlanId>,
    /// The plan that it has of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) subscription: Option<SubscriptionEntry>,
    /// Admin keys by which machines use the API. Secrets are never in a file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) admin_keys: Vec<AdminKeyEntry>,
    /// Endpoints that hear of its events.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) webhooks: Vec<WebhookEntry>,
}

/// The plan that a tenant has of its own, and terms that differ from the plan's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscriptionEntry {
    /// The plan.
    pub(super) plan: PlanId,
    /// The version; the version that it has, or else the latest, unless stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<i64>,
    /// Percent off every line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) discount_percent: Option<String>,
    /// Flat fee in place of the plan's, in major units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) flat_fee: Option<String>,
    /// Day of the month on which billing periods begin, from 1 to 31.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) anchor_day: Option<i8>,
}

/// An admin key, known by its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdminKeyEntry {
    /// Its name, unique among those of its tenant.
    pub(super) name: String,
    /// Its role.
    pub(super) role: Role,
    /// Scopes that narrow the role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) scopes: Vec<AdminScope>,
    /// Time from which on it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires_at: Option<Instant>,
}

/// A webhook endpoint, known by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookEntry {
    /// Its name, unique among those of its tenant.
    pub(super) name: String,
    /// The URL that messages are posted to.
    pub(super) url: String,
    /// Types of events; all unless stated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) types: Vec<EventType>,
    /// True: also events of tenants below.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) below: bool,
    /// False: nothing is sent to it.
    #[serde(default = "enabled", skip_serializing_if = "Clone::clone")]
    pub(super) enabled: bool,
}

const fn enabled() -> bool {
    true
}

/// Text of a catalog file, and the name that errors call it by.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) text: String,
}

/// A fault of an entry: the way to it, the field, and the reason.
pub(super) struct EntryFault {
    way: Vec<Step>,
    field: &'static str,
    reason: String,
}

impl Source {
    /// Reads a file, or standard input for `-`.
    pub(super) fn read(file: &Path) -> Result<Self, ConfigError> {
        if file != Path::new("-") {
            return Ok(Self { name: file.display().to_string(), text: config::read(file)? });
        }
        let (mut text, name) = (String::new(), "standard input".to_owned());
        match std::io::stdin().lock().read_to_string(&mut text) {
            Ok(_) => Ok(Self { name, text }),
            Err(source) => Err(ConfigError::Unreadable { file: name, source }),
        }
    }
}

impl EntryFault {
    /// A fault of the tenant at this place of the file.
    pub(super) fn of_tenant(index: usize, field: &'static str, reason: impl Into<String>) -> Self {
        Self { way: vec![Step::from("tenants"), Step::from(index)], field, reason: reason.into() }
    }

    /// A fault of an item of one of its lists.
    pub(super) fn of_item(
        index: usize,
        list: &'static str,
        item: usize,
        field: &'static str,
        reason: impl Into<String>,
    ) -> Self {
        let way = vec![Step::from("tenants"), Step::from(index), Step::from(list), Step::from(item)];
        Self { way, field, reason: reason.into() }
    }

    /// The fault at its line and column.
    pub(super) fn placed(self, tree: &Tree) -> Fault {
        tree.place(&self.way, self.field, None).fault(self.reason)
    }
}

impl CatalogFile {
    /// Faults that show without a look at what is there.
    pub(super) fn faults(&self) -> Vec<EntryFault> {
        let mut faults = Vec::new();
        if self.catalog != FORM {
            let reason = format!("this keyctl reads catalogs of form {FORM}, not {}", self.catalog);
            faults.push(EntryFault { way: Vec::new(), field: "catalog", reason });
        }
        let mut references = HashMap::new();
        let mut ids = HashMap::new();
        for (index, tenant) in self.tenants.iter().enumerate() {
            let reference = &tenant.reference;
            let first = *references.entry(reference.as_str()).or_insert(index);
            if first != index {
                let reason = format!("`{reference}` is defined twice, first as tenant {}", first + 1);
                faults.push(EntryFault::of_tenant(index, "ref", reason));
            }
            if let Some(first) = tenant.id.and_then(|id| ids.insert(id, index)) {
                let reason = format!("`{reference}` has the id of `{}`", self.tenants[first].reference);
                faults.push(EntryFault::of_tenant(index, "id", reason));
            }
            faults.extend(tenant.faults(index));
        }
        for (index, tenant) in self.tenants.iter().enumerate() {
            let Some(parent) = &tenant.parent else { continue };
            match references.get(parent.as_str()) {
                None => {
                    let near = config::did_you_mean(parent, references.keys().copied());
                    faults.push(EntryFault::of_tenant(index, "parent", format!("no tenant `{parent}`{near}")));
                }
                Some(_) if self.is_below_itself(index, &references) => {
                    let reason = format!("`{}` is above itself: parents go round in a circle", tenant.reference);
                    faults.push(EntryFault::of_tenant(index, "parent", reason));
                }
                Some(above) if self.tenants[*above].place() == TenantKind::Customer => {
                    let reason = format!("`{parent}` is a customer, and has nobody below it");
                    faults.push(EntryFault::of_tenant(index, "parent", reason));
                }
                Some(_) => {}
            }
        }
        faults
    }

    fn is_below_itself(&self, index: usize, references: &HashMap<&str, usize>) -> bool {
        let above = |index: usize| {
            self.tenants[index].parent.as_ref().and_then(|parent| references.get(parent.as_str())).copied()
        };
        let mut at = above(index);
        for _ in 0..self.tenants.len() {
            match at {
                None => return false,
                Some(found) if found == index => return true,
                Some(found) => at = above(found),
            }
        }
        // A circle that this tenant is below of, and not part of.
        false
    }
}

impl TenantEntry {
    /// Its place in the tree.
    pub(super) fn place(&self) -> TenantKind {
        let default = if self.parent.is_some() { TenantKind::Customer } else { TenantKind::Root };
        self.kind.unwrap_or(default)
    }

    fn faults(&self, index: usize) -> Vec<EntryFault> {
        let mut faults = Vec::new();
        let reference = &self.reference;
        let mut fault = |field, reason: String| faults.push(EntryFault::of_tenant(index, field, reason));
        if let Err(error) = validate_name(&self.name) {
            fault("name", format!("`{reference}`: {error}"));
        }
        if self.status == Some(TenantStatus::Deleted) {
            fault("status", format!("`{reference}`: leave a tenant out, and apply with --prune, to delete it"));
        }
        for plan in &self.deprecated_plans {
            if !self.plans.iter().any(|own| own.id == *plan) {
                fault("deprecated_plans", format!("`{plan}` is not among the plans of `{reference}`"));
            }
        }
        for (item, plan) in self.plans.iter().enumerate() {
            if self.plans[..item].iter().any(|other| other.id == plan.id) {
                faults.push(EntryFault::of_item(
                    index,
                    "plans",
                    item,
                    "id",
                    format!("plan `{}`: defined twice", plan.id),
                ));
            }
            for (way, error) in plan.faults() {
                let mut fault = EntryFault::of_item(index, "plans", item, "", format!("plan `{}`: {error}", plan.id));
                fault.way.extend(way);
                faults.push(fault);
            }
        }
        for (item, key) in self.admin_keys.iter().enumerate() {
            if self.admin_keys[..item].iter().any(|other| other.name == key.name) {
                let reason = format!("`{reference}` has two admin keys named `{}`", key.name);
                faults.push(EntryFault::of_item(index, "admin_keys", item, "name", reason));
            }
        }
        for (item, webhook) in self.webhooks.iter().enumerate() {
            if self.webhooks[..item].iter().any(|other| other.name == webhook.name) {
                let reason = format!("`{reference}` has two webhooks named `{}`", webhook.name);
                faults.push(EntryFault::of_item(index, "webhooks", item, "name", reason));
            }
            if let Err(error) = webhook.url.parse::<EndpointUrl>() {
                faults.push(EntryFault::of_item(index, "webhooks", item, "url", error.to_string()));
            }
        }
        faults
    }
}
