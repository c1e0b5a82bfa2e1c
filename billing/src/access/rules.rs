//! Who may do what: one table with a row for every operation of the interface.
//!
//! What has no row is denied. A row says how far a role has to reach: to the caller's own tenant, to one below it, or to
//! the own tenant where that is a root and nobody is above it. Everything else is not there: whoever asks for a sibling,
//! a parent, a stranger or something made up gets one and the same 404.

use axum::http::Method;
use common::admin::{
    AdminArea::{AdminKeys, Audit, Credit, Keys, Plans, Subscriptions, Tenants, Usage},
    AdminScope,
    Role::{self, Admin, Billing, Owner, Viewer},
};

/// One operation, and who may do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// `GET`, `POST`, ...
    pub method: &'static str,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// Who may.
    pub needs: Needs,
}

/// What an operation asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// A token of its own, which its handler checks.
    OwnToken,
    /// Somebody who is known.
    Somebody,
    /// Somebody with a role.
    Role(Grant),
}

/// The least role that it takes, by where its holder stands to the tenant that is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// What the scopes of a narrowed admin key have to include.
    pub scope: AdminScope,
    /// Which tenant is concerned.
    pub target: Target,
    /// The caller's own tenant is concerned.
    pub own: Option<Role>,
    /// The caller's own tenant is concerned, and it is a root.
    pub own_root: Option<Role>,
    /// A tenant below the caller's is concerned.
    pub below: Option<Role>,
}

/// Which tenant an operation concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The caller's own, and what it may see is narrowed to its subtree.
    Own,
    /// The one that the parameter `tenant` of the path names.
    Tenant,
    /// The one whose API key the parameter `key` names.
    Key,
    /// The one whose admin key the parameter `admin_key` names.
    AdminKey,
    /// The one that the body names: the handler has to ask, and gets nothing before it has.
    Body,
}

/// Where a caller stands to the tenant that is concerned. There is no word for anything else: that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// It is the caller's own.
    Own,
    /// It is the caller's own, and a root.
    OwnRoot,
    /// It is below the caller's.
    Below,
    /// The caller is above every tenant.
    Above,
}

const fn row(method: &'static str, path: &'static str, needs: Needs) -> Rule {
    Rule { method, path, needs }
}

/// Whoever may see the own tenant may see those below it.
const fn reads(scope: AdminScope, target: Target, least: Role) -> Needs {
    Needs::Role(Grant { scope, target, own: Some(least), own_root: Some(least), below: Some(least) })
}

/// The own tenant and those below it.
const fn within(scope: AdminScope, target: Target, least: Role) -> Needs {
    reads(scope, target, least)
}

/// Only those above may, and at a root those of the root.
const fn from_above(scope: AdminScope, target: Target, least: Role) -> Needs {
    Needs::Role(Grant { scope, target, own: None, own_root: Some(least), below: Some(least) })
}

/// Only those above may, and nobody to a root.
const fn only_below(scope: AdminScope, target: Target, least: Role) -> Needs {
    Needs::Role(Grant { scope, target, own: None, own_root: None, below: Some(least) })
}

/// Only at a root.
const fn at_root(scope: AdminScope, least: Role) -> Needs {
    Needs::Role(Grant { scope, target: Target::Own, own: None, own_root: Some(least), below: None })
}

const fn read(area: common::admin::AdminArea) -> AdminScope {
    AdminScope::read(area)
}

const fn write(area: common::admin::AdminArea) -> AdminScope {
    AdminScope::write(area)
}

/// The table.
pub const RULES: &[Rule] = &[
    row("GET", "/health", Needs::Nothing),
    row("GET", "/metrics", Needs::Nothing),
    row("GET", "/openapi.json", Needs::Nothing),
    row("GET", "/docs", Needs::Nothing),
    row("POST", "/v1/usage/batches", Needs::OwnToken),
    row("GET", "/v1/me", Needs::Somebody),
    // Tenants. A suspension hits the whole subtree, so nobody can lift one that came from above.
    row("GET", "/v1/tenants", reads(read(Tenants), Target::Own, Viewer)),
    row("POST", "/v1/tenants", within(write(Tenants), Target::Body, Admin)),
    row("GET", "/v1/tenants/{tenant}", reads(read(Tenants), Target::Tenant, Viewer)),
    row("PATCH", "/v1/tenants/{tenant}", from_above(write(Tenants), Target::Tenant, Admin)),
    row("DELETE", "/v1/tenants/{tenant}", only_below(write(Tenants), Target::Tenant, Owner)),
    row("POST", "/v1/tenants/{tenant}/suspend", only_below(write(Tenants), Target::Tenant, Admin)),
    row("POST", "/v1/tenants/{tenant}/resume", only_below(write(Tenants), Target::Tenant, Admin)),
    row("POST", "/v1/tenants/{tenant}/move", only_below(write(Tenants), Target::Tenant, Admin)),
    row("GET", "/v1/tenants/{tenant}/limits", reads(read(Tenants), Target::Tenant, Viewer)),
    row("GET", "/v1/tenants/{tenant}/quotas", reads(read(Tenants), Target::Tenant, Viewer)),
    // Who has which plan.
    row("GET", "/v1/subscriptions", reads(read(Subscriptions), Target::Own, Viewer)),
    row("GET", "/v1/tenants/{tenant}/subscriptions", reads(read(Subscriptions), Target::Tenant, Viewer)),
    row("POST", "/v1/tenants/{tenant}/subscriptions", from_above(write(Subscriptions), Target::Tenant, Billing)),
    row("DELETE", "/v1/tenants/{tenant}/subscriptions", from_above(write(Subscriptions), Target::Tenant, Billing)),
    // Plans are prices: whoever sells the API writes them, for its own tree and for any tenant of it. A reseller that
    // wrote plans could give its customers one that costs nothing, and pay nothing for what they use.
    row("GET", "/v1/plans", reads(read(Plans), Target::Own, Viewer)),
    row("PUT", "/v1/plans", at_root(write(Plans), Admin)),
    row("GET", "/v1/plans/{plan}", reads(read(Plans), Target::Own, Viewer)),
    row("GET", "/v1/plans/{plan}/versions", reads(read(Plans), Target::Own, Viewer)),
    row("POST", "/v1/plans/{plan}/deprecate", at_root(write(Plans), Admin)),
    row("POST", "/v1/plans/{plan}/restore", at_root(write(Plans), Admin)),
    row("POST", "/v1/plans/{plan}/migrate", at_root(write(Plans), Admin)),
    // API keys.
    row("GET", "/v1/keys", reads(read(Keys), Target::Own, Viewer)),
    row("POST", "/v1/keys", within(write(Keys), Target::Body, Admin)),
    row("POST", "/v1/keys/find", reads(read(Keys), Target::Own, Viewer)),
    row("GET", "/v1/keys/{key}", reads(read(Keys), Target::Key, Viewer)),
    row("PATCH", "/v1/keys/{key}", within(write(Keys), Target::Key, Admin)),
    row("POST", "/v1/keys/{key}/rotate", within(write(Keys), Target::Key, Admin)),
    row("POST", "/v1/keys/{key}/revoke", within(write(Keys), Target::Key, Admin)),
    // Admin keys.
    row("GET", "/v1/admin-keys", reads(read(AdminKeys), Target::Own, Owner)),
    row("POST", "/v1/admin-keys", within(write(AdminKeys), Target::Body, Owner)),
    row("POST", "/v1/admin-keys/find", reads(read(AdminKeys), Target::Own, Owner)),
    row("GET", "/v1/admin-keys/{admin_key}", reads(read(AdminKeys), Target::AdminKey, Owner)),
    row("POST", "/v1/admin-keys/{admin_key}/rotate", within(write(AdminKeys), Target::AdminKey, Owner)),
    row("POST", "/v1/admin-keys/{admin_key}/revoke", within(write(AdminKeys), Target::AdminKey, Owner)),
    // Money and what it is for.
    row("GET", "/v1/tenants/{tenant}/credit", reads(read(Credit), Target::Tenant, Viewer)),
    row("POST", "/v1/tenants/{tenant}/credit", from_above(write(Credit), Target::Tenant, Billing)),
    row("GET", "/v1/usage", reads(read(Usage), Target::Own, Viewer)),
    row("GET", "/v1/usage/thresholds", reads(read(Usage), Target::Own, Viewer)),
    row("GET", "/v1/audit", reads(read(Audit), Target::Own, Admin)),
];

/// The row of an operation. `HEAD` is `GET` without the body.
pub fn rule(method: &Method, path: &str) -> Option<&'static Rule> {
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    RULES.iter().find(|rule| rule.method == method && rule.path == path)
}

impl Grant {
    /// The least role that it takes of somebody who stands so; nobody may if there is none.
    pub fn least(&self, relation: Relation) -> Option<Role> {
        match relation {
            Relation::Own => self.own,
            Relation::OwnRoot => self.own_root,
            Relation::Below => self.below,
            // Only the bootstrap token stands there, and it may do whatever anybody may.
            Relation::Above => Some(Owner),
        }
    }

    /// Returns true if a role is enough for somebody who stands so.
    pub fn admits(&self, role: Role, relation: Relation) -> bool {
        self.least(relation).is_some_and(|least| reaches(role, least))
    }
}

/// Returns true if a role may do all that another may.
pub fn reaches(role: Role, least: Role) -> bool {
    rank(role) >= rank(least)
}

const fn rank(role: Role) -> u8 {
    match role {
        Viewer => 0,
        Billing => 1,
        Admin => 2,
        Owner => 3,
    }
}
