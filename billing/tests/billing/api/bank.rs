//! `/v1/tenants/{tenant}/bank-statements` and `/v1/bank-entries`, and exports of what they leave in the books.

use common::admin::Role;
use reqwest::Method;
use serde_json::json;

use super::fixture::Fixture;
use crate::topic::deployments;

const STATEMENT: &str = r#"<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt>
    <Acct><Id><IBAN>DE89370400440532013000</IBAN></Id></Acct>
    <Ntry><Amt Ccy="USD">12.50</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
    <BookgDt><Dt>2026-11-20</Dt></BookgDt><AcctSvcrRef>A1</AcctSvcrRef>
    <NtryDtls><TxDtls><RmtInf><Ustrd>inv 1, thank you</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>
    </Stmt></BkToCstmrStmt></Document>"#;

const TABLE: &str = "Datum;Betrag;Text\n20.11.2026;1.000,00;deposit\n20.11.2026;-3,00;fee\n";

#[tokio::test]
async fn statement_is_imported_once_and_a_person_decides_about_the_rest() {
    for deployment in deployments() {
        let fixture = Fixture::at(deployment).await;
        let owner = fixture.owner().await;
        let lines = json!([{ "description": "Work", "amount": "10.00" }]);
        let body = json!({ "tenant": fixture.partner, "currency": "USD", "lines": lines });
        let invoice = owner.post("/v1/invoices", body).await.document(201);
        let path = format!("/v1/tenants/{}/bank-statements", fixture.root);
        let xml = owner.with("content-type", "application/xml; charset=utf-8");
        let import = async || xml.send(Method::POST, &path, Some(STATEMENT.into())).await.document(200);
        let done = import().await;
        assert_eq!((&done["recorded"], &done["known"]), (&json!(1), &json!(0)));
        assert_eq!(import().await["known"], 1);
        let paid = owner.get(&format!("/v1/invoices/{}", invoice["id"].as_str().unwrap())).await.document(200);
        assert_eq!((&paid["status"], &paid["open"]["minor"]), (&json!("paid"), &json!(0)));
        let wallet = owner.get(&format!("/v1/tenants/{}/wallet", fixture.partner)).await.document(200);
        assert_eq!(wallet["wallets"][0]["balance"], 250, "what is more than is open");

        let csv = owner.with("content-type", "text/csv");
        let profile = "account=DE1&currency=USD&decimal=,&date_format=DD.MM.YYYY&date_column=Datum&amount_column=Betrag&text_columns=Text";
        let done = csv.send(Method::POST, &format!("{path}?{profile}"), Some(TABLE.into())).await.document(200);
        assert_eq!((&done["open"], &done["debits"]), (&json!(1), &json!(1)));
        let list = format!("/v1/tenants/{}/bank-entries?status=open", fixture.root);
        let entry = owner.get(&list).await.document(200)["items"][0].clone();
        assert_eq!((&entry["open_reason"], &entry["text"]), (&json!("no_reference"), &json!("deposit")));
        let entry = format!("/v1/bank-entries/{}", entry["id"].as_str().unwrap());
        let both = json!({ "invoice": invoice["id"], "tenant": fixture.partner });
        owner.post(&format!("{entry}/assign"), both).await.problem(422, "refused");
        owner.post(&format!("{entry}/assign"), json!({ "invoice": invoice["id"] })).await.problem(409, "conflict");
        let assigned = owner.post(&format!("{entry}/assign"), json!({ "tenant": fixture.partner })).await.document(200);
        assert_eq!(
            (&assigned["status"], &assigned["uses"][0]["amount"]["amount"]),
            (&json!("assigned"), &json!("1000.00"))
        );
        owner.post(&format!("{entry}/ignore"), json!({ "reason": "late" })).await.problem(409, "conflict");
        assert_eq!(owner.get(&entry).await.document(200), assigned);
        assert_eq!(owner.get(&list).await.document(200)["items"], json!([]));
    }
}

#[tokio::test]
async fn statement_that_cannot_be_read_is_refused_and_changes_nothing() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let path = format!("/v1/tenants/{}/bank-statements", fixture.root);
    let send = async |media_type: &str, query: &str, body: String| {
        owner.with("content-type", media_type).send(Method::POST, &format!("{path}{query}"), Some(body)).await
    };
    send("application/json", "", "{}".into()).await.problem(415, "unsupported_media_type");
    let refused = send("text/xml", "", STATEMENT.replace("12.50", "12.505")).await;
    assert!(refused.problem(400, "body_invalid").contains("line 3, column 11: Amt"));
    let bomb = STATEMENT.replacen("<Document", "<!DOCTYPE a [<!ENTITY b \"c\">]><Document", 1);
    send("text/xml", "", bomb).await.problem(400, "body_invalid");
    let missing = send("text/csv", "?date_column=Tag", TABLE.into()).await;
    assert!(missing.problem(400, "parameter_invalid").contains("the column `Tag`"));
    send("text/csv", "?column=x", TABLE.into()).await.problem(400, "parameter_invalid");
    send("text/xml", "?decimal=,", STATEMENT.into()).await.problem(400, "parameter_invalid");
    send("text/xml", "", " ".repeat((16 << 20) + 1)).await.problem(413, "body_too_large");
    let entries = owner.get(&format!("/v1/tenants/{}/bank-entries", fixture.root)).await.document(200);
    assert_eq!(entries["items"], json!([]));
}

#[tokio::test]
async fn exports_are_files_with_a_name_and_a_kind() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let lines = json!([{ "description": "=1+1", "amount": "10.00" }]);
    let body = json!({ "tenant": fixture.partner, "currency": "USD", "lines": lines });
    owner.post("/v1/invoices", body).await.document(201);
    let of = |noun: &str| format!("/v1/tenants/{}/{noun}/export", fixture.root);
    let year = "&consultant=1001&client=1&currency=USD&from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z";
    let ledger = of("ledger");
    for (path, kind, name, part) in [
        (ledger.clone(), "text/csv", "ledger.csv", "receivable,USD,10.00,"),
        (format!("{ledger}?format=beancount"), "text/plain", "ledger.beancount", "Assets:Receivable  10.00 USD"),
        (format!("{ledger}?format=datev{year}"), "text/csv", "EXTF_Buchungsstapel.csv", "\"EXTF\";700;21"),
        (of("invoices"), "text/csv", "invoices.csv", "INV-000001,one_off,finalized"),
        (format!("{}?table=lines", of("invoices")), "text/csv", "invoice-lines.csv", ",'=1+1,"),
        (format!("{}?subtree=true", of("usage")), "text/csv", "focus.csv", "10.00,"),
    ] {
        let answer = owner.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert!(answer.header("content-type").starts_with(kind), "{path}: {answer:?}");
        assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"{name}\""));
        assert!(answer.text.contains(part), "{path}: {}", answer.text);
    }
    for (query, part) in [
        ("?format=datev", "consultant"),
        ("?format=datev&consultant=1001&client=1", "from"),
        ("?format=beancount&accounts=vault=1", "is not an account"),
        ("?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "before `to`"),
    ] {
        let refused = owner.get(&format!("{ledger}{query}")).await;
        assert!(refused.problem(400, "parameter_invalid").contains(part), "{query}");
    }
    let viewer = fixture.caller(fixture.partner, Role::Viewer).await;
    let own = viewer.get(&format!("/v1/tenants/{}/invoices/export?side=owed", fixture.partner)).await;
    assert!(own.status == 200 && own.text.contains("INV-000001"), "{own:?}");
    viewer.get(&format!("/v1/tenants/{}/ledger/export", fixture.partner)).await.problem(403, "forbidden");
    viewer.get(&ledger).await.problem(404, "not_found");
}
