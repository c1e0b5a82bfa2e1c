//! Every operation, asked for by every role that stands in every way to the tenant that is
//! concerned.
//!
//! The expected answers are written down here again, and not taken from the table that decides.

mod things;

use std::collections::BTreeSet;

use billing::access::rules::{Needs, RULES};
use common::{
    admin::Role::{self, Admin, Billing, Owner, Viewer},
    id::TenantId,
    tenant::TenantKind,
    time::{Clock as _, SystemClock},
};
use reqwest::Method;
use serde_json::{Value, json};
use things::{invoice_of, path_for};

use super::fixture::{Answer, Caller, Fixture, tenant};

/// The least roles that may: to the own tenant, to the own tenant if it is a root, and to a tenant
/// below.
type Least = [Option<Role>; 3];

const READ: Least = [Some(Viewer); 3];
const MANAGE: Least = [Some(Admin); 3];
const BILL: Least = [Some(Billing); 3];
const OWN: Least = [Some(Owner); 3];
const FROM_ABOVE: Least = [None, Some(Billing), Some(Billing)];
const ABOVE_ONLY: Least = [None, None, Some(Admin)];

/// An operation on a tenant, which may be done by those who reach `least`; `{tenant}`, `{key}`,
/// `{admin_key}`, `{invoice}`, `{payment}` and `{entry}` stand for what is the tenant's.
const ON_TENANTS: &[(&str, &str, Least)] = &[
    ("POST", "/v1/tenants", MANAGE),
    ("GET", "/v1/tenants/{tenant}", READ),
    ("PATCH", "/v1/tenants/{tenant}", [None, Some(Admin), Some(Admin)]),
    ("DELETE", "/v1/tenants/{tenant}", [None, None, Some(Owner)]),
    ("POST", "/v1/tenants/{tenant}/suspend", ABOVE_ONLY),
    ("POST", "/v1/tenants/{tenant}/resume", ABOVE_ONLY),
    ("POST", "/v1/tenants/{tenant}/move", ABOVE_ONLY),
    ("GET", "/v1/tenants/{tenant}/limits", READ),
    ("GET", "/v1/tenants/{tenant}/quotas", READ),
    ("GET", "/v1/tenants/{tenant}/seller", READ),
    ("POST", "/v1/tenants/{tenant}/plan-choice", BILL),
    ("POST", "/v1/tenants/{tenant}/wallet/top-ups", BILL),
    ("GET", "/v1/tenants/{tenant}/budgets", READ),
    ("PUT", "/v1/tenants/{tenant}/budgets/{scope}", BILL),
    ("DELETE", "/v1/tenants/{tenant}/budgets/{scope}", BILL),
    ("GET", "/v1/invoices/{invoice}/explanation", READ),
    ("POST", "/v1/portal/sessions", MANAGE),
    ("GET", "/v1/tenants/{tenant}/members", MANAGE),
    ("PUT", "/v1/tenants/{tenant}/members", MANAGE),
    ("GET", "/v1/tenants/{tenant}/subscriptions", READ),
    ("POST", "/v1/tenants/{tenant}/subscriptions", [None, Some(Billing), Some(Billing)]),
    ("DELETE", "/v1/tenants/{tenant}/subscriptions", [None, Some(Billing), Some(Billing)]),
    ("POST", "/v1/tenants/{tenant}/subscriptions/pause", FROM_ABOVE),
    ("POST", "/v1/tenants/{tenant}/subscriptions/resume", FROM_ABOVE),
    ("GET", "/v1/tenants/{tenant}/add-ons", READ),
    ("PUT", "/v1/tenants/{tenant}/add-ons", FROM_ABOVE),
    ("GET", "/v1/tenants/{tenant}/coupons", READ),
    ("POST", "/v1/tenants/{tenant}/coupons", FROM_ABOVE),
    ("DELETE", "/v1/tenants/{tenant}/coupons/{coupon}", FROM_ABOVE),
    ("GET", "/v1/tenants/{tenant}/credit", READ),
    ("POST", "/v1/tenants/{tenant}/credit", [None, Some(Billing), Some(Billing)]),
    ("POST", "/v1/usage/events", FROM_ABOVE),
    ("POST", "/v1/usage/events/amend", FROM_ABOVE),
    ("POST", "/v1/usage/events/revert", FROM_ABOVE),
    ("GET", "/v1/tenants/{tenant}/wallet", READ),
    ("PUT", "/v1/tenants/{tenant}/wallet", FROM_ABOVE),
    ("GET", "/v1/tenants/{tenant}/wallet/grants", READ),
    ("POST", "/v1/tenants/{tenant}/wallet/grants", FROM_ABOVE),
    ("POST", "/v1/tenants/{tenant}/wallet/grants/{grant}/void", FROM_ABOVE),
    ("GET", "/v1/tenants/{tenant}/wallet/top-ups", READ),
    ("POST", "/v1/tenants/{tenant}/wallet/top-ups/{top_up}/confirm", FROM_ABOVE),
    ("POST", "/v1/tenants/{tenant}/wallet/top-ups/{top_up}/cancel", FROM_ABOVE),
    ("GET", "/v1/tenants/{tenant}/webhook-endpoints", READ),
    ("POST", "/v1/tenants/{tenant}/webhook-endpoints", MANAGE),
    ("GET", "/v1/tenants/{tenant}/webhook-endpoints/{endpoint}", READ),
    ("PATCH", "/v1/tenants/{tenant}/webhook-endpoints/{endpoint}", MANAGE),
    ("DELETE", "/v1/tenants/{tenant}/webhook-endpoints/{endpoint}", MANAGE),
    ("POST", "/v1/tenants/{tenant}/webhook-endpoints/{endpoint}/rotate", MANAGE),
    ("POST", "/v1/tenants/{tenant}/webhook-endpoints/{endpoint}/replay", MANAGE),
    ("GET", "/v1/tenants/{tenant}/mail", READ),
    ("PUT", "/v1/tenants/{tenant}/mail", BILL),
    ("POST", "/v1/tenants/{tenant}/outbox/{message}/replay", MANAGE),
    ("GET", "/v1/tenants/{tenant}/billing-details", READ),
    ("PUT", "/v1/tenants/{tenant}/billing-details", [None, Some(Billing), Some(Billing)]),
    ("GET", "/v1/tenants/{tenant}/branding", READ),
    ("PUT", "/v1/tenants/{tenant}/branding", MANAGE),
    ("GET", "/v1/tenants/{tenant}/statement/pdf", READ),
    ("GET", "/v1/tenants/{tenant}/invoice-preview", READ),
    ("GET", "/v1/tenants/{tenant}/ledger/balances", READ),
    ("GET", "/v1/tenants/{tenant}/ledger/entries", READ),
    ("GET", "/v1/tenants/{tenant}/ledger/trial-balance", BILL),
    ("GET", "/v1/tenants/{tenant}/ledger/export", BILL),
    ("GET", "/v1/tenants/{tenant}/invoices/export", READ),
    ("GET", "/v1/tenants/{tenant}/usage/export", READ),
    ("GET", "/v1/invoices/{invoice}", READ),
    ("GET", "/v1/invoices/{invoice}/credit-notes", READ),
    ("GET", "/v1/invoices/{invoice}/payments", READ),
    ("GET", "/v1/invoices/{invoice}/pdf", READ),
    ("GET", "/v1/invoices/{invoice}/xml", READ),
    ("GET", "/v1/invoices/{invoice}/credit-notes/{credit_note}/pdf", READ),
    ("GET", "/v1/invoices/{invoice}/credit-notes/{credit_note}/xml", READ),
    ("GET", "/v1/invoices/{invoice}/payments/{payment}/pdf", READ),
    ("POST", "/v1/invoices/{invoice}/void", BILL),
    ("POST", "/v1/invoices/{invoice}/write-off", BILL),
    ("POST", "/v1/invoices/{invoice}/credit-notes", BILL),
    ("POST", "/v1/invoices/{invoice}/payments", BILL),
    ("POST", "/v1/payments/{payment}/refund", BILL),
    ("GET", "/v1/invoices/{invoice}/payment-attempts", READ),
    ("GET", "/v1/invoices/{invoice}/dunning", READ),
    ("GET", "/v1/invoices/{invoice}/disputes", READ),
    ("POST", "/v1/invoices/{invoice}/payment-page", BILL),
    ("GET", "/v1/tenants/{tenant}/payouts/{payout}/items", READ),
    ("GET", "/v1/tenants/{tenant}/payment-methods", READ),
    ("GET", "/v1/payments/{payment}/provider-refunds", READ),
    ("POST", "/v1/payments/{payment}/provider-refunds", BILL),
    ("POST", "/v1/invoices/{invoice}/payment-attempts", BILL),
    ("POST", "/v1/tenants/{tenant}/payment-methods", BILL),
    ("POST", "/v1/tenants/{tenant}/payment-methods/page", BILL),
    ("POST", "/v1/tenants/{tenant}/bank-statements", BILL),
    ("GET", "/v1/tenants/{tenant}/bank-entries", BILL),
    ("GET", "/v1/bank-entries/{entry}", BILL),
    ("POST", "/v1/bank-entries/{entry}/assign", BILL),
    ("POST", "/v1/bank-entries/{entry}/ignore", BILL),
    ("POST", "/v1/keys", MANAGE),
    ("GET", "/v1/keys/{key}", READ),
    ("PATCH", "/v1/keys/{key}", MANAGE),
    ("POST", "/v1/keys/{key}/rotate", MANAGE),
    ("POST", "/v1/keys/{key}/revoke", MANAGE),
    ("POST", "/v1/admin-keys", OWN),
    ("GET", "/v1/admin-keys/{admin_key}", OWN),
    ("POST", "/v1/admin-keys/{admin_key}/rotate", OWN),
    ("POST", "/v1/admin-keys/{admin_key}/revoke", OWN),
];

/// An operation on what is the caller's by itself, with the query that would make it another's.
const ON_ONES_OWN: &[(&str, &str, &str, Least)] = &[
    ("GET", "/v1/tenants", "subtree_of", READ),
    ("GET", "/v1/subscriptions", "subtree_of", READ),
    ("GET", "/v1/invoices", "tenant", READ),
    ("GET", "/v1/disputes", "tenant", READ),
    ("GET", "/v1/payouts", "tenant", READ),
    ("GET", "/v1/keys", "tenant", READ),
    ("GET", "/v1/admin-keys", "subtree_of", OWN),
    ("GET", "/v1/usage", "tenant", READ),
    ("GET", "/v1/usage/events", "tenant", READ),
    ("GET", "/v1/usage/thresholds", "tenant", READ),
    ("GET", "/v1/usage/refusals", "tenant", READ),
    ("GET", "/v1/books", "", [None, Some(Viewer), None]),
    ("GET", "/v1/books/audit", "", [None, Some(Viewer), None]),
    ("GET", "/v1/invoice-drafts", "", [None, Some(Viewer), None]),
    ("POST", "/v1/invoice-runs", "", [None, Some(Billing), None]),
    ("POST", "/v1/plan-simulations", "", [None, Some(Viewer), None]),
    ("GET", "/v1/outbox", "tenant", READ),
    ("GET", "/v1/audit", "tenant", MANAGE),
    ("GET", "/v1/plans", "", READ),
    ("GET", "/v1/plans/{plan}", "", READ),
    ("GET", "/v1/plans/{plan}/versions", "", READ),
    ("GET", "/v1/coupons", "issuer", READ),
    ("POST", "/v1/coupons", "", [None, Some(Admin), None]),
    ("POST", "/v1/coupons/{coupon}/archive", "", [None, Some(Admin), None]),
    ("PUT", "/v1/plans", "", [None, Some(Admin), None]),
    ("POST", "/v1/plans/{plan}/deprecate", "", [None, Some(Admin), None]),
    ("POST", "/v1/plans/{plan}/restore", "", [None, Some(Admin), None]),
    ("POST", "/v1/plans/{plan}/migrate", "", [None, Some(Admin), None]),
    ("PUT", "/v1/plans/{plan}/self-service", "", [None, Some(Admin), None]),
];

/// Operations on the books of the installation, which a root beside another root is refused;
/// [`super::books`] tries them where there is one root.
const AT_ONLY_ROOT: [(&str, &str); 5] = [
    ("GET", "/v1/books"),
    ("GET", "/v1/books/audit"),
    ("GET", "/v1/invoice-drafts"),
    ("POST", "/v1/invoice-runs"),
    ("POST", "/v1/plan-simulations"),
];

/// An operation that finds what is a tenant's by its secret.
const ON_SECRETS: &[(&str, &str, Least)] = &[("POST", "/v1/keys/find", READ), ("POST", "/v1/admin-keys/find", OWN)];

/// An operation whose body names two tenants; [`super::invoices`] tries it.
const ON_TWO: [(&str, &str); 1] = [("POST", "/v1/invoices")];

/// Operations that go to a payment provider, which no issuer here has: whoever may is told that.
const AT_PROVIDER: [(&str, &str); 5] = [
    ("POST", "/v1/payments/{payment}/provider-refunds"),
    ("POST", "/v1/invoices/{invoice}/payment-attempts"),
    ("POST", "/v1/invoices/{invoice}/payment-page"),
    ("POST", "/v1/tenants/{tenant}/payment-methods"),
    ("POST", "/v1/tenants/{tenant}/payment-methods/page"),
];

/// Roles by power, the most powerful last.
const ROLES: [Role; 4] = [Viewer, Billing, Admin, Owner];

fn reaches(role: Role, least: Option<Role>) -> bool {
    let rank = |role| ROLES.iter().position(|one| *one == role);
    least.is_some_and(|least| rank(role) >= rank(least))
}

fn body(method: &str, path: &str, target: TenantId, elsewhere: TenantId) -> Option<Value> {
    match (method, path) {
        ("POST", "/v1/tenants") => Some(json!({ "name": "New", "parent": target, "kind": "reseller" })),
        ("PATCH", _) => Some(json!({ "name": "Changed" })),
        ("POST", "/v1/tenants/{tenant}/move") => Some(json!({ "parent": elsewhere })),
        ("POST", "/v1/tenants/{tenant}/subscriptions") => Some(json!({ "plan": "starter" })),
        ("POST", "/v1/tenants/{tenant}/subscriptions/pause" | "/v1/tenants/{tenant}/subscriptions/resume") => {
            Some(json!({}))
        }
        ("PUT", "/v1/tenants/{tenant}/add-ons") => Some(json!({ "plan": "seat", "quantity": 1 })),
        ("POST", "/v1/tenants/{tenant}/coupons") => Some(json!({ "code": "WALK" })),
        ("POST", "/v1/coupons") => Some(json!({ "code": "NEW", "percent": "5", "duration": "once" })),
        ("POST", "/v1/tenants/{tenant}/credit") => Some(json!({ "meter": "tokens", "units": 1 })),
        ("POST", "/v1/usage/events") => Some(json!({
            "specversion": "1.0", "id": target, "source": "/walk", "type": "tokens", "subject": target,
        })),
        ("POST", "/v1/usage/events/amend") => Some(
            json!({ "subject": target, "source": format!("/walk/{target}"), "id": "amend", "units": 2, "reason": "walk" }),
        ),
        ("POST", "/v1/usage/events/revert") => {
            Some(json!({ "subject": target, "source": format!("/walk/{target}"), "id": "revert", "reason": "walk" }))
        }
        ("POST", "/v1/tenants/{tenant}/webhook-endpoints") => {
            Some(json!({ "name": "New", "url": "https://example.com/hooks" }))
        }
        ("POST", "/v1/tenants/{tenant}/webhook-endpoints/{endpoint}/rotate") => Some(json!({ "grace_seconds": 60 })),
        ("POST", "/v1/tenants/{tenant}/webhook-endpoints/{endpoint}/replay") => {
            Some(json!({ "since": "2026-01-01T00:00:00Z" }))
        }
        ("PUT", "/v1/tenants/{tenant}/members") => Some(json!({ "members": [] })),
        ("POST", "/v1/plan-simulations") => Some(json!({
            "plan": { "id": "walk", "name": "Walk", "currency": "USD", "flat_fee": "0", "charges": [] }, "from": "2026-10",
        })),
        ("PUT", "/v1/tenants/{tenant}/mail") => Some(json!({ "language": "de" })),
        ("PUT", "/v1/tenants/{tenant}/budgets/{scope}") => Some(json!({ "amount": 1, "currency": "USD" })),
        ("PUT", "/v1/tenants/{tenant}/wallet") => Some(json!({ "currency": "CHF", "overdraft": 1 })),
        ("POST", "/v1/tenants/{tenant}/wallet/grants") => {
            Some(json!({ "amount": 1, "currency": "CHF", "kind": "paid" }))
        }
        ("POST", "/v1/tenants/{tenant}/wallet/grants/{grant}/void") => Some(json!({ "reason": "walk" })),
        ("PUT", "/v1/tenants/{tenant}/branding") => Some(json!({ "colour": "#000000" })),
        ("PUT", "/v1/tenants/{tenant}/billing-details") => Some(json!({ "legal_name": "Somebody Ltd" })),
        ("POST", "/v1/invoices/{invoice}/payments" | "/v1/payments/{payment}/refund") => {
            // References of an issuer count once.
            Some(json!({ "amount": "1.00", "reference": SystemClock.now().to_string() }))
        }
        ("POST", "/v1/invoices/{invoice}/payment-attempts") => None,
        ("POST", "/v1/payments/{payment}/provider-refunds") => Some(json!({ "amount": "1.00" })),
        ("POST", "/v1/tenants/{tenant}/payment-methods") => Some(json!({ "method": "pm_1" })),
        ("POST", "/v1/tenants/{tenant}/payment-methods/page" | "/v1/invoices/{invoice}/payment-page") => {
            Some(json!({ "back_to": "https://example.com" }))
        }
        ("POST", "/v1/bank-entries/{entry}/ignore") => Some(json!({ "reason": "a test" })),
        ("POST", path) if path.contains("{invoice}") => Some(json!({ "reason": "a test" })),
        ("POST", "/v1/keys") => Some(json!({ "tenant": target, "name": "New" })),
        ("POST", "/v1/invoice-runs" | "/v1/keys/{key}/rotate" | "/v1/admin-keys/{admin_key}/rotate") => Some(json!({})),
        ("POST", "/v1/admin-keys") => Some(json!({ "tenant": target, "name": "New", "role": "viewer" })),
        ("PUT", "/v1/plans/{plan}/self-service") => Some(json!({ "allowed": true })),
        ("POST", "/v1/tenants/{tenant}/plan-choice") => Some(json!({ "plan": "starter" })),
        ("POST", "/v1/tenants/{tenant}/wallet/top-ups") => Some(json!({ "amount": 500, "currency": "SEK" })),
        ("POST", "/v1/portal/sessions") => Some(json!({ "tenant": target, "user": "walk", "role": "viewer" })),
        ("PUT", "/v1/plans") => Some(json!({ "plans": [] })),
        ("POST", "/v1/plans/{plan}/migrate") => Some(json!({ "starts": "now" })),
        _ => None,
    }
}

/// The body, of which something may have to be made first.
async fn body_for(
    fixture: &Fixture,
    (method, path): (&str, &str),
    target: TenantId,
    elsewhere: TenantId,
) -> Option<Value> {
    if path.ends_with("/assign") {
        return Some(json!({ "invoice": invoice_of(fixture, target).await }));
    }
    body(method, path, target, elsewhere)
}

async fn send(caller: &Caller<'_>, method: &str, path: &str, body: Option<Value>) -> Answer {
    if path.ends_with("/bank-statements") {
        let statement = "account,date,amount,currency,text\n".to_owned();
        return caller.with("content-type", "text/csv").send(Method::POST, path, Some(statement)).await;
    }
    caller.send(method.parse::<Method>().unwrap(), path, body.map(|body| body.to_string())).await
}

fn assert_told(answer: &Answer, may: bool, what: &str) {
    if may {
        assert!(answer.status.is_success(), "{what} is allowed: {answer:?}");
    } else {
        assert_eq!(answer.status, 403, "{what} is not allowed: {answer:?}");
    }
}

#[tokio::test]
async fn every_role_at_every_place_may_do_exactly_what_this_table_says() {
    let fixture = Fixture::with_documents(60).await;
    for role in ROLES {
        for (at, own) in [(fixture.partner, 0), (fixture.root, 1)] {
            let caller = fixture.caller(at, role).await;
            for (method, path, least) in ON_TENANTS {
                let child = tenant(&fixture.store, Some(at), TenantKind::Reseller, "Child", None).await.id;
                let near = tenant(&fixture.store, Some(at), TenantKind::Reseller, "Near", None).await.id;
                for (target, least, how) in [(at, least[own], "own"), (child, least[2], "child")] {
                    let (what, operation) = (format!("{method} {path} by {role} at {at} to {how}"), *path);
                    let body = body_for(&fixture, (method, path), target, near).await;
                    let path = path_for(&fixture, path, target).await;
                    let (answer, may) = (send(&caller, method, &path, body).await, reaches(role, least));
                    if may && AT_PROVIDER.contains(&(*method, operation)) {
                        assert_eq!(answer.status, 409, "{what}: {answer:?}");
                    } else {
                        assert_told(&answer, may, &what);
                    }
                }
                let outside: &[TenantId] = if own == 0 {
                    &[fixture.rival, fixture.root, fixture.stranger]
                } else {
                    &[fixture.other_root, fixture.stranger]
                };
                for target in outside {
                    let body = body_for(&fixture, (method, path), *target, near).await;
                    let path = path_for(&fixture, path, *target).await;
                    let answer = send(&caller, method, &path, body).await;
                    assert_eq!(answer.status, 404, "{method} {path} by {role} at {at}: {answer:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn lists_show_the_callers_subtree_and_plans_up_to_the_root() {
    let fixture = Fixture::open().await;
    for role in ROLES {
        for (at, own) in [(fixture.partner, 0), (fixture.root, 1)] {
            let caller = fixture.caller(at, role).await;
            for (method, path, query, least) in ON_ONES_OWN {
                let what = format!("{method} {path} by {role} at {at}");
                let is_of_installation = AT_ONLY_ROOT.contains(&(*method, *path));
                let (may, body) = (reaches(role, least[own]) && !is_of_installation, body(method, path, at, at));
                let path = path_for(&fixture, path, at).await;
                assert_told(&send(&caller, method, &path, body).await, may, &what);
                if !query.is_empty() && may {
                    let shop = send(&caller, method, &format!("{path}?{query}={}", fixture.shop), None).await;
                    assert!(shop.status.is_success(), "{what} of the shop: {shop:?}");
                    let stranger = send(&caller, method, &format!("{path}?{query}={}", fixture.stranger), None).await;
                    assert_eq!(stranger.status, 404, "{what} of a stranger: {stranger:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn secret_is_looked_up_within_the_subtree_and_never_shown() {
    let fixture = Fixture::open().await;
    for (path, least) in ON_SECRETS.iter().map(|(_, path, least)| (*path, least)) {
        for role in ROLES {
            for (at, own) in [(fixture.partner, 0), (fixture.root, 1)] {
                let caller = fixture.caller(at, role).await;
                for (target, may, there) in [
                    (at, reaches(role, least[own]), true),
                    (fixture.shop, reaches(role, least[2]), true),
                    (fixture.stranger, reaches(role, least[2]), false),
                ] {
                    let secret = secret_of(&fixture, path, target).await;
                    let answer = caller.post(path, json!({ "secret": secret })).await;
                    let expected = if !may {
                        403
                    } else if there {
                        200
                    } else {
                        404
                    };
                    assert_eq!(answer.status, expected, "{path} by {role} at {at} of {target}: {answer:?}");
                    assert!(!answer.text.contains(&secret), "{answer:?}");
                    if answer.status == 200 {
                        assert_eq!(answer.document(200)["tenant"], target.to_string());
                    }
                }
            }
        }
    }
    // What cannot be read is not quoted either, and a secret of nobody is like one of a stranger.
    let owner = fixture.owner().await;
    let secret = secret_of(&fixture, "/v1/keys/find", fixture.stranger).await;
    let strangers = owner.post("/v1/keys/find", json!({ "secret": secret })).await.problem(404, "not_found");
    let nobodys = common::key::Secret::generate(common::key::Mode::Live).expose().to_owned();
    let unknown = owner.post("/v1/keys/find", json!({ "secret": nobodys })).await.problem(404, "not_found");
    assert_eq!(strangers, unknown);
    for body in [json!(secret), json!([secret]), json!({ secret.clone(): 1 }), json!({ "secret": [secret] })] {
        for path in ["/v1/keys/find", "/v1/admin-keys/find"] {
            let refused = owner.post(path, body.clone()).await;
            refused.problem(400, "body_invalid");
            assert!(!refused.text.contains(&secret[8..]), "{refused:?}");
        }
    }
    let garbled = owner.post("/v1/keys/find", json!({ "secret": format!("{secret}x") })).await;
    garbled.problem(404, "not_found");
    assert!(!garbled.text.contains(&secret[8..]), "{garbled:?}");
}

/// The secret of a key, or an admin key, that the tenant has now.
async fn secret_of(fixture: &Fixture, path: &str, target: TenantId) -> String {
    let of_machine = path.contains("admin");
    let owner = fixture.caller(target, Owner).await;
    let (path, body) = if of_machine {
        ("/v1/admin-keys", json!({ "tenant": target, "name": "leaked", "role": "viewer" }))
    } else {
        ("/v1/keys", json!({ "tenant": target, "name": "leaked" }))
    };
    owner.post(path, body).await.document(201)["secret"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn table_covers_every_operation_and_none_is_open_by_mistake() {
    let walked: BTreeSet<(&str, &str)> = ON_TENANTS
        .iter()
        .map(|(method, path, _)| (*method, *path))
        .chain(ON_ONES_OWN.iter().map(|(method, path, _, _)| (*method, *path)))
        .chain(ON_SECRETS.iter().map(|(method, path, _)| (*method, *path)))
        .chain(ON_TWO)
        .collect();
    let with_roles = RULES.iter().filter(|rule| matches!(rule.needs, Needs::Role(_)));
    assert_eq!(walked, with_roles.map(|rule| (rule.method, rule.path)).collect());
    let without: Vec<_> = RULES
        .iter()
        .filter(|rule| !matches!(rule.needs, Needs::Role(_)))
        .map(|rule| format!("{} {}", rule.method, rule.path))
        .collect();
    let expected = [
        "GET /health",
        "GET /metrics",
        "GET /openapi.json",
        "GET /docs",
        "POST /v1/usage/batches",
        "GET /v1/me",
        "POST /v1/sessions",
        "DELETE /v1/sessions",
        "POST /v1/sessions/redeem",
        "POST /v1/sessions/mail",
        "GET /v1/sessions/ways",
        "GET /v1/sessions/oidc",
        "GET /v1/sessions/oidc/callback",
        "GET /v1/sessions/current",
        "DELETE /v1/sessions/current",
        "POST /v1/providers/stripe/{issuer}/events",
    ];
    assert_eq!(without, expected);

    let fixture = Fixture::open().await;
    let nobody = fixture.with_secret("");
    for (method, path) in walked {
        let answer = send(&nobody, method, &path_for(&fixture, path, fixture.shop).await, None).await;
        answer.problem(401, "unauthorized");
    }
    nobody.get("/v1/me").await.problem(401, "unauthorized");
}
