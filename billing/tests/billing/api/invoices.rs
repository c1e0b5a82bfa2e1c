//! `/v1/invoices` and what belongs to it: who sees and changes what, and the answers to errors.

use common::admin::Role;
use serde_json::{Value, json};

use super::fixture::{Caller, Fixture};
use crate::topic::deployments;

/// A one-off invoice of the owner of the root.
async fn issue(caller: &Caller<'_>, tenant: common::id::TenantId, amount: &str) -> Value {
    let body = json!({ "tenant": tenant, "currency": "USD", "lines": [{ "description": "Work", "amount": amount }] });
    caller.post("/v1/invoices", body).await.document(201)
}

fn path(invoice: &Value, rest: &str) -> String {
    format!("/v1/invoices/{}{rest}", invoice["id"].as_str().unwrap())
}

#[tokio::test]
async fn invoice_is_issued_once_paid_credited_and_refunded() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
        let owner = fixture.owner().await;
        let details = json!({ "legal_name": "Partner Ltd", "tax": { "treatment": "exclusive", "percent": "20" } });
        let of_partner = format!("/v1/tenants/{}/billing-details", fixture.partner);
        assert_eq!(
            owner.put(&of_partner, details.clone()).await.document(200),
            owner.get(&of_partner).await.document(200)
        );

        let lines = json!([{ "description": "Onboarding", "amount": "500.00" }, { "description": "Deduction", "amount": "-50" }]);
        let body = json!({ "tenant": fixture.partner, "currency": "USD", "lines": lines });
        let named = owner.with("idempotency-key", "invoice-1");
        let invoice = named.post("/v1/invoices", body.clone()).await.document(201);
        assert_eq!(
            (&invoice["number"], &invoice["total"]),
            (&json!("INV-000001"), &json!({ "amount": "540.00", "minor": 54_000 }))
        );
        assert_eq!(
            (&invoice["buyer"]["name"], &invoice["taxes"][0]["tax"]["amount"]),
            (&json!("Partner Ltd"), &json!("90.00"))
        );
        let again = named.post("/v1/invoices", body).await;
        assert_eq!(
            (again.document(200)["id"].clone(), again.header("idempotency-replayed")),
            (invoice["id"].clone(), "true")
        );
        assert_eq!(owner.get(&path(&invoice, "")).await.document(200), invoice);

        let transfer = json!({ "amount": "540.00", "reference": "line 7" });
        let payment = owner.post(&path(&invoice, "/payments"), transfer.clone()).await.document(200);
        assert_eq!(owner.post(&path(&invoice, "/payments"), transfer).await.document(200), payment, "once");
        let note = json!({ "lines": [{ "line": 0, "amount": "100.00" }], "reason": "goodwill" });
        let note = owner.post(&path(&invoice, "/credit-notes"), note).await.document(201);
        assert_eq!((&note["number"], &note["total"]["amount"]), (&json!("INV-CN-000001"), &json!("120.00")));
        let refund = format!("/v1/payments/{}/refund", payment["id"].as_str().unwrap());
        let back = |amount: &str| json!({ "amount": amount, "reference": "back" });
        assert!(owner.post(&refund, back("120.01")).await.problem(409, "conflict").contains("120.00 USD"));
        assert_eq!(owner.post(&refund, back("120.00")).await.document(200)["amount"]["minor"], -12_000);
        let listed = owner.get(&path(&invoice, "/payments")).await.document(200);
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(2));
        let ledger = |rest: &str| format!("/v1/tenants/{}/ledger/{rest}", fixture.partner);
        let balances = owner.get(&ledger("balances")).await.document(200);
        let shown: Vec<_> = balances["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["account"].as_str().unwrap(), one["balance"]["minor"].as_i64().unwrap()))
            .collect();
        assert_eq!(shown, [("cash", 42_000), ("receivable", 0), ("revenue", -35_000), ("tax", -7_000)]);
        let entries = owner.get(&ledger("entries?account=receivable&limit=2")).await.document(200);
        assert_eq!((&entries["items"][0]["cause"], entries["next_cursor"].is_string()), (&json!("invoice"), true));
        let trial = owner.get(&format!("/v1/tenants/{}/ledger/trial-balance", fixture.root)).await.document(200);
        assert_eq!(trial["items"].as_array().map(Vec::len), Some(4));
    }
}

#[tokio::test]
async fn debtor_reads_an_invoice_and_its_issuer_alone_changes_it() {
    let fixture = Fixture::open().await;
    let invoice = issue(&fixture.owner().await, fixture.partner, "10.00").await;
    let partner = fixture.caller(fixture.partner, Role::Owner).await;
    assert_eq!(partner.get(&path(&invoice, "")).await.document(200)["number"], "INV-000001");
    let reason = json!({ "reason": "x" });
    for (rest, body) in [
        ("/void", reason.clone()),
        ("/write-off", reason.clone()),
        ("/credit-notes", reason.clone()),
        ("/payments", json!({ "amount": "10.00", "reference": "a" })),
    ] {
        let refused = partner.post(&path(&invoice, rest), body.clone()).await.problem(403, "forbidden");
        assert!(refused.contains("only the issuer"), "{refused}");
        fixture
            .caller(fixture.shop, Role::Owner)
            .await
            .post(&path(&invoice, rest), body.clone())
            .await
            .problem(404, "not_found");
        fixture
            .caller(fixture.root, Role::Viewer)
            .await
            .post(&path(&invoice, rest), body)
            .await
            .problem(403, "forbidden");
    }
    for tenant in [fixture.rival, fixture.stranger, fixture.other_root] {
        let other = fixture.caller(tenant, Role::Owner).await;
        other.get(&path(&invoice, "")).await.problem(404, "not_found");
        assert_eq!(other.get("/v1/invoices").await.document(200)["items"], json!([]));
    }
    // A reseller issues to its own customers, and to nobody else.
    let retail = issue(&partner, fixture.shop, "20.00").await;
    assert_eq!(retail["issuer"]["tenant"], json!(fixture.partner));
    let body = json!({ "tenant": fixture.rival, "currency": "USD", "lines": [{ "description": "x", "amount": "1" }] });
    partner.post("/v1/invoices", body).await.problem(404, "not_found");
    let body = json!({ "tenant": fixture.shop, "currency": "USD", "lines": [{ "description": "x", "amount": "1" }] });
    fixture
        .caller(fixture.partner, Role::Viewer)
        .await
        .post("/v1/invoices", body.clone())
        .await
        .problem(403, "forbidden");
    fixture.caller(fixture.partner, Role::Billing).await.post("/v1/invoices", body).await.document(201);
    let shop = fixture.caller(fixture.shop, Role::Viewer).await;
    let seen = shop.get("/v1/invoices").await.document(200);
    assert_eq!((seen["items"].as_array().map(Vec::len), &seen["items"][0]["id"]), (Some(2), &retail["id"]));
}

#[tokio::test]
async fn bodies_that_make_no_sense_are_refused_with_their_field() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let line = |amount: &str| json!([{ "description": "x", "amount": amount }]);
    for (lines, field) in [
        (json!([]), "lines: "),
        (line("1.001"), "lines[0].amount: "),
        (line("1e3"), "lines[0].amount: "),
        (line("99999999999999999999"), "lines[0].amount: "),
        (json!([{ "description": " ", "amount": "1" }]), "lines[0].description: "),
    ] {
        let body = json!({ "tenant": fixture.partner, "currency": "USD", "lines": lines });
        let answer = owner.post("/v1/invoices", body).await;
        assert!(matches!(answer.status.as_u16(), 400 | 422) && answer.text.contains(field), "{answer:?}");
    }
    let details = format!("/v1/tenants/{}/billing-details", fixture.partner);
    let tax = |percent: &str| json!({ "tax": { "treatment": "exclusive", "percent": percent } });
    assert!(owner.put(&details, tax("-1")).await.problem(422, "refused").contains("tax.percent"));
    assert!(owner.put(&details, tax("100.5")).await.problem(422, "refused").contains("tax.percent"));
    owner.put(&details, json!({ "vat": "x" })).await.problem(400, "body_invalid");
    let invoice = issue(&owner, fixture.partner, "10.00").await;
    let credit = |lines: Value| json!({ "lines": lines, "reason": "x" });
    for (lines, status, text) in [
        (json!([{ "line": 0, "amount": "10.01" }]), 409, "10.00 USD of line 0 is left"),
        (json!([{ "line": 1, "amount": "1" }]), 422, "lines 0 to 0"),
        (json!([{ "line": 0, "amount": "0" }]), 422, "not above zero"),
    ] {
        let answer = owner.post(&path(&invoice, "/credit-notes"), credit(lines)).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        assert!(answer.text.contains(text), "{answer:?}");
    }
    let reason = json!({ "reason": "wrong" });
    assert_eq!(owner.post(&path(&invoice, "/void"), reason.clone()).await.document(200)["status"], "void");
    assert_eq!(owner.post(&path(&invoice, "/void"), reason.clone()).await.document(200)["status"], "void", "again");
    owner.post(&path(&invoice, "/write-off"), reason).await.problem(409, "conflict");
    owner.get("/v1/invoices/inv_1").await.problem(404, "not_found");
}

#[tokio::test]
async fn preview_shows_what_an_upgrade_would_cost_before_it_is_made() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let path = format!("/v1/tenants/{}/invoice-preview", fixture.rival);
    let current = owner.get(&path).await.document(200);
    assert_eq!((&current["current"][0]["subtotal"]["amount"], &current["changed"]), (&json!("99.00"), &json!(null)));
    let changed = owner.get(&format!("{path}?plan=business")).await.document(200);
    assert_eq!(changed["changed"][0]["plan"]["id"], "business");
    assert_eq!(changed["difference"], json!({ "amount": "200.00", "minor": 20_000 }));
    assert_eq!(owner.get(&path).await.document(200)["current"], current["current"], "nothing was changed");
    owner.get(&format!("{path}?plan=unknown")).await.problem(404, "not_found");
    fixture.caller(fixture.partner, Role::Owner).await.get(&path).await.problem(404, "not_found");
}
