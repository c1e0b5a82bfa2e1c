//! The place where commands do their work: the store itself ([`store`]), or the admin API of
//! `billing serve` ([`api`]).
//!
//! Both answer with the documents of the API, so that a command and its output are the same on
//! either. What the API does not tell is left open. On the store, changes are logged under the user
//! who typed the command; through the API, under the owner of the token.

pub(crate) mod api;
mod bank;
mod coupons;
mod exports;
mod invoices;
mod notifications;
pub(crate) mod store;
mod usage;
mod wallets;

use std::collections::HashMap;

use async_trait::async_trait;
pub(crate) use bank::{Bank, StatementFile};
use common::{
    admin::{AdminKeyFilter, AdminSecret},
    api::{
        admin_key::{AdminKeyDocument, NewAdminKeyBody},
        audit_log::AuditDocument,
        credit::TenantCreditDocument,
        key::{KeyDocument, KeyUpdateBody, NewKeyBody},
        limits::LimitsDocument,
        plan::{AppliedPlanDocument, MigrationStart, PlanVersionDocument},
        quota::QuotaStandingDocument,
        subscription::{SubscriptionDocument, SubscriptionStatus},
        tenant::TenantDocument,
        threshold::ThresholdDocument,
        usage::UsageDocument,
        usage_event::{UsageEventResultDocument, UsageEventRowDocument, UsageEventStateDocument},
    },
    id::{AdminKeyId, KeyId, TenantId},
    key::{KeyStatus, Secret},
    plan::{
        Plan, PlanId,
        subscription::{Agreement, PlanStart},
    },
    quota::credit::TopUp,
    store::AuditAction,
    tenant::{TenantFilter, TenantStatus, lifecycle::NewTenant},
    time::{Micros, Window},
    usage::{
        event::{EventCorrection, UsageEvent},
        report::UsageQuery,
        rollup::RefusalRollup,
    },
};
pub(crate) use coupons::Coupons;
pub(crate) use exports::Exports;
pub(crate) use invoices::{DocumentCall, Invoices};
pub(crate) use notifications::{MessageQuery, Notifications};
use serde::Serialize;
pub(crate) use usage::Used;
pub(crate) use wallets::Wallets;

use crate::{class::Class, error::Failure, pepper::PepperArgs};

/// Everything that commands ask for.
#[async_trait]
pub(crate) trait Backend:
    Tenants + Plans + Coupons + Keys + Records + Invoices + Bank + Exports + Wallets + Notifications
{
    /// Closes connections to the store.
    async fn close(&self);
}

/// The tenant tree. The plan of a tenant comes from [`Plans::own_plans`].
#[async_trait]
pub(crate) trait Tenants: Send + Sync {
    /// Creates a tenant.
    async fn create_tenant(&self, new: &NewTenant) -> Result<TenantDocument, Failure>;

    /// Lists tenants, oldest first.
    async fn tenants(&self, filter: &TenantFilter) -> Result<Vec<TenantDocument>, Failure>;

    /// Reads one tenant.
    async fn tenant(&self, id: TenantId) -> Result<TenantDocument, Failure>;

    /// Changes the name of a tenant.
    async fn rename_tenant(&self, id: TenantId, name: &str) -> Result<TenantDocument, Failure>;

    /// Suspends or resumes a tenant.
    async fn set_tenant_status(&self, id: TenantId, status: TenantStatus) -> Result<TenantDocument, Failure>;

    /// Moves a tenant, with every tenant below it, under another parent.
    async fn move_tenant(&self, id: TenantId, parent: TenantId) -> Result<TenantDocument, Failure>;

    /// Deletes a tenant.
    async fn delete_tenant(&self, id: TenantId) -> Result<TenantDocument, Failure>;

    /// Reads the limits of a tenant that count now.
    async fn limits(&self, id: TenantId) -> Result<LimitsDocument, Failure>;
}

/// Plans and subscriptions.
#[async_trait]
pub(crate) trait Plans: Send + Sync {
    /// Stores the plans that differ from their latest version, all or none, as plans of `owner`.
    async fn apply_plans(&self, owner: Option<TenantId>, plans: Vec<Plan>)
    -> Result<Vec<AppliedPlanDocument>, Failure>;

    /// Lists the latest version of every plan, or of every plan of one owner.
    async fn plans(&self, owner: Option<TenantId>) -> Result<Vec<PlanVersionDocument>, Failure>;

    /// Reads one version of a plan; the latest unless named.
    async fn plan(&self, plan: &NamedPlan, version: Option<i64>) -> Result<PlanVersionDocument, Failure>;

    /// Reads the latest version of the plan that applying a plan of this name for `owner` would add
    /// a version to; none if it would be a new plan.
    async fn plan_to_replace(
        &self,
        owner: Option<TenantId>,
        id: &PlanId,
    ) -> Result<Option<PlanVersionDocument>, Failure>;

    /// Lists every version of a plan, the latest first.
    async fn plan_versions(&self, plan: &NamedPlan) -> Result<Vec<PlanVersionDocument>, Failure>;

    /// Takes a plan off offer, or puts it back.
    async fn set_plan_deprecated(&self, plan: &NamedPlan, deprecated: bool) -> Result<PlanVersionDocument, Failure>;

    /// Moves every tenant that has a plan to its latest version, and returns the tenants that were
    /// moved.
    async fn migrate_plan(&self, plan: &NamedPlan, starts: MigrationStart) -> Result<Vec<TenantId>, Failure>;

    /// Subscribes a tenant to a plan.
    async fn assign_plan(
        &self,
        tenant: TenantId,
        plan: &PlanId,
        version: Option<i64>,
        start: PlanStart,
        agreement: &Agreement,
    ) -> Result<SubscriptionDocument, Failure>;

    /// Ends the subscription that a tenant has of its own.
    async fn end_subscription(&self, tenant: TenantId, end: PlanStart) -> Result<(), Failure>;

    /// Lists all subscriptions of a tenant: ended, current and scheduled.
    async fn subscriptions_of(&self, tenant: TenantId) -> Result<Vec<SubscriptionDocument>, Failure>;

    /// Reads the plans that these tenants have of their own now. A tenant without one is not in the
    /// map.
    async fn own_plans(&self, tenants: &[TenantId]) -> Result<HashMap<TenantId, PlanRef>, Failure>;
}

/// API keys and admin keys. Secrets are made and hashed where they are stored: only the store needs
/// the pepper.
#[async_trait]
pub(crate) trait Keys: Send + Sync {
    /// Creates an API key.
    async fn create_key(&self, new: NewKeyBody, pepper: &PepperArgs) -> Result<Created<KeyRecord>, Failure>;

    /// Lists API keys, oldest first.
    async fn keys(&self, query: &KeyQuery) -> Result<Vec<KeyRecord>, Failure>;

    /// Reads one API key.
    async fn key(&self, id: KeyId) -> Result<KeyRecord, Failure>;

    /// Finds the API key that has a secret.
    async fn find_key(&self, secret: &Secret, pepper: &PepperArgs) -> Result<KeyRecord, Failure>;

    /// Changes name, scopes or addresses of an API key.
    async fn update_key(&self, id: KeyId, update: KeyUpdateBody) -> Result<KeyRecord, Failure>;

    /// Replaces an API key by a new one.
    async fn rotate_key(
        &self,
        id: KeyId,
        grace_seconds: u32,
        pepper: &PepperArgs,
    ) -> Result<Rotated<KeyRecord>, Failure>;

    /// Revokes an API key.
    async fn revoke_key(&self, id: KeyId) -> Result<KeyRecord, Failure>;

    /// Creates an admin key.
    async fn create_admin_key(
        &self,
        new: NewAdminKeyBody,
        pepper: &PepperArgs,
    ) -> Result<Created<AdminKeyDocument>, Failure>;

    /// Lists admin keys, oldest first.
    async fn admin_keys(&self, filter: &AdminKeyFilter) -> Result<Vec<AdminKeyDocument>, Failure>;

    /// Finds the admin key that has a secret.
    async fn find_admin_key(&self, secret: &AdminSecret, pepper: &PepperArgs) -> Result<AdminKeyDocument, Failure>;

    /// Replaces an admin key by a new one.
    async fn rotate_admin_key(
        &self,
        id: AdminKeyId,
        grace_seconds: u32,
        pepper: &PepperArgs,
    ) -> Result<Rotated<AdminKeyDocument>, Failure>;

    /// Revokes an admin key.
    async fn revoke_admin_key(&self, id: AdminKeyId) -> Result<AdminKeyDocument, Failure>;
}

/// Records of what has happened: usage, credit, changes.
#[async_trait]
pub(crate) trait Records: Send + Sync {
    /// Sums the usage of one tenant, or of all, in hours that start inside the window, by every
    /// dimension; over each hour, or else over each month of the tenant's clock.
    async fn usage(&self, tenant: Option<TenantId>, window: Window, hourly: bool) -> Result<Vec<Used>, Failure>;

    /// Sums the refusals of the same; none if the backend does not tell refusals.
    async fn refusals(&self, tenant: Option<TenantId>, window: Window) -> Result<Option<Vec<RefusalRollup>>, Failure>;

    /// Reads all rows of a usage report.
    async fn usage_report(&self, query: &UsageQuery) -> Result<Vec<UsageDocument>, Failure>;

    /// Records usage as an event, once for ever.
    async fn record_event(&self, event: &UsageEvent) -> Result<UsageEventResultDocument, Failure>;

    /// Corrects an event.
    async fn correct_event(&self, correction: &EventCorrection) -> Result<UsageEventStateDocument, Failure>;

    /// Lists events of a tenant and their corrections, oldest first.
    async fn usage_events(&self, tenant: TenantId) -> Result<Vec<UsageEventRowDocument>, Failure>;

    /// Adds to a tenant's credit, once per reference.
    async fn add_credit(&self, top_up: &TopUp) -> Result<(), Failure>;

    /// Reads the quotas of a tenant that gateways have drawn on.
    async fn quotas(&self, tenant: TenantId) -> Result<Vec<QuotaStandingDocument>, Failure>;

    /// Lists threshold events of a tenant and those below it, or of all, newest first.
    async fn thresholds(&self, subtree_of: Option<TenantId>, limit: u32) -> Result<Vec<ThresholdDocument>, Failure>;

    /// Reads a tenant's credit with all its top-ups.
    async fn credit(&self, tenant: TenantId) -> Result<TenantCreditDocument, Failure>;

    /// Lists changes, newest first.
    async fn audit_log(&self, query: &AuditQuery) -> Result<Vec<AuditDocument>, Failure>;
}

/// A plan by its name and, if several tenants have a plan of this name, its owner.
#[derive(Debug, Clone)]
pub(crate) struct NamedPlan {
    pub(crate) owner: Option<TenantId>,
    pub(crate) id: PlanId,
}

/// The plan version that a subscription pins.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PlanRef {
    pub(crate) id: PlanId,
    pub(crate) version: i64,
}

/// An API key, with the id of the pepper that its secret is hashed under. The API does not tell
/// that id.
#[derive(Debug, Serialize)]
pub(crate) struct KeyRecord {
    #[serde(flatten)]
    pub(crate) key: KeyDocument,
    pub(crate) pepper_id: Option<String>,
}

/// A new key and its secret.
#[derive(Serialize)]
pub(crate) struct Created<K> {
    pub(crate) key: K,
    pub(crate) secret: String,
}

/// A key, the key that replaces it, and the secret of the new one.
#[derive(Serialize)]
pub(crate) struct Rotated<K> {
    pub(crate) old: K,
    pub(crate) new: K,
    pub(crate) secret: String,
}

/// Filter of API keys.
#[derive(Debug, Default)]
pub(crate) struct KeyQuery {
    /// Keys of one tenant.
    pub(crate) tenant: Option<TenantId>,
    /// Keys of a tenant and of every tenant below it.
    pub(crate) subtree_of: Option<TenantId>,
    /// Keys that currently have this status.
    pub(crate) status: Option<KeyStatus>,
    /// Keys whose name contains this text.
    pub(crate) name: Option<String>,
}

/// Filter of the audit log.
#[derive(Debug)]
pub(crate) struct AuditQuery {
    pub(crate) subtree_of: Option<TenantId>,
    pub(crate) subject: Option<String>,
    pub(crate) action: Option<AuditAction>,
    pub(crate) from: Option<Micros>,
    pub(crate) to: Option<Micros>,
    /// Most entries to list.
    pub(crate) limit: u32,
}

/// The plans in force by these subscriptions.
fn plans_in_force(subscriptions: Vec<SubscriptionDocument>) -> HashMap<TenantId, PlanRef> {
    let current = subscriptions.into_iter().filter(|one| one.status == SubscriptionStatus::Current);
    current.map(|one| (one.tenant, PlanRef { id: one.plan, version: one.version })).collect()
}

/// None for what does not exist.
fn if_found<T>(found: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match found {
        Err(failure) if failure.class() == Class::NotFound => Ok(None),
        found => found.map(Some),
    }
}
