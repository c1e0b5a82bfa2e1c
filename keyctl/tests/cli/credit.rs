//! Prepaid credit.

use serde_json::json;

use crate::support::{Desk, text};

#[tokio::test]
async fn credit_is_added_once_per_reference_and_shown() {
    let desk = Desk::new().await;
    let tenant = desk.root();
    let add = |units: &str, reference: &str| {
        desk.keyctl(&[
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
    desk.json(&unnamed);
    let shown = desk.json(&unnamed);
    assert_eq!(shown["credit"], json!([{ "meter": "tokens", "paid": 540, "drawn": 0, "owed": 0, "left": 540 }]));
    assert_eq!(shown["top_ups"].as_array().unwrap().len(), 3);

    let back = ["credit", "add", "--tenant", &tenant, "--meter", "tokens", "--units", "-40"];
    assert_eq!(desk.keyctl(&back).code, 4, "not without a reason");
    let shown_after = desk.json(&[&back[..], &["--reason", "typed twice"]].concat());
    assert_eq!(shown_after["credit"][0]["left"], 500);
    assert_eq!(shown_after["top_ups"][3]["reason"], "typed twice");
    desk.json(&["credit", "add", "--tenant", &tenant, "--meter", "tokens", "--units", "40"]);

    let table = desk.keyctl(&["credit", "show", "--tenant", &tenant]);
    assert!(table.stdout.contains("tokens") && table.stdout.contains("540"), "{}", table.stdout);
    let quotas = desk.json(&["tenant", "quotas", &tenant]);
    let credit = json!({ "meter": "tokens", "period": "prepaid", "limit": 540, "drawn": 0, "owed": 0, "left": 540 });
    assert_eq!(quotas, json!([credit]));
    assert_eq!(desk.json(&["usage", "thresholds", "--tenant", &tenant]), json!([]));
    let nobody = "ten_01jd0000000000000000000009";
    assert_eq!(desk.keyctl(&["credit", "show", "--tenant", nobody]).code, 3);
    let added = ["credit", "add", "--tenant", nobody, "--meter", "tokens", "--units", "1"];
    assert_eq!(desk.keyctl(&added).code, 3);
    assert_eq!(text(&shown["tenant"]), tenant);
}
