//! Wallets on the command line.

use serde_json::json;

use crate::fixture::{Fixture, text};

/// The words of a command on the wallet of a tenant.
fn wallet<'a>(tenant: &'a str, words: &[&'a str]) -> Vec<&'a str> {
    [&["wallet"], words, &["--tenant", tenant]].concat()
}

#[tokio::test]
async fn money_is_granted_shown_and_taken_back() {
    let fixture = Fixture::new().await;
    let tenant = fixture.root();
    let grant = ["grant", "--amount", "25.50", "--currency", "USD", "--reference", "order-1"];
    let first = fixture.json(&wallet(&tenant, &grant));
    assert_eq!((&first["amount"], &first["left"], &first["kind"]), (&json!(2_550), &json!(2_550), &json!("paid")));
    assert_eq!(fixture.json(&wallet(&tenant, &grant))["id"], first["id"], "again, and nothing is granted");
    let other = wallet(&tenant, &["grant", "--amount", "1", "--currency", "USD", "--reference", "order-1"]);
    assert_eq!(fixture.keyctl(&other).code, 4);
    for faulty in [
        &["grant", "--amount", "1.005", "--currency", "USD"][..],
        &["grant", "--amount", "1", "--currency", "Dollar"],
        &["grant", "--amount", "1", "--currency", "USD", "--kind", "stolen"],
        &["policy", "--currency", "USD", "--below", "5"],
    ] {
        assert_eq!(fixture.keyctl(&wallet(&tenant, faulty)).code, 2, "{faulty:?}");
    }
    assert_eq!(fixture.keyctl(&wallet(&tenant, &["grant", "--amount", "0", "--currency", "USD"])).code, 4);
    let given = ["grant", "--amount", "300", "--currency", "JPY", "--kind", "promotional", "--priority", "0"];
    assert_eq!(fixture.json(&wallet(&tenant, &given))["amount"], 300);

    let shown = fixture.json(&wallet(&tenant, &["show"]));
    let balances: Vec<_> = shown["wallets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (text(&one["currency"]), one["balance"].clone()))
        .collect();
    assert_eq!(balances, [("JPY".to_owned(), json!(300)), ("USD".to_owned(), json!(2_550))]);
    let table = fixture.keyctl(&wallet(&tenant, &["show"])).stdout;
    assert!(table.contains("25.50") && table.contains("300"), "{table}");
    assert_eq!(fixture.json(&wallet(&tenant, &["show", "--at", "2020-01-01T00:00:00Z"]))["wallets"][0]["balance"], 0);

    let id = text(&first["id"]);
    let voided = fixture.json(&wallet(&tenant, &["void", &id, "--reason", "a slip"]));
    assert_eq!((&voided["left"], &voided["void_reason"]), (&json!(0), &json!("a slip")));
    let listed = fixture.json(&wallet(&tenant, &["grants"]));
    assert_eq!(listed.as_array().map(Vec::len), Some(2));

    let policy = ["policy", "--currency", "USD", "--below", "10", "--to", "50", "--overdraft", "5"];
    let set = fixture.json(&wallet(&tenant, &policy));
    assert_eq!(set["wallets"][1]["top_up"], json!({ "threshold": 1_000, "target": 5_000, "per_day": 1 }));
    let now = common::time::Clock::now(&common::time::SystemClock);
    let asked = fixture.store.request_top_ups(now).await.unwrap().remove(0).id.to_string();
    assert_eq!(fixture.json(&wallet(&tenant, &["top-ups"]))[0]["status"], "open");
    assert_eq!(fixture.json(&wallet(&tenant, &["confirm", &asked]))["reference"], json!(asked));
    assert_eq!(fixture.keyctl(&wallet(&tenant, &["cancel", &asked])).code, 4);
    assert_eq!(fixture.keyctl(&wallet(&tenant, &["cancel", "top_01jd0000000000000000000002"])).code, 3);
    let nobody = ["wallet", "grants", "--tenant", "ten_01jd0000000000000000000009"];
    assert_eq!(fixture.keyctl(&nobody).code, 3);
}
