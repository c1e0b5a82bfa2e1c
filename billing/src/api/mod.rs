//! The business API: one table of routes, described by `/openapi.json`; every error is a problem
//! document.
//!
//! A handler reads the request, calls the store on behalf of the caller and writes a document, and
//! does nothing else: [`crate::access`] has checked the caller, and the store shows the caller its
//! own subtree only.

mod add_ons;
mod admin_keys;
mod audit_log;
mod bank_entries;
mod batches;
mod billing_details;
mod body;
mod books;
mod branding;
mod budgets;
mod coupons;
mod credit;
mod document;
mod etag;
mod exports;
mod fallback;
mod idempotency;
mod ingester;
mod invoices;
mod keys;
mod ledger;
mod mail;
mod me;
mod members;
mod observe;
mod outbox;
mod page;
mod parameters;
mod paths;
mod payments;
mod plans;
mod refusals;
mod requests;
mod secret;
mod seller;
mod services;
mod sessions;
mod subscriptions;
mod tenants;
#[cfg(test)]
mod tests;
mod thresholds;
mod usage_events;
mod usage_report;
mod wallet;
mod webhook_endpoints;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{MethodRouter, delete, get, post, put},
};
use common::usage::{BATCH_MAX_BYTES, BATCH_PATH};
pub use ingester::{IngesterServices, ingester_router};
pub use paths::{DOCUMENT_PATH, HEALTH_PATH, METRICS_PATH, PAGE_PATH};
use requests::Counted;
pub use requests::RequestMetrics;
pub use services::Services;

use crate::{
    access::{Checkpoint, guard},
    web,
};

/// All routes of the API, each behind the checkpoint.
pub fn router(services: Services) -> Router {
    let guarded = |path, methods: MethodRouter<Arc<Services>>| {
        let checkpoint = Checkpoint { access: services.access.clone(), path };
        let counted = Counted { metrics: services.requests.clone(), route: path };
        methods
            .route_layer(middleware::from_fn_with_state(checkpoint, guard))
            .route_layer(middleware::from_fn_with_state(counted, requests::count))
    };
    routes()
        .into_iter()
        .chain(routes_of_messages())
        .chain(routes_of_pages())
        .fold(Router::new(), |router, (path, methods)| router.route(path, guarded(path, methods)))
        .merge(web::router(&services.pages))
        .fallback(fallback::unknown_path)
        .method_not_allowed_fallback(fallback::unknown_method)
        .layer(DefaultBodyLimit::max(BATCH_MAX_BYTES))
        .with_state(Arc::new(services))
}

fn routes() -> Vec<(&'static str, MethodRouter<Arc<Services>>)> {
    vec![
        (HEALTH_PATH, get(observe::health)),
        (METRICS_PATH, get(observe::metrics)),
        (DOCUMENT_PATH, get(document::document)),
        (PAGE_PATH, get(document::page)),
        (BATCH_PATH, post(batches::take_batch)),
        ("/v1/me", get(me::me)),
        ("/v1/tenants", get(tenants::list).post(tenants::create)),
        ("/v1/tenants/{tenant}", get(tenants::show).patch(tenants::changes::update).delete(tenants::changes::delete)),
        ("/v1/tenants/{tenant}/suspend", post(tenants::changes::suspend)),
        ("/v1/tenants/{tenant}/resume", post(tenants::changes::resume)),
        ("/v1/tenants/{tenant}/move", post(tenants::changes::relocate)),
        ("/v1/tenants/{tenant}/limits", get(tenants::limits::limits)),
        ("/v1/tenants/{tenant}/quotas", get(tenants::quotas::quotas)),
        (
            "/v1/tenants/{tenant}/subscriptions",
            get(subscriptions::list).post(subscriptions::assign).delete(subscriptions::end),
        ),
        ("/v1/tenants/{tenant}/plan-choice", post(subscriptions::choose)),
        ("/v1/tenants/{tenant}/subscriptions/pause", post(subscriptions::pause)),
        ("/v1/tenants/{tenant}/subscriptions/resume", post(subscriptions::resume)),
        ("/v1/tenants/{tenant}/add-ons", get(add_ons::list).put(add_ons::set)),
        ("/v1/tenants/{tenant}/coupons", get(coupons::list_redeemed).post(coupons::redeem)),
        ("/v1/tenants/{tenant}/coupons/{coupon}", delete(coupons::remove)),
        ("/v1/subscriptions", get(subscriptions::in_force)),
        ("/v1/tenants/{tenant}/credit", get(credit::show).post(credit::add)),
        ("/v1/tenants/{tenant}/wallet", get(wallet::show).put(wallet::set_policy)),
        ("/v1/tenants/{tenant}/wallet/grants", get(wallet::grants::list).post(wallet::grants::grant)),
        ("/v1/tenants/{tenant}/wallet/grants/{grant}/void", post(wallet::grants::void)),
        ("/v1/tenants/{tenant}/wallet/top-ups", get(wallet::top_ups::list).post(wallet::top_ups::request)),
        ("/v1/tenants/{tenant}/wallet/top-ups/{top_up}/confirm", post(wallet::top_ups::confirm)),
        ("/v1/tenants/{tenant}/wallet/top-ups/{top_up}/cancel", post(wallet::top_ups::cancel)),
        ("/v1/tenants/{tenant}/budgets", get(budgets::list)),
        ("/v1/tenants/{tenant}/budgets/{scope}", put(budgets::put).delete(budgets::delete)),
        ("/v1/tenants/{tenant}/billing-details", get(billing_details::show).put(billing_details::replace)),
        ("/v1/tenants/{tenant}/branding", get(branding::show).put(branding::replace)),
        ("/v1/tenants/{tenant}/statement/pdf", get(invoices::papers::statement)),
        ("/v1/tenants/{tenant}/invoice-preview", get(invoices::preview::show)),
        ("/v1/tenants/{tenant}/ledger/balances", get(ledger::balances)),
        ("/v1/tenants/{tenant}/ledger/entries", get(ledger::entries)),
        ("/v1/tenants/{tenant}/ledger/trial-balance", get(ledger::trial_balance)),
        ("/v1/tenants/{tenant}/ledger/export", get(exports::ledger)),
        ("/v1/tenants/{tenant}/invoices/export", get(exports::invoices)),
        ("/v1/tenants/{tenant}/usage/export", get(exports::costs)),
        ("/v1/invoices", get(invoices::list).post(invoices::one_off::issue)),
        ("/v1/invoices/{invoice}", get(invoices::show)),
        ("/v1/invoices/{invoice}/explanation", get(invoices::explanation::show)),
        ("/v1/invoices/{invoice}/void", post(invoices::ends::void)),
        ("/v1/invoices/{invoice}/write-off", post(invoices::ends::write_off)),
        ("/v1/invoices/{invoice}/credit-notes", get(invoices::credit_notes::list).post(invoices::credit_notes::issue)),
        ("/v1/invoices/{invoice}/payments", get(invoices::payments::list).post(invoices::payments::record)),
        ("/v1/invoices/{invoice}/pdf", get(invoices::papers::invoice)),
        ("/v1/invoices/{invoice}/xml", get(invoices::papers::invoice_xml)),
        ("/v1/invoices/{invoice}/credit-notes/{credit_note}/pdf", get(invoices::papers::credit_note)),
        ("/v1/invoices/{invoice}/credit-notes/{credit_note}/xml", get(invoices::papers::credit_note_xml)),
        ("/v1/invoices/{invoice}/payments/{payment}/pdf", get(invoices::papers::receipt)),
        ("/v1/payments/{payment}/refund", post(invoices::payments::refund)),
        ("/v1/invoices/{invoice}/payment-attempts", get(payments::attempts::list).post(payments::attempts::collect)),
        ("/v1/payments/{payment}/provider-refunds", get(payments::refunds::list).post(payments::refunds::begin)),
        ("/v1/invoices/{invoice}/dunning", get(payments::attempts::dunning)),
        ("/v1/invoices/{invoice}/disputes", get(payments::disputes::of_invoice)),
        ("/v1/invoices/{invoice}/payment-page", post(payments::pages::make)),
        ("/v1/disputes", get(payments::disputes::list)),
        ("/v1/payouts", get(payments::payouts::list)),
        ("/v1/tenants/{tenant}/payouts/{payout}/items", get(payments::payouts::items)),
        ("/v1/tenants/{tenant}/payment-methods", get(payments::methods::list).post(payments::methods::save)),
        ("/v1/tenants/{tenant}/payment-methods/page", post(payments::methods::page)),
        ("/v1/providers/stripe/{issuer}/events", post(payments::events::take)),
        ("/v1/tenants/{tenant}/bank-statements", post(bank_entries::import)),
        ("/v1/tenants/{tenant}/bank-entries", get(bank_entries::list)),
        ("/v1/bank-entries/{entry}", get(bank_entries::show)),
        ("/v1/bank-entries/{entry}/assign", post(bank_entries::assign)),
        ("/v1/bank-entries/{entry}/ignore", post(bank_entries::ignore)),
        ("/v1/coupons", get(coupons::list).post(coupons::create)),
        ("/v1/coupons/{coupon}/archive", post(coupons::archive)),
        ("/v1/plans", get(plans::list).put(plans::changes::apply)),
        ("/v1/plans/{plan}", get(plans::show)),
        ("/v1/plans/{plan}/versions", get(plans::versions)),
        ("/v1/plans/{plan}/deprecate", post(plans::changes::deprecate)),
        ("/v1/plans/{plan}/restore", post(plans::changes::restore)),
        ("/v1/plans/{plan}/self-service", put(plans::changes::set_self_service)),
        ("/v1/plans/{plan}/migrate", post(plans::changes::migrate)),
        ("/v1/keys", get(keys::list).post(keys::create)),
        ("/v1/keys/find", post(keys::find::find)),
        ("/v1/keys/{key}", get(keys::show).patch(keys::changes::update)),
        ("/v1/keys/{key}/rotate", post(keys::changes::rotate)),
        ("/v1/keys/{key}/revoke", post(keys::changes::revoke)),
        ("/v1/admin-keys", get(admin_keys::list).post(admin_keys::create)),
        ("/v1/admin-keys/find", post(admin_keys::find)),
        ("/v1/admin-keys/{admin_key}", get(admin_keys::show)),
        ("/v1/admin-keys/{admin_key}/rotate", post(admin_keys::rotate::rotate)),
        ("/v1/admin-keys/{admin_key}/revoke", post(admin_keys::revoke)),
        ("/v1/usage", get(usage_report::report)),
        ("/v1/usage/events", get(usage_events::list).post(usage_events::record)),
        ("/v1/usage/events/amend", post(usage_events::amend)),
        ("/v1/usage/events/revert", post(usage_events::revert)),
        ("/v1/usage/thresholds", get(thresholds::list)),
        ("/v1/audit", get(audit_log::list)),
    ]
}

/// Routes of what leaves the system.
fn routes_of_messages() -> Vec<(&'static str, MethodRouter<Arc<Services>>)> {
    vec![
        ("/v1/tenants/{tenant}/webhook-endpoints", get(webhook_endpoints::list).post(webhook_endpoints::create)),
        (
            "/v1/tenants/{tenant}/webhook-endpoints/{endpoint}",
            get(webhook_endpoints::show).patch(webhook_endpoints::update).delete(webhook_endpoints::delete),
        ),
        ("/v1/tenants/{tenant}/webhook-endpoints/{endpoint}/rotate", post(webhook_endpoints::deliveries::rotate)),
        ("/v1/tenants/{tenant}/webhook-endpoints/{endpoint}/replay", post(webhook_endpoints::deliveries::replay)),
        ("/v1/tenants/{tenant}/mail", get(mail::show).put(mail::replace)),
        ("/v1/tenants/{tenant}/outbox/{message}/replay", post(outbox::replay)),
        ("/v1/outbox", get(outbox::list)),
    ]
}

/// Routes that console and portal were the first to need: sign-in, the books of the installation,
/// refusals by reason.
fn routes_of_pages() -> Vec<(&'static str, MethodRouter<Arc<Services>>)> {
    vec![
        ("/v1/sessions", post(sessions::sign_in).delete(sessions::sign_out_everywhere)),
        ("/v1/sessions/redeem", post(sessions::redeem)),
        ("/v1/sessions/mail", post(sessions::mailed::mail)),
        ("/v1/sessions/ways", get(sessions::oidc::ways)),
        ("/v1/sessions/oidc", get(sessions::oidc::begin)),
        ("/v1/sessions/oidc/callback", get(sessions::oidc::callback)),
        ("/v1/sessions/current", get(sessions::current).delete(sessions::sign_out)),
        ("/v1/portal/sessions", post(sessions::link)),
        ("/v1/tenants/{tenant}/members", get(members::list).put(members::replace)),
        ("/v1/plan-simulations", post(invoices::simulations::run)),
        ("/v1/books", get(books::show)),
        ("/v1/books/audit", get(books::audit)),
        ("/v1/invoice-drafts", get(invoices::runs::drafts)),
        ("/v1/invoice-runs", post(invoices::runs::run)),
        ("/v1/tenants/{tenant}/seller", get(seller::show)),
        ("/v1/usage/refusals", get(refusals::list)),
    ]
}
