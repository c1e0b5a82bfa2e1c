//! Prepaid credit.

use serde_json::json;

use crate::fixture::{Fixture, text};

#[tokio::test]
async fn credit_is_added_once_per_reference_and_shown() {
    let fixture = Fixture::new().await;
    let tenant = fixture.root();
    let add = |units: &str, reference: &str| {
        fixture.keyctl(&[
            "credit",
            "add",
            "--tenant",
            &tenant,
            "--meter",
            "tokens",
            "--units",
            units,
            "--reference",
            reference,
        ])
    };
    assert_eq!(add("500", "4711").code, 0);
    assert_eq!(add("500", "4711").code, 0, "again, and nothing is added");
    assert_eq!(add("501", "4711").code, 4);
    assert_eq!(add("0", "4712").code, 4);
    assert_eq!(add("9223372036854775807", "4712").code, 2);
    let unnamed = ["credit", "add", "--tenant", &tenant, "--meter", "tokens", "--units", "20"];
    fixture.json(&unnamed);
    let shown = fixture.json(&unnamed);
    assert_eq!(shown["credit"], json!([{ "meter": "tokens", "paid": 540, "drawn": 0, "owed": 0, "left": 540 }]));
    assert_eq!(shown["top_ups"].as_array().unwrap().len(), 3);

    let back = ["credit", "add", "--tenant", &tenant, "--meter", "tokens", "--units", "-40"];
    assert_eq!(fixture.keyctl(&back).code, 4, "not without a reason");
    let shown_after = fixture.json(&[&back[..], &["--reason", "typed twice"]].concat());
    assert_eq!(shown_after["credit"][0]["left"], 500);
    assert_eq!(shown_after["top_ups"][3]["reason"], "typed twice");
    fixture.json(&["credit", "add", "--tenant", &tenant, "--meter", "tokens", "--units", "40"]);

    let table = fixture.keyctl(&["credit", "show", "--tenant", &tenant]);
    assert!(table.stdout.contains("tokens") && table.stdout.contains("540"), "{}", table.stdout);
    let quotas = fixture.json(&["tenant", "quotas", &tenant]);
    let credit = json!({ "meter": "tokens", "period": "prepaid", "limit": 540, "drawn": 0, "owed": 0, "left": 540 });
    assert_eq!(quotas, json!([credit]));
    assert_eq!(fixture.json(&["usage", "thresholds", "--tenant", &tenant]), json!([]));
    let nobody = "ten_01jd0000000000000000000009";
    assert_eq!(fixture.keyctl(&["credit", "show", "--tenant", nobody]).code, 3);
    let added = ["credit", "add", "--tenant", nobody, "--meter", "tokens", "--units", "1"];
    assert_eq!(fixture.keyctl(&added).code, 3);
    assert_eq!(text(&shown["tenant"]), tenant);
}
