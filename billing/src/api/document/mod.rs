//! `/openapi.json`: the interface describes itself, from the annotations of its own handlers and the table of who may
//! do what. `/docs` shows the same to people.

mod answers;
mod page_text;

use std::sync::LazyLock;

use answers::{Credentials, Names, Problems};
use axum::{
    Json,
    http::{HeaderName, header},
    response::Html,
};
use utoipa::OpenApi;

use super::{
    admin_keys, audit_log, batches, credit, keys, me, observe,
    paths::{DOCUMENT_PATH, PAGE_PATH},
    plans, subscriptions, tenants, thresholds, usage_report,
};

/// A page that loads nothing and runs nothing.
const CONTENT_SECURITY: (HeaderName, &str) =
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");

/// The document, once.
static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(Interface::openapi);

/// The page, once.
static PAGE: LazyLock<String> =
    LazyLock::new(|| page_text::page(&serde_json::to_value(&*DOCUMENT).unwrap_or(serde_json::Value::Null)));

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tollgate business API",
        description = "Tenants, plans, API keys, usage and who changed what. Every caller has a role at a tenant, which \
                       reaches it and everybody below it: the rest is answered as if it were not there.\n\nErrors are \
                       problem documents (RFC 9457). Times are RFC 3339 in UTC; ids and cursors are opaque. A creation \
                       that carries an `Idempotency-Key` happens once, however often it is asked for within a day.",
    ),
    tags(
        (name = "tenants", description = "The tree: root, resellers, customers"),
        (name = "subscriptions", description = "Who has which plan, from when on"),
        (name = "plans", description = "What is on offer"),
        (name = "keys", description = "API keys, which gateways accept"),
        (name = "credit", description = "Units paid for in advance"),
        (name = "usage", description = "What was used"),
        (name = "access", description = "Admin keys, and who you are"),
        (name = "audit", description = "Who changed what"),
        (name = "operations", description = "How this process is doing"),
    ),
    paths(
        tenants::create, tenants::list, tenants::show, tenants::changes::update, tenants::changes::delete,
        tenants::changes::suspend, tenants::changes::resume, tenants::changes::relocate, tenants::limits::limits, tenants::quotas::quotas,
        subscriptions::in_force, subscriptions::list, subscriptions::assign, subscriptions::end,
        plans::list, plans::changes::apply, plans::show, plans::versions, plans::changes::deprecate,
        plans::changes::restore, plans::changes::migrate,
        keys::create, keys::list, keys::find::find, keys::show, keys::changes::update, keys::changes::rotate, keys::changes::revoke,
        credit::show, credit::add,
        usage_report::report, thresholds::list, batches::take_batch,
        admin_keys::create, admin_keys::list, admin_keys::find, admin_keys::show, admin_keys::rotate::rotate, admin_keys::revoke, me::me,
        audit_log::list,
        observe::health, observe::metrics, document, page,
    ),
    modifiers(&Names, &Credentials, &Problems),
)]
pub(super) struct Interface;

/// This document
#[utoipa::path(
    get,
    path = DOCUMENT_PATH,
    tag = "operations",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = Object)),
)]
pub(super) async fn document() -> Json<&'static utoipa::openapi::OpenApi> {
    Json(&*DOCUMENT)
}

/// This document, to be read by people
#[utoipa::path(
    get,
    path = PAGE_PATH,
    tag = "operations",
    responses((status = 200, description = "A page that needs nothing else", content_type = "text/html", body = String)),
)]
pub(super) async fn page() -> ([(HeaderName, &'static str); 1], Html<&'static str>) {
    ([CONTENT_SECURITY], Html(PAGE.as_str()))
}
