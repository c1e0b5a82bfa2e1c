//! `keyctl audit-log` shows who changed what.

use serde_json::{Value, json};

use crate::fixture::{Fixture, run, text};

fn json_of(run: &crate::fixture::Run) -> Value {
    assert_eq!(run.code, 0, "{run:?}");
    serde_json::from_str(&run.stdout).unwrap()
}

#[tokio::test]
async fn every_change_is_logged_with_the_user_who_typed_it() {
    let fixture = Fixture::new().await;
    let words = ["tenant", "create", "--name", "Example API", "--output", "json"];
    let root = json_of(&run(fixture.command().env_remove("SUDO_USER").env("USER", "anna").args(words), ""));
    let root = text(&root["id"]);
    let suspend = ["tenant", "suspend", &root];
    let by_sudo = run(fixture.command().env("SUDO_USER", "bob").env("USER", "root").args(suspend), "");
    assert_eq!(by_sudo.code, 0, "{by_sudo:?}");

    let log = fixture.json(&["audit-log", "list"]);
    let brief: Vec<_> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (&entry["actor"]["kind"], &entry["actor"]["name"], &entry["action"], &entry["subject"]))
        .collect();
    let (operator, root_id) = (json!("operator"), json!(root));
    assert_eq!(
        brief,
        [
            (&operator, &json!("bob"), &json!("tenant.suspend"), &root_id),
            (&operator, &json!("anna"), &json!("tenant.create"), &root_id),
        ],
        "newest first"
    );
    assert_eq!((&log[0]["before"]["status"], &log[0]["after"]["status"]), (&json!("active"), &json!("suspended")));
    let table = fixture.keyctl(&["audit-log", "list"]).stdout;
    assert!(table.contains("tenant.suspend") && table.contains("bob"), "{table}");
}

#[tokio::test]
async fn log_is_filtered_by_tenant_resource_action_time_and_count() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let customer = fixture.id(&["tenant", "create", "--name", "Acme", "--parent", &root]);
    let key = text(&fixture.json(&["key", "create", "--tenant", &customer, "--name", "main"])["key"]["id"]);
    fixture.json(&["key", "revoke", &key]);
    let actions = |words: &[&str]| {
        let log = fixture.json(&[&["audit-log", "list"], words].concat());
        log.as_array().unwrap().iter().map(|entry| text(&entry["action"])).collect::<Vec<_>>()
    };
    assert_eq!(actions(&["--tenant", &customer]), ["key.revoke", "key.create", "tenant.create"]);
    assert_eq!(actions(&["--subject", &key]), ["key.revoke", "key.create"]);
    assert_eq!(actions(&["--action", "tenant.create"]), ["tenant.create", "tenant.create"]);
    assert_eq!(actions(&["--limit", "1"]), ["key.revoke"]);
    assert_eq!(actions(&["--from", "2099-01-01T00:00:00Z"]), [""; 0]);
    assert_eq!(actions(&["--to", "2020-01-01T00:00:00Z"]), [""; 0]);
    assert_eq!(fixture.keyctl(&["audit-log", "list", "--tenant", "ten_01jd0000000000000000000000"]).code, 3);
    assert_eq!(fixture.keyctl(&["audit-log", "list", "--limit", "0"]).code, 2);
    assert_eq!(fixture.json(&["audit", "list"]), fixture.json(&["audit-log", "list"]), "the former name");
    let unknown = fixture.keyctl(&["audit-log", "list", "--action", "key.revoked"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("key.revoke,"), "{unknown:?}");
}

#[tokio::test]
async fn changes_of_plans_are_logged_under_their_owner() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let plan = "plans: [{ id: growth, name: Growth, currency: USD, flat_fee: '1.00' }]";
    let file = fixture.file("plans.yaml", plan);
    fixture.json(&["plan", "apply", file.to_str().unwrap()]);
    fixture.json(&["plan", "deprecate", "growth"]);
    let log = fixture.json(&["audit-log", "list", "--tenant", &root, "--subject", "growth"]);
    let brief: Vec<_> = log.as_array().unwrap().iter().map(|one| (&one["action"], &one["tenant"])).collect();
    let root = json!(root);
    assert_eq!(brief, [(&json!("plan.deprecate"), &root), (&json!("plan.apply"), &root)], "{log}");
}
