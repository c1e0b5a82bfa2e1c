//! `/openapi.json`: the `OpenAPI` document, from the annotations of the handlers and the table of
//! permissions. `/docs` shows the same to people.

mod answers;

use std::sync::LazyLock;

use answers::{Credentials, Names, Problems};
use axum::{Json, http::HeaderMap, response::Response};
use utoipa::OpenApi;

use super::{
    add_ons, admin_keys, audit_log, bank_entries, batches, billing_details, books, branding, budgets, coupons, credit,
    exports, invoices, keys, ledger, mail, me, members, observe, outbox,
    paths::{DOCUMENT_PATH, PAGE_PATH},
    payments, plans, refusals, seller, sessions, subscriptions, tenants, thresholds, usage_events, usage_report,
    wallet, webhook_endpoints,
};
use crate::web;

/// The document, built once.
static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(Interface::openapi);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tollgate business API",
        description = "Tenants, plans, API keys, usage, invoices and the audit log. Every caller has a role at a tenant, which counts \
                       for it and every tenant below it: all other tenants do not exist for the caller.\n\nErrors are \
                       problem documents (RFC 9457). Times are RFC 3339 in UTC; ids and cursors are opaque. A creation \
                       with an `Idempotency-Key` happens once, however often it is requested within a day.",
    ),
    tags(
        (name = "tenants", description = "The tree: root, resellers, customers"),
        (name = "subscriptions", description = "Plans of tenants, with start and end"),
        (name = "plans", description = "Plans on offer"),
        (name = "coupons", description = "Percentages and amounts off the bills of tenants that redeem them"),
        (name = "keys", description = "API keys, which gateways accept"),
        (name = "credit", description = "Units paid for in advance"),
        (name = "invoices", description = "Invoices, credit notes, payments and billing details"),
        (name = "payments", description = "Payments that a provider collects, disputes, payouts, and dunning"),
        (name = "ledger", description = "Balances and statements"),
        (name = "wallets", description = "Money paid in advance, or given"),
        (name = "budgets", description = "What usage may cost"),
        (name = "webhooks", description = "Endpoints that hear of events"),
        (name = "mail", description = "Who of a tenant gets which mail"),
        (name = "outbox", description = "Messages that leave the system"),
        (name = "usage", description = "Usage reports, events and batches"),
        (name = "access", description = "Admin keys, and the caller"),
        (name = "sessions", description = "Sessions of people in console and portal, and links that sign them in"),
        (name = "audit", description = "The audit log"),
        (name = "operations", description = "Health, metrics and this document"),
    ),
    paths(
        tenants::create, tenants::list, tenants::show, tenants::changes::update, tenants::changes::delete,
        tenants::changes::suspend, tenants::changes::resume, tenants::changes::relocate, tenants::limits::limits, tenants::quotas::quotas,
        subscriptions::in_force, subscriptions::list, subscriptions::assign, subscriptions::end,
        subscriptions::pause, subscriptions::resume, add_ons::list, add_ons::set,
        coupons::list, coupons::create, coupons::archive, coupons::list_redeemed, coupons::redeem, coupons::remove,
        plans::list, plans::changes::apply, plans::show, plans::versions, plans::changes::deprecate,
        plans::changes::restore, plans::changes::migrate,
        keys::create, keys::list, keys::find::find, keys::show, keys::changes::update, keys::changes::rotate, keys::changes::revoke,
        credit::show, credit::add,
        wallet::show, wallet::set_policy, wallet::grants::list, wallet::grants::grant, wallet::grants::void,
        wallet::top_ups::list, wallet::top_ups::confirm, wallet::top_ups::cancel,
        budgets::list, budgets::put, budgets::delete,
        billing_details::show, billing_details::replace, branding::show, branding::replace,
        invoices::papers::invoice, invoices::papers::invoice_xml, invoices::papers::credit_note,
        invoices::papers::credit_note_xml, invoices::papers::receipt, invoices::papers::statement,
        invoices::list, invoices::show, invoices::one_off::issue, invoices::ends::void, invoices::ends::write_off,
        invoices::credit_notes::list, invoices::credit_notes::issue,
        invoices::payments::list, invoices::payments::record, invoices::payments::refund, invoices::preview::show,
        payments::attempts::list, payments::attempts::collect, payments::attempts::dunning,
        payments::methods::list, payments::methods::save, payments::methods::page, payments::events::take,
        payments::refunds::list, payments::refunds::begin, payments::pages::make,
        payments::disputes::list, payments::disputes::of_invoice, payments::payouts::list, payments::payouts::items,
        bank_entries::import, bank_entries::list, bank_entries::show, bank_entries::assign, bank_entries::ignore,
        ledger::balances, ledger::entries, ledger::trial_balance,
        exports::ledger, exports::invoices, exports::costs,
        webhook_endpoints::list, webhook_endpoints::create, webhook_endpoints::show, webhook_endpoints::update,
        webhook_endpoints::delete, webhook_endpoints::deliveries::rotate, webhook_endpoints::deliveries::replay,
        mail::show, mail::replace, outbox::list, outbox::replay,
        usage_report::report, thresholds::list, batches::take_batch,
        usage_events::record, usage_events::list, usage_events::amend, usage_events::revert,
        admin_keys::create, admin_keys::list, admin_keys::find, admin_keys::show, admin_keys::rotate::rotate, admin_keys::revoke, me::me,
        audit_log::list,
        sessions::sign_in, sessions::redeem, sessions::current, sessions::sign_out, sessions::sign_out_everywhere, sessions::link,
        sessions::mailed::mail, members::list, members::replace, invoices::simulations::run, sessions::oidc::ways, sessions::oidc::begin, sessions::oidc::callback,
        books::show, books::audit, seller::show, refusals::list, subscriptions::choose, plans::changes::set_self_service,
        invoices::explanation::show, invoices::runs::drafts, invoices::runs::run, wallet::top_ups::request,
        observe::health, observe::metrics, document, page,
    ),
    modifiers(&Names, &Credentials, &Problems),
)]
pub(super) struct Interface;

/// Show this document
#[utoipa::path(
    get,
    path = DOCUMENT_PATH,
    tag = "operations",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = Object)),
)]
pub(super) async fn document() -> Json<&'static utoipa::openapi::OpenApi> {
    Json(&*DOCUMENT)
}

/// Show this document as a page
///
/// Its examples are filled in with the credential that one states there, and can be sent from it.
#[utoipa::path(
    get,
    path = PAGE_PATH,
    tag = "operations",
    responses(
        (status = 200, description = "The page", content_type = "text/html", body = String),
        (status = 503, description = "This program was built without its pages", content_type = "text/html", body = String),
    ),
)]
pub(super) async fn page(headers: HeaderMap) -> Response {
    web::document_page(&headers)
}
