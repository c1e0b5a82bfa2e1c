//! The life of a tenant.

use common::tenant::TenantStatus;
use serde_json::json;

use crate::support::Desk;

const UNKNOWN: &str = "ten_01jd0000000000000000000000";

#[tokio::test]
async fn a_tree_of_tenants_grows_with_sensible_defaults() {
    let desk = Desk::new().await;
    let root = desk.json(&["tenant", "create", "--name", "Example API"]);
    let root_id = root["id"].as_str().unwrap();
    let reseller = desk.json(&["tenant", "create", "--name", "Partner", "--parent", root_id, "--kind", "reseller"]);
    let reseller_id = reseller["id"].as_str().unwrap();
    let zone = ["--time-zone", "Europe/Berlin"];
    let customer =
        desk.json(&[&["tenant", "create", "--name", "Müller & Söhne", "--parent", reseller_id], &zone[..]].concat());

    assert_eq!(
        customer,
        json!({
            "id": customer["id"], "parent": reseller_id, "kind": "customer", "name": "Müller & Söhne",
            "status": "active", "plan": null, "time_zone": "Europe/Berlin", "created_at": customer["created_at"],
        })
    );
    assert!(customer["created_at"].as_str().unwrap().ends_with('Z'), "{customer}");
    assert_eq!((&root["kind"], &root["parent"], &root["time_zone"]), (&json!("root"), &json!(null), &json!("UTC")));
    assert_eq!(desk.json(&["tenant", "show", reseller_id]), reseller);
    assert_eq!(desk.json(&["tenant", "list"]), json!([root, reseller, customer]));
}

#[tokio::test]
async fn a_suspended_tenant_stays_so_until_it_is_resumed() {
    let desk = Desk::new().await;
    let root = desk.root();
    for (verb, status, stored) in [
        ("suspend", "suspended", TenantStatus::Suspended),
        ("suspend", "suspended", TenantStatus::Suspended),
        ("resume", "active", TenantStatus::Active),
        ("resume", "active", TenantStatus::Active),
    ] {
        assert_eq!(desk.json(&["tenant", verb, &root])["status"], status);
        assert_eq!(desk.store.tenant(root.parse().unwrap()).await.unwrap().status, stored);
    }
}

#[tokio::test]
async fn a_second_suspension_is_no_change_that_gateways_must_follow() {
    let desk = Desk::new().await;
    let root = desk.root();
    desk.json(&["tenant", "suspend", &root]);
    let before = desk.store.last_change().await.unwrap();
    desk.json(&["tenant", "suspend", &root]);
    assert_eq!(desk.store.last_change().await.unwrap(), before);
}

#[tokio::test]
async fn what_the_rules_forbid_is_refused() {
    let desk = Desk::new().await;
    let root = desk.root();
    let customer = desk.id(&["tenant", "create", "--name", "Acme", "--parent", &root]);
    let long = "x".repeat(201);
    for words in [
        ["--name", "Below", "--parent", &customer, "--kind", "customer"],
        ["--name", "Second root", "--parent", &root, "--kind", "root"],
        ["--name", " ", "--parent", &root, "--kind", "customer"],
        ["--name", "a\u{1b}[2Jb", "--parent", &root, "--kind", "customer"],
        ["--name", &long, "--parent", &root, "--kind", "customer"],
    ] {
        let run = desk.keyctl(&[&["tenant", "create"], &words[..]].concat());
        assert_eq!(run.code, 4, "{words:?}: {run:?}");
        assert!(run.stderr.starts_with("error: "), "{run:?}");
        assert!(!run.stderr.trim_end().contains(char::is_control), "{run:?}");
    }
    assert_eq!(desk.keyctl(&["tenant", "create", "--name", "Orphan", "--kind", "customer"]).code, 4);
    assert_eq!(desk.json(&["tenant", "list"]).as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn tenants_and_plans_that_do_not_exist_are_not_found() {
    let desk = Desk::new().await;
    let root = desk.root();
    for words in [
        &["tenant", "show", UNKNOWN][..],
        &["tenant", "suspend", UNKNOWN],
        &["tenant", "resume", UNKNOWN],
        &["tenant", "create", "--name", "Acme", "--parent", UNKNOWN],
        &["tenant", "create", "--name", "Acme", "--parent", &root, "--plan", "nowhere"],
    ] {
        let run = desk.keyctl(words);
        assert_eq!(run.code, 3, "{words:?}: {run:?}");
        assert!(run.stderr.contains(if words.contains(&UNKNOWN) { UNKNOWN } else { "nowhere" }), "{run:?}");
    }
}

#[tokio::test]
async fn tables_have_one_line_for_each_tenant() {
    let desk = Desk::new().await;
    let root = desk.root();
    let table = desk.keyctl(&["tenant", "list"]).stdout;
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("ID ") && lines[0].contains("STATUS"), "{table}");
    assert!(lines[1].starts_with(&root) && lines[1].contains("Example API"), "{table}");
    assert_eq!(lines.len(), 2, "{table}");
}
