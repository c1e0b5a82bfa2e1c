//! Where commands do their work: on the store itself, or through the admin API of `billing serve`.
//!
//! Both give the same views, so that a command and its output are the same wherever it works; what the API does not tell
//! is left open. The store is worked on in the name of the user who typed the command, the API in that of its token.

mod api;
mod store;

use std::collections::HashMap;

pub(crate) use api::{ApiBackend, ApiError, Token};
use async_trait::async_trait;
use common::{
    admin::{AdminKeyFilter, AdminScope, AdminSecret, Role},
    id::{AdminKeyId, KeyId, TenantId},
    key::{IpNet, KeyStatus, KeyUpdate, Mode, Secret},
    plan::{AppliedPlan, Plan, PlanId, subscription::PlanStart},
    quota::credit::TopUp,
    store::AuditAction,
    tenant::{TenantFilter, TenantStatus, lifecycle::NewTenant},
    time::{Micros, Window},
    usage::{report::UsageQuery, rollup::RefusalSum},
};
pub(crate) use store::StoreBackend;

use crate::{
    error::{Class, Failure},
    pepper::PepperArgs,
    view::{
        AdminKeyView, AuditView, CreatedAdminKey, CreatedKey, CreditReport, KeyView, LimitsView, PlanRef, PlanView,
        QuotaView, ReportRow, RotatedAdminKey, RotatedKey, SubscriptionView, TenantView, ThresholdView, Used,
    },
};

/// All that commands ask for.
#[async_trait]
pub(crate) trait Backend: Tenants + Plans + Keys + Records {
    /// Lets go of what it holds.
    async fn close(&self);
}

/// The tree. No view that this gives says which plan a tenant has; [`Plans::own_plans`] does.
#[async_trait]
pub(crate) trait Tenants: Send + Sync {
    /// Creates a tenant.
    async fn create_tenant(&self, new: &NewTenant) -> Result<TenantView, Failure>;
    /// Those that the filter lets through, oldest first.
    async fn tenants(&self, filter: &TenantFilter) -> Result<Vec<TenantView>, Failure>;
    /// One of them.
    async fn tenant(&self, id: TenantId) -> Result<TenantView, Failure>;
    /// Changes what it is called.
    async fn rename_tenant(&self, id: TenantId, name: &str) -> Result<TenantView, Failure>;
    /// Suspends or resumes it.
    async fn set_tenant_status(&self, id: TenantId, status: TenantStatus) -> Result<TenantView, Failure>;
    /// Puts it, with everybody below it, under another.
    async fn move_tenant(&self, id: TenantId, parent: TenantId) -> Result<TenantView, Failure>;
    /// Ends it.
    async fn delete_tenant(&self, id: TenantId) -> Result<TenantView, Failure>;
    /// What it may do now, and who keeps it from more.
    async fn limits(&self, id: TenantId) -> Result<LimitsView, Failure>;
}

/// What is on offer, and who has it.
#[async_trait]
pub(crate) trait Plans: Send + Sync {
    /// Stores those that differ from their latest version, all or none, as plans of `owner`.
    async fn apply_plans(&self, owner: Option<TenantId>, plans: &[Plan]) -> Result<Vec<AppliedPlan>, Failure>;
    /// The latest version of each; of one owner, if one is named.
    async fn plans(&self, owner: Option<TenantId>) -> Result<Vec<PlanView>, Failure>;
    /// One version of one; the latest if none is named.
    async fn plan(&self, plan: &NamedPlan, version: Option<i64>) -> Result<PlanView, Failure>;
    /// The latest version of the plan that applying one of this name for `owner` would follow on; none if it is new.
    async fn plan_to_replace(&self, owner: Option<TenantId>, id: &PlanId) -> Result<Option<PlanView>, Failure>;
    /// Every version of one, the latest first.
    async fn plan_versions(&self, plan: &NamedPlan) -> Result<Vec<PlanView>, Failure>;
    /// Takes it off offer, or puts it back.
    async fn set_plan_deprecated(&self, plan: &NamedPlan, deprecated: bool) -> Result<PlanView, Failure>;
    /// Brings everybody who has it to its latest version; gives those who were moved.
    async fn migrate_plan(&self, plan: &NamedPlan, start: PlanStart) -> Result<Vec<TenantId>, Failure>;
    /// Gives a tenant a plan.
    async fn assign_plan(
        &self,
        tenant: TenantId,
        plan: &PlanId,
        version: Option<i64>,
        start: PlanStart,
    ) -> Result<SubscriptionView, Failure>;
    /// Ends the plan that a tenant has of its own.
    async fn end_subscription(&self, tenant: TenantId, end: PlanStart) -> Result<(), Failure>;
    /// Every plan that a tenant had, has and will have of its own.
    async fn subscriptions_of(&self, tenant: TenantId) -> Result<Vec<SubscriptionView>, Failure>;
    /// The plans that these have of their own now; who has none is not in it.
    async fn own_plans(&self, tenants: &[TenantId]) -> Result<HashMap<TenantId, PlanRef>, Failure>;
}

/// API keys and admin keys. Secrets are made and hashed where they are stored: the pepper is for the store alone.
#[async_trait]
pub(crate) trait Keys: Send + Sync {
    /// Creates an API key.
    async fn create_key(&self, new: &KeyRequest, pepper: &PepperArgs) -> Result<CreatedKey, Failure>;
    /// Those that the filter lets through, oldest first.
    async fn keys(&self, query: &KeyQuery) -> Result<Vec<KeyView>, Failure>;
    /// One of them.
    async fn key(&self, id: KeyId) -> Result<KeyView, Failure>;
    /// The one that has this secret.
    async fn find_key(&self, secret: &Secret, pepper: &PepperArgs) -> Result<KeyView, Failure>;
    /// Changes what it is for.
    async fn update_key(&self, id: KeyId, update: &KeyUpdate) -> Result<KeyView, Failure>;
    /// Replaces it.
    async fn rotate_key(&self, id: KeyId, grace_seconds: u32, pepper: &PepperArgs) -> Result<RotatedKey, Failure>;
    /// Ends it.
    async fn revoke_key(&self, id: KeyId) -> Result<KeyView, Failure>;
    /// Creates an admin key.
    async fn create_admin_key(&self, new: &AdminKeyRequest, pepper: &PepperArgs) -> Result<CreatedAdminKey, Failure>;
    /// Those that the filter lets through, oldest first.
    async fn admin_keys(&self, filter: &AdminKeyFilter) -> Result<Vec<AdminKeyView>, Failure>;
    /// The one that has this secret.
    async fn find_admin_key(&self, secret: &AdminSecret, pepper: &PepperArgs) -> Result<AdminKeyView, Failure>;
    /// Replaces it.
    async fn rotate_admin_key(
        &self,
        id: AdminKeyId,
        grace_seconds: u32,
        pepper: &PepperArgs,
    ) -> Result<RotatedAdminKey, Failure>;
    /// Ends it.
    async fn revoke_admin_key(&self, id: AdminKeyId) -> Result<AdminKeyView, Failure>;
}

/// What has happened: usage, credit, changes.
#[async_trait]
pub(crate) trait Records: Send + Sync {
    /// Usage of one tenant or of all, of hours that start inside, by everything that usage is told apart by; summed over
    /// each hour, or else over each month of the tenant's clock.
    async fn usage(&self, tenant: Option<TenantId>, window: Window, hourly: bool) -> Result<Vec<Used>, Failure>;
    /// Refusals of the same; none if they cannot be told.
    async fn refusals(&self, tenant: Option<TenantId>, window: Window) -> Result<Option<Vec<RefusalSum>>, Failure>;
    /// All rows of a report.
    async fn usage_report(&self, query: &UsageQuery) -> Result<Vec<ReportRow>, Failure>;
    /// Adds to a tenant's credit, once per reference.
    async fn add_credit(&self, top_up: &TopUp) -> Result<(), Failure>;
    /// How a tenant's quotas stand.
    async fn quotas(&self, tenant: TenantId) -> Result<Vec<QuotaView>, Failure>;
    /// Thresholds of quotas that were reached by a tenant and those below it, or by all, newest first.
    async fn thresholds(&self, subtree_of: Option<TenantId>, limit: u32) -> Result<Vec<ThresholdView>, Failure>;
    /// How a tenant's credit stands.
    async fn credit(&self, tenant: TenantId) -> Result<CreditReport, Failure>;
    /// Changes, newest first.
    async fn audit_log(&self, query: &AuditQuery) -> Result<Vec<AuditView>, Failure>;
}

/// A plan by its name and, where several tenants have one of this name, its owner.
#[derive(Debug, Clone)]
pub(crate) struct NamedPlan {
    pub(crate) owner: Option<TenantId>,
    pub(crate) id: PlanId,
}

/// None for what does not exist.
fn if_found<T>(found: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match found {
        Err(failure) if failure.class() == Class::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// An API key that is asked for.
#[derive(Debug)]
pub(crate) struct KeyRequest {
    pub(crate) tenant: TenantId,
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) expires_at: Option<Micros>,
    pub(crate) scopes: Vec<String>,
    pub(crate) allowed_ips: Vec<IpNet>,
}

/// An admin key that is asked for.
#[derive(Debug)]
pub(crate) struct AdminKeyRequest {
    pub(crate) tenant: TenantId,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) scopes: Vec<AdminScope>,
    pub(crate) expires_at: Option<Micros>,
}

/// Which API keys.
#[derive(Debug, Default)]
pub(crate) struct KeyQuery {
    /// Of one tenant.
    pub(crate) tenant: Option<TenantId>,
    /// Of a tenant and everybody below it.
    pub(crate) subtree_of: Option<TenantId>,
    /// Those that stand so now.
    pub(crate) status: Option<KeyStatus>,
    /// Those whose name contains this text.
    pub(crate) name: Option<String>,
}

/// Which changes.
#[derive(Debug)]
pub(crate) struct AuditQuery {
    pub(crate) subtree_of: Option<TenantId>,
    pub(crate) subject: Option<String>,
    pub(crate) action: Option<AuditAction>,
    pub(crate) from: Option<Micros>,
    pub(crate) to: Option<Micros>,
    /// How many at most.
    pub(crate) limit: u32,
}
