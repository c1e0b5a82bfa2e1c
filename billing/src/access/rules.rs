//! The table of permissions, with a row for every operation of the API.
//!
//! Invariant: an operation without a row is denied. A row has the least role by the caller's
//! relation to the tenant: its own tenant, its own tenant if that is a root, or a tenant below.
//! Every other tenant does not exist for the caller: a sibling, a parent, a foreign tenant and an
//! unknown id get the same 404.

use axum::http::Method;
use common::admin::{
    AdminArea::{AdminKeys, Audit, Credit, Invoices, Keys, Notifications, Plans, Subscriptions, Tenants, Usage},
    AdminScope,
    Role::{self, Admin, Billing, Owner, Viewer},
};

/// One operation and the callers that may use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// `GET`, `POST`, ...
    pub method: &'static str,
    /// The path, with its parameters in braces.
    pub path: &'static str,
    /// The callers that may use it.
    pub needs: Needs,
}

/// Requirement of an operation on its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Open to everyone.
    Nothing,
    /// A token of the operation's own, which its handler checks.
    OwnToken,
    /// Any authenticated caller.
    Somebody,
    /// A caller with a role.
    Role(Grant),
}

/// The least role, by the caller's relation to the tenant of the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The scope that a narrowed admin key needs.
    pub scope: AdminScope,
    /// The tenant of the operation.
    pub target: Target,
    /// Least role if it is the caller's own tenant.
    pub own: Option<Role>,
    /// Least role if it is the caller's own tenant, and a root.
    pub own_root: Option<Role>,
    /// Least role if it is a tenant below the caller's.
    pub below: Option<Role>,
}

/// The tenant of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The caller's own; the answer is narrowed to its subtree.
    Own,
    /// The tenant that the path parameter `tenant` names.
    Tenant,
    /// The tenant of the API key that the parameter `key` names.
    Key,
    /// The tenant of the admin key that the parameter `admin_key` names.
    AdminKey,
    /// The tenant that owes the invoice that the parameter `invoice` names.
    Invoice,
    /// The tenant that has issued that invoice.
    InvoiceIssuer,
    /// The tenant that has issued the invoice that the payment, which the parameter `payment` names,
    /// has paid.
    PaymentIssuer,
    /// The tenant whose account the bank entry, which the parameter `entry` names, is of.
    BankEntry,
    /// The tenant that the body names: the handler gets its caller only after the check.
    Body,
}

/// Relation of a caller to the tenant of an operation. Tenants with any other relation do not exist
/// for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The caller's own tenant.
    Own,
    /// The caller's own tenant, which is a root.
    OwnRoot,
    /// A tenant below the caller's.
    Below,
    /// The caller is above every tenant.
    Above,
}

const fn row(method: &'static str, path: &'static str, needs: Needs) -> Rule {
    Rule { method, path, needs }
}

/// Allows the least role at the own tenant and every tenant below it.
const fn reads(scope: AdminScope, target: Target, least: Role) -> Needs {
    Needs::Role(Grant { scope, target, own: Some(least), own_root: Some(least), below: Some(least) })
}

/// Allows a change by the least role at the own tenant and every tenant below it.
const fn within(scope: AdminScope, target: Target, least: Role) -> Needs {
    reads(scope, target, least)
}

/// Allows the least role at a tenant above; for a root, at the root itself.
const fn from_above(scope: AdminScope, target: Target, least: Role) -> Needs {
    Needs::Role(Grant { scope, target, own: None, own_root: Some(least), below: Some(least) })
}

/// Allows the least role at a tenant above; for a root, no role.
const fn only_below(scope: AdminScope, target: Target, least: Role) -> Needs {
    Needs::Role(Grant { scope, target, own: None, own_root: None, below: Some(least) })
}

/// Allows the least role at a root.
const fn at_root(scope: AdminScope, least: Role) -> Needs {
    Needs::Role(Grant { scope, target: Target::Own, own: None, own_root: Some(least), below: None })
}

const fn read(area: common::admin::AdminArea) -> AdminScope {
    AdminScope::read(area)
}

const fn write(area: common::admin::AdminArea) -> AdminScope {
    AdminScope::write(area)
}

/// The table of permissions.
pub const RULES: &[Rule] = &[
    row("GET", "/health", Needs::Nothing),
    row("GET", "/metrics", Needs::Nothing),
    row("GET", "/openapi.json", Needs::Nothing),
    row("GET", "/docs", Needs::Nothing),
    row("POST", "/v1/usage/batches", Needs::OwnToken),
    row("GET", "/v1/me", Needs::Somebody),
    // Sessions. The handler of a link checks its secret; a session has at most the role of whoever
    // made the link.
    row("POST", "/v1/sessions", Needs::Somebody),
    row("DELETE", "/v1/sessions", Needs::Somebody),
    row("POST", "/v1/sessions/redeem", Needs::OwnToken),
    row("POST", "/v1/sessions/mail", Needs::Nothing),
    row("GET", "/v1/sessions/ways", Needs::Nothing),
    row("GET", "/v1/sessions/oidc", Needs::Nothing),
    row("GET", "/v1/sessions/oidc/callback", Needs::Nothing),
    row("GET", "/v1/sessions/current", Needs::Somebody),
    row("DELETE", "/v1/sessions/current", Needs::Somebody),
    row("POST", "/v1/portal/sessions", within(write(AdminKeys), Target::Body, Admin)),
    row("GET", "/v1/tenants/{tenant}/members", reads(read(AdminKeys), Target::Tenant, Admin)),
    row("PUT", "/v1/tenants/{tenant}/members", within(write(AdminKeys), Target::Tenant, Admin)),
    // The books are those of the installation.
    row("GET", "/v1/books", at_root(read(Usage), Viewer)),
    row("GET", "/v1/books/audit", at_root(read(Usage), Viewer)),
    // Tenants. A suspension refuses the whole subtree, so a tenant cannot lift the one that came
    // from above.
    row("GET", "/v1/tenants", reads(read(Tenants), Target::Own, Viewer)),
    row("POST", "/v1/tenants", within(write(Tenants), Target::Body, Admin)),
    row("GET", "/v1/tenants/{tenant}", reads(read(Tenants), Target::Tenant, Viewer)),
    row("PATCH", "/v1/tenants/{tenant}", from_above(write(Tenants), Target::Tenant, Admin)),
    row("DELETE", "/v1/tenants/{tenant}", only_below(write(Tenants), Target::Tenant, Owner)),
    row("POST", "/v1/tenants/{tenant}/suspend", only_below(write(Tenants), Target::Tenant, Admin)),
    row("POST", "/v1/tenants/{tenant}/resume", only_below(write(Tenants), Target::Tenant, Admin)),
    row("POST", "/v1/tenants/{tenant}/move", only_below(write(Tenants), Target::Tenant, Admin)),
    row("GET", "/v1/tenants/{tenant}/limits", reads(read(Tenants), Target::Tenant, Viewer)),
    row("GET", "/v1/tenants/{tenant}/seller", reads(read(Tenants), Target::Tenant, Viewer)),
    row("GET", "/v1/tenants/{tenant}/quotas", reads(read(Tenants), Target::Tenant, Viewer)),
    // Subscriptions.
    row("GET", "/v1/subscriptions", reads(read(Subscriptions), Target::Own, Viewer)),
    row("GET", "/v1/tenants/{tenant}/subscriptions", reads(read(Subscriptions), Target::Tenant, Viewer)),
    row("POST", "/v1/tenants/{tenant}/subscriptions", from_above(write(Subscriptions), Target::Tenant, Billing)),
    row("DELETE", "/v1/tenants/{tenant}/subscriptions", from_above(write(Subscriptions), Target::Tenant, Billing)),
    // A tenant chooses among the plans that their owner has opened to that.
    row("POST", "/v1/tenants/{tenant}/plan-choice", within(write(Subscriptions), Target::Tenant, Billing)),
    row("POST", "/v1/tenants/{tenant}/subscriptions/pause", from_above(write(Subscriptions), Target::Tenant, Billing)),
    row("POST", "/v1/tenants/{tenant}/subscriptions/resume", from_above(write(Subscriptions), Target::Tenant, Billing)),
    row("GET", "/v1/tenants/{tenant}/add-ons", reads(read(Subscriptions), Target::Tenant, Viewer)),
    row("PUT", "/v1/tenants/{tenant}/add-ons", from_above(write(Subscriptions), Target::Tenant, Billing)),
    row("GET", "/v1/tenants/{tenant}/coupons", reads(read(Subscriptions), Target::Tenant, Viewer)),
    row("POST", "/v1/tenants/{tenant}/coupons", from_above(write(Subscriptions), Target::Tenant, Billing)),
    row("DELETE", "/v1/tenants/{tenant}/coupons/{coupon}", from_above(write(Subscriptions), Target::Tenant, Billing)),
    // Coupons are prices as well.
    row("GET", "/v1/coupons", reads(read(Plans), Target::Own, Viewer)),
    row("POST", "/v1/coupons", at_root(write(Plans), Admin)),
    row("POST", "/v1/coupons/{coupon}/archive", at_root(write(Plans), Admin)),
    // Plans are prices: a root writes them, for itself and for any tenant of its tree. A reseller
    // that wrote plans could give its customers a plan that costs nothing, and pay nothing for
    // their usage.
    row("GET", "/v1/plans", reads(read(Plans), Target::Own, Viewer)),
    row("PUT", "/v1/plans", at_root(write(Plans), Admin)),
    row("GET", "/v1/plans/{plan}", reads(read(Plans), Target::Own, Viewer)),
    row("GET", "/v1/plans/{plan}/versions", reads(read(Plans), Target::Own, Viewer)),
    row("POST", "/v1/plans/{plan}/deprecate", at_root(write(Plans), Admin)),
    row("POST", "/v1/plans/{plan}/restore", at_root(write(Plans), Admin)),
    row("PUT", "/v1/plans/{plan}/self-service", at_root(write(Plans), Admin)),
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
    // Invoices. Whoever owes one reads it; only its issuer, and those above, change something.
    row("GET", "/v1/tenants/{tenant}/billing-details", reads(read(Invoices), Target::Tenant, Viewer)),
    row("PUT", "/v1/tenants/{tenant}/billing-details", from_above(write(Invoices), Target::Tenant, Billing)),
    row("GET", "/v1/tenants/{tenant}/branding", reads(read(Invoices), Target::Tenant, Viewer)),
    row("PUT", "/v1/tenants/{tenant}/branding", within(write(Invoices), Target::Tenant, Admin)),
    row("GET", "/v1/tenants/{tenant}/statement/pdf", reads(read(Invoices), Target::Tenant, Viewer)),
    row("GET", "/v1/tenants/{tenant}/invoice-preview", reads(read(Invoices), Target::Tenant, Viewer)),
    row("GET", "/v1/tenants/{tenant}/ledger/balances", reads(read(Invoices), Target::Tenant, Viewer)),
    row("GET", "/v1/tenants/{tenant}/ledger/entries", reads(read(Invoices), Target::Tenant, Viewer)),
    row("GET", "/v1/tenants/{tenant}/ledger/trial-balance", reads(read(Invoices), Target::Tenant, Billing)),
    row("GET", "/v1/tenants/{tenant}/ledger/export", reads(read(Invoices), Target::Tenant, Billing)),
    row("GET", "/v1/tenants/{tenant}/invoices/export", reads(read(Invoices), Target::Tenant, Viewer)),
    row("GET", "/v1/tenants/{tenant}/usage/export", reads(read(Invoices), Target::Tenant, Viewer)),
    row("GET", "/v1/invoices", reads(read(Invoices), Target::Own, Viewer)),
    row("POST", "/v1/invoices", within(write(Invoices), Target::Body, Billing)),
    row("GET", "/v1/invoices/{invoice}", reads(read(Invoices), Target::Invoice, Viewer)),
    row("GET", "/v1/invoices/{invoice}/explanation", reads(read(Invoices), Target::Invoice, Viewer)),
    row("GET", "/v1/invoice-drafts", at_root(read(Invoices), Viewer)),
    row("POST", "/v1/plan-simulations", at_root(read(Invoices), Viewer)),
    row("POST", "/v1/invoice-runs", at_root(write(Invoices), Billing)),
    row("POST", "/v1/invoices/{invoice}/void", within(write(Invoices), Target::InvoiceIssuer, Billing)),
    row("POST", "/v1/invoices/{invoice}/write-off", within(write(Invoices), Target::InvoiceIssuer, Billing)),
    row("GET", "/v1/invoices/{invoice}/credit-notes", reads(read(Invoices), Target::Invoice, Viewer)),
    row("POST", "/v1/invoices/{invoice}/credit-notes", within(write(Invoices), Target::InvoiceIssuer, Billing)),
    row("GET", "/v1/invoices/{invoice}/payments", reads(read(Invoices), Target::Invoice, Viewer)),
    row("POST", "/v1/invoices/{invoice}/payments", within(write(Invoices), Target::InvoiceIssuer, Billing)),
    row("GET", "/v1/invoices/{invoice}/pdf", reads(read(Invoices), Target::Invoice, Viewer)),
    row("GET", "/v1/invoices/{invoice}/xml", reads(read(Invoices), Target::Invoice, Viewer)),
    row("GET", "/v1/invoices/{invoice}/credit-notes/{credit_note}/pdf", reads(read(Invoices), Target::Invoice, Viewer)),
    row("GET", "/v1/invoices/{invoice}/credit-notes/{credit_note}/xml", reads(read(Invoices), Target::Invoice, Viewer)),
    row("GET", "/v1/invoices/{invoice}/payments/{payment}/pdf", reads(read(Invoices), Target::Invoice, Viewer)),
    row("POST", "/v1/payments/{payment}/refund", within(write(Invoices), Target::PaymentIssuer, Billing)),
    // Payments that a provider collects: whoever pays says with what.
    row("GET", "/v1/invoices/{invoice}/payment-attempts", reads(read(Invoices), Target::Invoice, Viewer)),
    row("POST", "/v1/invoices/{invoice}/payment-attempts", within(write(Invoices), Target::Invoice, Billing)),
    row("GET", "/v1/invoices/{invoice}/dunning", reads(read(Invoices), Target::Invoice, Viewer)),
    row("GET", "/v1/invoices/{invoice}/disputes", reads(read(Invoices), Target::Invoice, Viewer)),
    row("POST", "/v1/invoices/{invoice}/payment-page", within(write(Invoices), Target::Invoice, Billing)),
    row("GET", "/v1/disputes", reads(read(Invoices), Target::Own, Viewer)),
    row("GET", "/v1/payouts", reads(read(Invoices), Target::Own, Viewer)),
    row("GET", "/v1/tenants/{tenant}/payouts/{payout}/items", reads(read(Invoices), Target::Tenant, Viewer)),
    row("GET", "/v1/payments/{payment}/provider-refunds", within(read(Invoices), Target::PaymentIssuer, Viewer)),
    row("POST", "/v1/payments/{payment}/provider-refunds", within(write(Invoices), Target::PaymentIssuer, Billing)),
    row("GET", "/v1/tenants/{tenant}/payment-methods", reads(read(Invoices), Target::Tenant, Viewer)),
    row("POST", "/v1/tenants/{tenant}/payment-methods", within(write(Invoices), Target::Tenant, Billing)),
    row("POST", "/v1/tenants/{tenant}/payment-methods/page", within(write(Invoices), Target::Tenant, Billing)),
    // Bank statements: who has paid is for those who keep the books.
    row("POST", "/v1/tenants/{tenant}/bank-statements", within(write(Invoices), Target::Tenant, Billing)),
    row("GET", "/v1/tenants/{tenant}/bank-entries", reads(read(Invoices), Target::Tenant, Billing)),
    row("GET", "/v1/bank-entries/{entry}", reads(read(Invoices), Target::BankEntry, Billing)),
    row("POST", "/v1/bank-entries/{entry}/assign", within(write(Invoices), Target::BankEntry, Billing)),
    row("POST", "/v1/bank-entries/{entry}/ignore", within(write(Invoices), Target::BankEntry, Billing)),
    row("POST", "/v1/providers/stripe/{issuer}/events", Needs::OwnToken),
    // Credit and usage.
    row("GET", "/v1/tenants/{tenant}/credit", reads(read(Credit), Target::Tenant, Viewer)),
    row("POST", "/v1/tenants/{tenant}/credit", from_above(write(Credit), Target::Tenant, Billing)),
    // Wallets: the issuer grants, the tenant sees.
    row("GET", "/v1/tenants/{tenant}/wallet", reads(read(Credit), Target::Tenant, Viewer)),
    row("PUT", "/v1/tenants/{tenant}/wallet", from_above(write(Credit), Target::Tenant, Billing)),
    row("GET", "/v1/tenants/{tenant}/wallet/grants", reads(read(Credit), Target::Tenant, Viewer)),
    row("POST", "/v1/tenants/{tenant}/wallet/grants", from_above(write(Credit), Target::Tenant, Billing)),
    row("POST", "/v1/tenants/{tenant}/wallet/grants/{grant}/void", from_above(write(Credit), Target::Tenant, Billing)),
    row("GET", "/v1/tenants/{tenant}/wallet/top-ups", reads(read(Credit), Target::Tenant, Viewer)),
    row("POST", "/v1/tenants/{tenant}/wallet/top-ups", within(write(Credit), Target::Tenant, Billing)),
    row(
        "POST",
        "/v1/tenants/{tenant}/wallet/top-ups/{top_up}/confirm",
        from_above(write(Credit), Target::Tenant, Billing),
    ),
    row(
        "POST",
        "/v1/tenants/{tenant}/wallet/top-ups/{top_up}/cancel",
        from_above(write(Credit), Target::Tenant, Billing),
    ),
    // Budgets: whoever pays for usage says what it may cost.
    row("GET", "/v1/tenants/{tenant}/budgets", reads(read(Credit), Target::Tenant, Viewer)),
    row("PUT", "/v1/tenants/{tenant}/budgets/{scope}", within(write(Credit), Target::Tenant, Billing)),
    row("DELETE", "/v1/tenants/{tenant}/budgets/{scope}", within(write(Credit), Target::Tenant, Billing)),
    row("GET", "/v1/usage", reads(read(Usage), Target::Own, Viewer)),
    row("GET", "/v1/usage/refusals", reads(read(Usage), Target::Own, Viewer)),
    // Whoever pays for usage does not report it or correct it.
    row("GET", "/v1/usage/events", reads(read(Usage), Target::Own, Viewer)),
    row("POST", "/v1/usage/events", from_above(write(Usage), Target::Body, Billing)),
    row("POST", "/v1/usage/events/amend", from_above(write(Usage), Target::Body, Billing)),
    row("POST", "/v1/usage/events/revert", from_above(write(Usage), Target::Body, Billing)),
    row("GET", "/v1/usage/thresholds", reads(read(Usage), Target::Own, Viewer)),
    // Webhooks, mail, and what leaves the system. An endpoint hears of its own subtree only.
    row("GET", "/v1/tenants/{tenant}/webhook-endpoints", reads(read(Notifications), Target::Tenant, Viewer)),
    row("POST", "/v1/tenants/{tenant}/webhook-endpoints", within(write(Notifications), Target::Tenant, Admin)),
    row("GET", "/v1/tenants/{tenant}/webhook-endpoints/{endpoint}", reads(read(Notifications), Target::Tenant, Viewer)),
    row(
        "PATCH",
        "/v1/tenants/{tenant}/webhook-endpoints/{endpoint}",
        within(write(Notifications), Target::Tenant, Admin),
    ),
    row(
        "DELETE",
        "/v1/tenants/{tenant}/webhook-endpoints/{endpoint}",
        within(write(Notifications), Target::Tenant, Admin),
    ),
    row(
        "POST",
        "/v1/tenants/{tenant}/webhook-endpoints/{endpoint}/rotate",
        within(write(Notifications), Target::Tenant, Admin),
    ),
    row(
        "POST",
        "/v1/tenants/{tenant}/webhook-endpoints/{endpoint}/replay",
        within(write(Notifications), Target::Tenant, Admin),
    ),
    row("GET", "/v1/tenants/{tenant}/mail", reads(read(Notifications), Target::Tenant, Viewer)),
    row("PUT", "/v1/tenants/{tenant}/mail", within(write(Notifications), Target::Tenant, Billing)),
    row("GET", "/v1/outbox", reads(read(Notifications), Target::Own, Viewer)),
    row("POST", "/v1/tenants/{tenant}/outbox/{message}/replay", within(write(Notifications), Target::Tenant, Admin)),
    row("GET", "/v1/audit", reads(read(Audit), Target::Own, Admin)),
];

/// The row of an operation. `HEAD` is `GET` without the body.
pub fn rule(method: &Method, path: &str) -> Option<&'static Rule> {
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    RULES.iter().find(|rule| rule.method == method && rule.path == path)
}

impl Grant {
    /// The least role for a caller with this relation; none if no role is enough.
    pub fn least(&self, relation: Relation) -> Option<Role> {
        match relation {
            Relation::Own => self.own,
            Relation::OwnRoot => self.own_root,
            Relation::Below => self.below,
            // Only the bootstrap token is above every tenant, and it may use every operation.
            Relation::Above => Some(Owner),
        }
    }

    /// Returns true if a role is enough for a caller with this relation.
    pub fn admits(&self, role: Role, relation: Relation) -> bool {
        self.least(relation).is_some_and(|least| reaches(role, least))
    }
}

/// Returns true if a role includes another.
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
