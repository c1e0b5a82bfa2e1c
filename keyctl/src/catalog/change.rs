//! A change that brings the store closer to a catalog file.

use common::{
    id::{AdminKeyId, TenantId, WebhookEndpointId},
    plan::{Plan, PlanId},
    tenant::TenantStatus,
};
use serde::Serialize;

use super::file::{AdminKeyEntry, SubscriptionEntry, WebhookEntry};
use crate::output::ListRow;

/// A tenant that a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// The tenant at this place of the file, which may not be there yet.
    Entry(usize),
    /// A tenant that is not in the file.
    Present(TenantId),
}

/// The work of a change.
#[derive(Debug)]
pub(super) enum Work {
    CreateTenant,
    RenameTenant,
    MoveTenant,
    SetStatus(TenantStatus),
    DeleteTenant,
    ApplyPlan(Box<Plan>),
    DeprecatePlan(PlanId),
    RestorePlan(PlanId),
    Subscribe(SubscriptionEntry),
    EndSubscription,
    CreateWebhook(WebhookEntry),
    UpdateWebhook(WebhookEndpointId, WebhookEntry),
    DeleteWebhook(WebhookEndpointId),
    CreateAdminKey(AdminKeyEntry),
    RevokeAdminKey(AdminKeyId),
}

/// Kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    Create,
    Update,
    Delete,
}

/// A change, as it is shown and as it is done.
#[derive(Debug, Serialize)]
pub(crate) struct Change {
    pub(super) action: Action,
    /// The kind of thing, as in `subscription`.
    pub(super) kind: &'static str,
    /// The tenant: its reference, or its id if it is not in the file.
    pub(super) tenant: String,
    /// Name of the thing.
    pub(super) name: String,
    /// Settings that change.
    pub(super) settings: Vec<Setting>,
    #[serde(skip)]
    pub(super) of: Of,
    #[serde(skip)]
    pub(super) work: Work,
    /// Its outcome; none before it is applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) outcome: Option<Outcome>,
}

/// A setting that changes. None: it is missing on that side.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Setting {
    #[serde(rename = "setting")]
    pub(super) name: String,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

/// Outcome of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Done,
    Failed,
    /// A change before it failed.
    NotTried,
}

impl Setting {
    /// The setting, if it changes.
    pub(super) fn of(setting: &str, before: Option<String>, after: Option<String>) -> Option<Self> {
        (before != after).then(|| Self { name: setting.to_owned(), before, after })
    }

    fn words(&self) -> String {
        match (&self.before, &self.after) {
            (None, Some(after)) => format!("{} = {after}", self.name),
            (Some(before), Some(after)) => format!("{}: {before} -> {after}", self.name),
            (Some(before), None) => format!("{}: {before} -> nothing", self.name),
            (None, None) => self.name.clone(),
        }
    }
}

impl ListRow for Change {
    const COLUMNS: &'static [&'static str] = &["", "KIND", "TENANT", "NAME", "CHANGES", "RESULT"];
    const DROPPABLE: &'static [&'static str] = &["RESULT"];

    fn cells(&self) -> Vec<String> {
        let sign = match self.action {
            Action::Create => "+",
            Action::Update => "~",
            Action::Delete => "-",
        };
        let result = match &self.outcome {
            None => "",
            Some(Outcome::Done) => "done",
            Some(Outcome::Failed) => "failed",
            Some(Outcome::NotTried) => "not tried",
        };
        let settings: Vec<_> = self.settings.iter().map(Setting::words).collect();
        vec![
            sign.to_owned(),
            self.kind.to_owned(),
            self.tenant.clone(),
            self.name.clone(),
            settings.join(", "),
            result.to_owned(),
        ]
    }
}
