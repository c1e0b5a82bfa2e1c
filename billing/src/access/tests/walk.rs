//! Every operation, role and relation: what the table says is what happens, and everything else is
//! denied.

use common::{
    admin::{AdminArea, AdminScope, Role},
    id::{AdminKeyId, BankEntryId, CreditNoteId, InvoiceId, KeyId, PaymentId, TenantId},
};
use reqwest::StatusCode;
use serde_json::Value;

use super::{Fixture, Served};
use crate::access::rules::{Grant, Needs, RULES, Rule, Target};

/// The relation of a tenant to a caller at the reseller, or at the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kin {
    Own,
    Child,
    Sibling,
    Parent,
    Foreign,
    Unknown,
}

const KIN: [Kin; 6] = [Kin::Own, Kin::Child, Kin::Sibling, Kin::Parent, Kin::Foreign, Kin::Unknown];

/// A tenant with something of each kind.
struct Place {
    kin: Kin,
    tenant: TenantId,
    key: KeyId,
    admin_key: AdminKeyId,
    invoice: InvoiceId,
    payment: PaymentId,
    entry: BankEntryId,
}

#[tokio::test]
async fn every_operation_by_every_role_at_every_relation() {
    let fixture = Fixture::open().await;
    let places = places(&fixture).await;
    let served = Served::start(fixture.access()).await;
    let mut asked = 0;
    for own in [fixture.tree.reseller, fixture.tree.root] {
        let is_root = own == fixture.tree.root;
        for role in Role::ALL {
            let (_, token) = fixture.machine(own, role, &[]).await;
            for rule in RULES {
                let Needs::Role(grant) = &rule.needs else { continue };
                for place in &places {
                    let kin = seen_from(place, own, &fixture);
                    let expected = expected(*grant, role, kin, is_root);
                    let response = served.ask(rule.method, &path(rule, *grant, place), &token).await;
                    assert_eq!(
                        response.status(),
                        expected,
                        "{} {} by {role} of {} to {kin:?}",
                        rule.method,
                        rule.path,
                        if is_root { "the root" } else { "a reseller" },
                    );
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 1_500, "{asked}");
}

/// The same rule, said again without the table's helpers.
fn expected(grant: Grant, role: Role, kin: Kin, is_root: bool) -> StatusCode {
    let least = match (grant.target, kin) {
        (Target::Own, _) | (_, Kin::Own) => {
            if is_root {
                grant.own_root
            } else {
                grant.own
            }
        }
        (_, Kin::Child) => grant.below,
        _ => return StatusCode::NOT_FOUND,
    };
    let enough = match least {
        None => &[][..],
        Some(Role::Owner) => &[Role::Owner][..],
        Some(Role::Admin) => &[Role::Owner, Role::Admin],
        Some(Role::Billing) => &[Role::Owner, Role::Admin, Role::Billing],
        Some(Role::Viewer) => &Role::ALL,
    };
    if enough.contains(&role) { StatusCode::OK } else { StatusCode::FORBIDDEN }
}

fn seen_from(place: &Place, own: TenantId, fixture: &Fixture) -> Kin {
    match place.kin {
        _ if place.tenant == own => Kin::Own,
        Kin::Foreign | Kin::Unknown => place.kin,
        // Everybody else of the tree is below its root.
        _ if own == fixture.tree.root => Kin::Child,
        kin => kin,
    }
}

fn path(rule: &Rule, grant: Grant, place: &Place) -> String {
    let path = rule
        .path
        .replace("{tenant}", &place.tenant.to_string())
        .replace("{key}", &place.key.to_string())
        .replace("{admin_key}", &place.admin_key.to_string())
        .replace("{invoice}", &place.invoice.to_string())
        .replace("{payment}", &place.payment.to_string())
        .replace("{credit_note}", &CreditNoteId::generate().to_string())
        .replace("{coupon}", "SPRING-26")
        .replace("{scope}", "subtree")
        .replace("{payout}", "pyo_01jd0000000000000000000001")
        .replace("{endpoint}", "whk_01jd0000000000000000000001")
        .replace("{entry}", &place.entry.to_string())
        .replace("{message}", "msg_01jd0000000000000000000001")
        .replace("{plan}", "starter");
    if grant.target == Target::Body { format!("{path}?tenant={}", place.tenant) } else { path }
}

async fn places(fixture: &Fixture) -> Vec<Place> {
    let tree = &fixture.tree;
    let mut places = Vec::new();
    for kin in KIN {
        let tenant = match kin {
            Kin::Own => tree.reseller,
            Kin::Child => tree.customer,
            Kin::Sibling => tree.sibling,
            Kin::Parent => tree.root,
            Kin::Foreign => tree.foreign,
            Kin::Unknown => {
                places.push(Place {
                    kin,
                    tenant: TenantId::generate(),
                    key: KeyId::generate(),
                    admin_key: AdminKeyId::generate(),
                    invoice: InvoiceId::generate(),
                    payment: PaymentId::generate(),
                    entry: BankEntryId::generate(),
                });
                continue;
            }
        };
        let (admin_key, _) = fixture.machine(tenant, Role::Viewer, &[]).await;
        let (invoice, payment) = fixture.paid_invoice(tenant).await;
        let (key, entry) = (fixture.api_key(tenant).await, fixture.bank_entry(tenant).await);
        places.push(Place { kin, tenant, key, admin_key, invoice, payment, entry });
    }
    places
}

#[tokio::test]
async fn foreign_resource_looks_missing() {
    let fixture = Fixture::open().await;
    let served = Served::start(fixture.access()).await;
    let (_, token) = fixture.machine(fixture.tree.reseller, Role::Owner, &[]).await;
    let said = async |id: String| {
        let response = served.ask("GET", &format!("/v1/tenants/{id}"), &token).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{id}");
        let body: Value = response.json().await.unwrap();
        body.to_string().replace(&id, "ID")
    };
    let unknown = said(TenantId::generate().to_string()).await;
    for theirs in [fixture.tree.root, fixture.tree.sibling, fixture.tree.foreign] {
        assert_eq!(said(theirs.to_string()).await, unknown);
    }
    assert_eq!(said("acme".into()).await, unknown, "what is no id names nothing");
}

#[tokio::test]
async fn operation_without_a_rule_is_denied_to_everybody() {
    let fixture = Fixture::open().await;
    let served = Served::start(fixture.access()).await;
    let (_, token) = fixture.machine(fixture.tree.root, Role::Owner, &[]).await;
    assert_eq!(served.ask("GET", "/v1/rowless", &token).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn scoped_key_may_do_only_what_its_scopes_allow() {
    let fixture = Fixture::open().await;
    let served = Served::start(fixture.access()).await;
    let place = &places(&fixture).await[0];
    for area in AdminArea::ALL {
        for held in [AdminScope::read(area), AdminScope::write(area)] {
            let (_, token) = fixture.machine(fixture.tree.root, Role::Owner, &[held]).await;
            for rule in RULES {
                let Needs::Role(grant) = &rule.needs else { continue };
                let response = served.ask(rule.method, &path(rule, *grant, place), &token).await;
                let allowed = response.status() == StatusCode::OK;
                let reached = expected(*grant, Role::Owner, Kin::Child, true) == StatusCode::OK;
                let covered = grant.scope.area == area && (held.writes || !grant.scope.writes);
                assert_eq!(allowed, covered && reached, "{} {} with {held}", rule.method, rule.path);
            }
        }
    }
}

#[test]
fn operations_have_one_rule_and_changes_need_a_write_scope() {
    for (place, rule) in RULES.iter().enumerate() {
        let again = RULES.iter().skip(place + 1).any(|other| other.method == rule.method && other.path == rule.path);
        assert!(!again, "{} {}", rule.method, rule.path);
        if let Needs::Role(grant) = &rule.needs {
            // A secret to be found stands in a body, never in a path that proxies log; so does a plan to be
            // tried.
            let reads = rule.method == "GET" || rule.path.ends_with("/find") || rule.path.ends_with("-simulations");
            assert_eq!(grant.scope.writes, !reads, "{} {}", rule.method, rule.path);
            let names = |name: &str| rule.path.contains(name);
            assert_eq!(grant.target == Target::Tenant, names("{tenant}"), "{}", rule.path);
            assert_eq!(grant.target == Target::Key, names("{key}"), "{}", rule.path);
            assert_eq!(grant.target == Target::AdminKey, names("{admin_key}"), "{}", rule.path);
            let of_invoice = matches!(grant.target, Target::Invoice | Target::InvoiceIssuer);
            assert_eq!(of_invoice, names("{invoice}"), "{}", rule.path);
            let is_changed = grant.target == Target::InvoiceIssuer;
            // Whoever owes an invoice may pay it, and change nothing else of it.
            let pays = (names("/payment-attempts") || names("/payment-page")) && grant.scope.writes;
            assert!(!of_invoice || pays || is_changed == grant.scope.writes, "only the issuer changes: {}", rule.path);
            assert_eq!(grant.target == Target::BankEntry, names("{entry}"), "{}", rule.path);
            let of_payment = names("{payment}") && !names("{invoice}");
            assert_eq!(grant.target == Target::PaymentIssuer, of_payment, "{}", rule.path);
        }
    }
}
