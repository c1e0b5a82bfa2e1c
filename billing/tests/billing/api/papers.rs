//! PDF and XML of invoices, credit notes, receipts and statements, in the branding of their issuer:
//! judged by validators, and read as people would.

use std::{path::Path, process::Command};

use common::admin::Role;
use serde_json::{Value, json};
use servers::invoice_judge;

use super::fixture::{Caller, Fixture};
/// Longest time for a document, and for one of the test of slow templates.
const PATIENT: u32 = 60;
const IMPATIENT: u32 = 5;

/// A name in Latin, Chinese, Japanese, Korean, Arabic and Hebrew letters, with an emoji.
const NAME: &str = "Müller & Söhne 東京商事 株式会社 서울 شركة الاختبار חברה 🚀";

fn details(name: &str, country: &str, tax_id: &str) -> Value {
    let address = json!({ "lines": ["Hauptstraße 1"], "postal_code": "10115", "city": "Berlin", "country": country });
    let tax = json!({ "treatment": "exclusive", "percent": "19" });
    json!({ "legal_name": name, "address": address, "tax_id": tax_id, "email": "b@example.com", "tax": tax })
}

/// The branding of the tests: a logo, German, an account.
fn branding() -> Value {
    json!({
        "colour": "#7c2d12", "language": "de", "logo": LOGO, "payment_terms": "Zahlbar ohne Abzug.",
        "contact": { "name": "Buchhaltung", "phone": "+49 30 1234567", "email": "rechnung@example.com" },
        "bank": { "holder": "Root GmbH", "iban": "DE89370400440532013000", "bic": "COBADEFFXXX" },
        "footer": ["HRB 12345 Berlin"],
    })
}

/// A square as SVG, in base64.
const LOGO: &str = "PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciIHdpZHRoPSIxMCIgaGVpZ2h0PSIxMCI+PHJlY3Qgd2lkdGg9\
    IjEwIiBoZWlnaHQ9IjEwIiBmaWxsPSIjN2MyZDEyIi8+PC9zdmc+";

/// Sets up both sides, and issues an invoice of the root to the partner.
async fn issued(fixture: &Fixture, owner: &Caller<'_>) -> Value {
    for (tenant, details) in [
        (fixture.root, details("Root GmbH", "DE", "DE123456788")),
        (fixture.partner, details(NAME, "AT", "ATU12345675")),
    ] {
        owner.put(&format!("/v1/tenants/{tenant}/billing-details"), details).await.document(200);
    }
    owner.put(&format!("/v1/tenants/{}/branding", fixture.root), branding()).await.document(200);
    let lines: Vec<Value> = (1..=45)
        .map(|number| json!({ "description": format!("Arbeitspaket {number}"), "amount": format!("{number}.10") }))
        .collect();
    let body =
        json!({ "tenant": fixture.partner, "currency": "EUR", "lines": lines, "memo": "Danke für den Auftrag." });
    owner.post("/v1/invoices", body).await.document(201)
}

/// The text of a PDF.
fn text(pdf: &Path) -> String {
    let said = Command::new("pdftotext").args(["-layout"]).arg(pdf).arg("-").output().unwrap();
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap()
}

#[tokio::test]
async fn documents_of_an_invoice_say_what_it_says_and_keep_to_their_norms() {
    let fixture = Fixture::with_documents(PATIENT).await;
    let owner = fixture.owner().await;
    let invoice = issued(&fixture, &owner).await;
    let path = format!("/v1/invoices/{}", invoice["id"].as_str().unwrap());
    let paid = json!({ "amount": "100.00", "reference": "Überweisung 7" });
    let payment = owner.post(&format!("{path}/payments"), paid).await.document(200);
    let note = json!({ "lines": [{ "line": 0, "amount": "1.00" }], "reason": "Kulanz" });
    let note = owner.post(&format!("{path}/credit-notes"), note).await.document(201);
    let of_note = format!("{path}/credit-notes/{}", note["id"].as_str().unwrap());
    let receipt = format!("{path}/payments/{}/pdf", payment["id"].as_str().unwrap());
    let statement = format!("/v1/tenants/{}/statement/pdf?currency=EUR", fixture.partner);
    let directory = tempfile::tempdir().unwrap();
    let buyer = fixture.caller(fixture.partner, Role::Viewer).await;
    let mut files = Vec::new();
    for (name, path, texts) in [
        (
            "invoice.pdf",
            format!("{path}/pdf"),
            &[
                "Rechnung",
                "INV-000001",
                "Root GmbH",
                "Müller & Söhne 東京商事",
                "Arbeitspaket 45",
                "1.237,01 EUR",
                "Danke für",
            ][..],
        ),
        ("english.pdf", format!("{path}/pdf?language=en"), &["Invoice", "1,237.01 EUR", "Please pay"]),
        ("invoice.factur-x.pdf", format!("{path}/pdf?factur_x=true"), &["Rechnung", "1.237,01 EUR"]),
        ("invoice.ubl.xml", format!("{path}/xml"), &[]),
        ("invoice.cii.xml", format!("{path}/xml?syntax=cii"), &[]),
        ("note.pdf", format!("{of_note}/pdf"), &["Rechnungskorrektur", "INV-CN-000001", "Kulanz", "1,19 EUR"]),
        ("note.factur-x.pdf", format!("{of_note}/pdf?factur_x=true"), &["1,19 EUR"]),
        ("note.ubl.xml", format!("{of_note}/xml"), &[]),
        ("receipt.pdf", receipt, &["Zahlungsbestätigung", "Überweisung 7", "100,00 EUR"]),
        ("statement.pdf", statement, &["Kontoauszug", "1.135,82 EUR", "Überweisung 7"]),
    ] {
        let (status, kind, bytes) = buyer.bytes(&path).await;
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&bytes));
        let file = directory.path().join(name);
        std::fs::write(&file, &bytes).unwrap();
        let is_pdf = Path::new(name).extension().is_some_and(|extension| extension == "pdf");
        assert_eq!(kind, if is_pdf { "application/pdf" } else { "application/xml" }, "{path}");
        if is_pdf {
            let said = text(&file);
            for one in texts {
                assert!(said.contains(one), "{path} lacks {one}: {said}");
            }
        }
        // A statement is up to now.
        if !path.contains("statement") {
            assert!(buyer.bytes(&path).await.2 == bytes, "{path}: not the same bytes");
        }
        files.push(file);
    }
    let pages = text(&files[0]);
    assert_eq!(pages.matches("Beschreibung").count(), 2, "the head of the table is on each page: {pages}");
    assert!(pages.contains("Seite 2 von 2"), "{pages}");
    assert_eq!(invoice_judge::faults(&files).unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn branding_with_a_fault_is_refused_and_the_one_of_before_stays() {
    let fixture = Fixture::with_documents(PATIENT).await;
    let owner = fixture.owner().await;
    let path = format!("/v1/tenants/{}/branding", fixture.root);
    let good = owner.put(&path, branding()).await.document(200);
    let png_head_only = "iVBORw0KGgoAAAAA";
    for (change, status, code, said) in [
        (json!({ "logo": "bm8gaW1hZ2U=" }), 400, "body_invalid", "no image"),
        (json!({ "logo": "not base64!" }), 400, "body_invalid", "base64"),
        (json!({ "logo": png_head_only }), 422, "refused", "image"),
        (json!({ "logo": "x".repeat(50_000_000) }), 413, "body_too_large", "bytes"),
        (json!({ "template": "#set document(title: \"x\")\n\n#let broken = (" }), 422, "refused", "line 3"),
        (json!({ "template": "#json(\"data.json\").nothing" }), 422, "refused", "line 1"),
        (json!({ "template": "#read(\"/etc/passwd\")" }), 422, "refused", "line 1"),
        (json!({ "language": "xx" }), 400, "parameter_invalid", "de, en"),
        (json!({ "colour": "red" }), 422, "refused", "colour"),
    ] {
        let answer = owner.put(&path, change.clone()).await;
        let detail = answer.problem(status, code);
        assert!(detail.contains(said), "{said}: {detail}");
        assert_eq!(owner.get(&path).await.document(200), good);
    }
}

#[tokio::test]
async fn template_that_takes_for_ever_is_given_up_and_others_go_on() {
    let fixture = Fixture::with_documents(IMPATIENT).await;
    let owner = fixture.owner().await;
    let path = format!("/v1/tenants/{}/branding", fixture.root);
    let slow = "#for one in range(1000000) { for other in range(1000000) { [] } }";
    let detail = owner.put(&path, json!({ "template": slow })).await.problem(422, "refused");
    assert!(detail.contains(&format!("within {IMPATIENT} s")), "{detail}");
    let large = "#let f(s) = { if s.len() > 100000000000 { s } else { f(s + s) } }\n#f(\"0123456789\")";
    let detail = owner.put(&path, json!({ "template": large })).await.problem(422, "refused");
    assert!(detail.contains("memory") || detail.contains("within"), "{detail}");
    owner.put(&path, branding()).await.document(200);
}

#[tokio::test]
async fn invoice_without_addresses_has_a_pdf_and_no_electronic_form() {
    let fixture = Fixture::with_documents(PATIENT).await;
    let owner = fixture.owner().await;
    let lines = json!([{ "description": "Work", "amount": "1.00" }]);
    let body = json!({ "tenant": fixture.partner, "currency": "EUR", "lines": lines });
    let invoice = owner.post("/v1/invoices", body).await.document(201);
    let path = format!("/v1/invoices/{}", invoice["id"].as_str().unwrap());
    assert_eq!(owner.bytes(&format!("{path}/pdf")).await.0, 200);
    for form in ["xml", "pdf?factur_x=true"] {
        let detail = owner.get(&format!("{path}/{form}")).await.problem(422, "refused");
        assert!(detail.contains("Root has no address"), "{detail}");
    }
    let detail = owner.get(&format!("{path}/pdf?language=fr")).await.problem(400, "parameter_invalid");
    assert!(detail.contains("`fr`") && detail.contains("de, en"), "{detail}");
}

#[tokio::test]
async fn documents_without_their_program_are_unavailable_and_xml_is_not() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let lines = json!([{ "description": "Work", "amount": "1.00" }]);
    for (tenant, details) in [
        (fixture.root, details("Root GmbH", "DE", "DE123456788")),
        (fixture.partner, details("Partner", "AT", "ATU12345675")),
    ] {
        owner.put(&format!("/v1/tenants/{tenant}/billing-details"), details).await.document(200);
    }
    let body = json!({ "tenant": fixture.partner, "currency": "EUR", "lines": lines });
    let invoice = owner.post("/v1/invoices", body).await.document(201);
    let path = format!("/v1/invoices/{}", invoice["id"].as_str().unwrap());
    owner.get(&format!("{path}/pdf")).await.problem(503, "documents_unavailable");
    assert_eq!(owner.bytes(&format!("{path}/xml")).await.0, 200);
}
