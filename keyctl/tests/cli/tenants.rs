//! The life of a tenant.

use common::tenant::TenantStatus;
use serde_json::json;

use crate::fixture::Fixture;

const UNKNOWN: &str = "ten_01jd0000000000000000000000";

#[tokio::test]
async fn tenants_are_created_with_sensible_defaults() {
    let fixture = Fixture::new().await;
    let root = fixture.json(&["tenant", "create", "--name", "Example API"]);
    let root_id = root["id"].as_str().unwrap();
    let reseller = fixture.json(&["tenant", "create", "--name", "Partner", "--parent", root_id, "--kind", "reseller"]);
    let reseller_id = reseller["id"].as_str().unwrap();
    let zone = ["--time-zone", "Europe/Berlin"];
    let customer =
        fixture.json(&[&["tenant", "create", "--name", "Müller & Söhne", "--parent", reseller_id], &zone[..]].concat());

    assert_eq!(
        customer,
        json!({
            "id": customer["id"], "parent": reseller_id, "kind": "customer", "name": "Müller & Söhne",
            "status": "active", "plan": null, "time_zone": "Europe/Berlin", "created_at": customer["created_at"],
        })
    );
    assert!(customer["created_at"].as_str().unwrap().ends_with('Z'), "{customer}");
    assert_eq!((&root["kind"], &root["parent"], &root["time_zone"]), (&json!("root"), &json!(null), &json!("UTC")));
    assert_eq!(fixture.json(&["tenant", "show", reseller_id]), reseller);
    assert_eq!(fixture.json(&["tenant", "list"]), json!([root, reseller, customer]));
}

#[tokio::test]
async fn suspended_tenant_stays_suspended_until_resumed() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    for (verb, status, stored) in [
        ("suspend", "suspended", TenantStatus::Suspended),
        ("suspend", "suspended", TenantStatus::Suspended),
        ("resume", "active", TenantStatus::Active),
        ("resume", "active", TenantStatus::Active),
    ] {
        assert_eq!(fixture.json(&["tenant", verb, &root])["status"], status);
        assert_eq!(fixture.store.tenant(root.parse().unwrap()).await.unwrap().status, stored);
    }
}

#[tokio::test]
async fn second_suspension_records_no_change() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    fixture.json(&["tenant", "suspend", &root]);
    let before = fixture.store.last_change().await.unwrap();
    fixture.json(&["tenant", "suspend", &root]);
    assert_eq!(fixture.store.last_change().await.unwrap(), before);
}

#[tokio::test]
async fn forbidden_changes_are_refused() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let customer = fixture.id(&["tenant", "create", "--name", "Acme", "--parent", &root]);
    let long = "x".repeat(201);
    for words in [
        ["--name", "Below", "--parent", &customer, "--kind", "customer"],
        ["--name", "Second root", "--parent", &root, "--kind", "root"],
        ["--name", " ", "--parent", &root, "--kind", "customer"],
        ["--name", "a\u{1b}[2Jb", "--parent", &root, "--kind", "customer"],
        ["--name", &long, "--parent", &root, "--kind", "customer"],
    ] {
        let run = fixture.keyctl(&[&["tenant", "create"], &words[..]].concat());
        assert_eq!(run.code, 4, "{words:?}: {run:?}");
        assert!(run.stderr.starts_with("error: "), "{run:?}");
        assert!(!run.stderr.trim_end().contains(char::is_control), "{run:?}");
    }
    assert_eq!(fixture.keyctl(&["tenant", "create", "--name", "Orphan", "--kind", "customer"]).code, 4);
    assert_eq!(fixture.json(&["tenant", "list"]).as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn missing_tenants_and_plans_are_not_found() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    for words in [
        &["tenant", "show", UNKNOWN][..],
        &["tenant", "suspend", UNKNOWN],
        &["tenant", "resume", UNKNOWN],
        &["tenant", "create", "--name", "Acme", "--parent", UNKNOWN],
        &["tenant", "create", "--name", "Acme", "--parent", &root, "--plan", "nowhere"],
    ] {
        let run = fixture.keyctl(words);
        assert_eq!(run.code, 3, "{words:?}: {run:?}");
        assert!(run.stderr.contains(if words.contains(&UNKNOWN) { UNKNOWN } else { "nowhere" }), "{run:?}");
    }
}

#[tokio::test]
async fn tables_have_one_line_for_each_tenant() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let table = fixture.keyctl(&["tenant", "list"]).stdout;
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("ID ") && lines[0].contains("STATUS"), "{table}");
    assert!(lines[1].starts_with(&root) && lines[1].contains("Example API"), "{table}");
    assert_eq!(lines.len(), 2, "{table}");
}

#[tokio::test]
async fn tenant_is_renamed_moved_and_deleted() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let below = |name: &str, parent: &str, kind: &str| {
        fixture.id(&["tenant", "create", "--name", name, "--parent", parent, "--kind", kind])
    };
    let (north, south) = (below("North", &root, "reseller"), below("South", &root, "reseller"));
    let customer = below("Acme", &north, "customer");
    let key = fixture.json(&["key", "create", "--tenant", &customer, "--name", "main"])["key"]["id"].clone();

    assert_eq!(fixture.json(&["tenant", "update", &customer, "--name", "Acme GmbH"])["name"], "Acme GmbH");
    assert_eq!(fixture.json(&["tenant", "move", &customer, "--parent", &south])["parent"], json!(south));
    assert_eq!(fixture.keyctl(&["tenant", "move", &south, "--parent", &south]).code, 4);
    assert_eq!(fixture.keyctl(&["tenant", "move", &root, "--parent", &south]).code, 4);
    assert_eq!(fixture.keyctl(&["tenant", "move", &north, "--parent", &customer]).code, 4);
    let full = fixture.keyctl(&["tenant", "delete", &south]);
    assert_eq!(full.code, 4, "{full:?}");
    assert!(full.stderr.contains("1 tenants right below it"), "{full:?}");

    assert_eq!(fixture.json(&["tenant", "delete", &customer])["status"], "deleted");
    assert_eq!(fixture.json(&["tenant", "delete", &customer])["status"], "deleted", "again, and nothing changes");
    assert_eq!(fixture.json(&["key", "show", key.as_str().unwrap()])["status"], "revoked");
    assert_eq!(fixture.keyctl(&["tenant", "update", &customer, "--name", "Again"]).code, 4);
    assert_eq!(fixture.json(&["tenant", "delete", &south])["status"], "deleted");
}

#[tokio::test]
async fn tenants_are_listed_by_subtree_and_status() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let reseller = fixture.id(&["tenant", "create", "--name", "R", "--parent", &root, "--kind", "reseller"]);
    let customer = fixture.id(&["tenant", "create", "--name", "C", "--parent", &reseller]);
    let gone = fixture.id(&["tenant", "create", "--name", "G", "--parent", &reseller]);
    fixture.json(&["tenant", "delete", &gone]);
    fixture.json(&["tenant", "suspend", &customer]);
    let ids = |words: &[&str]| {
        let tenants = fixture.json(&[&["tenant", "list"], words].concat());
        tenants.as_array().unwrap().iter().map(|tenant| tenant["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&[]), [root.as_str(), &reseller, &customer], "deleted ones are not asked for");
    assert_eq!(ids(&["--parent", &root]), [reseller.as_str()]);
    assert_eq!(ids(&["--subtree-of", &reseller]), [reseller.as_str(), &customer]);
    assert_eq!(ids(&["--status", "suspended"]), [customer.as_str()]);
    assert_eq!(ids(&["--status", "deleted", "--parent", &reseller]), [gone.as_str()]);
    for filter in ["--parent", "--subtree-of"] {
        assert_eq!(fixture.keyctl(&["tenant", "list", filter, UNKNOWN]).code, 3, "{filter}");
    }
}

#[tokio::test]
async fn limits_name_the_tenant_that_lowered_them() {
    let fixture = Fixture::new().await;
    fixture.file(
        "plans.yaml",
        "plans:
  - id: wide
    name: Wide
    currency: EUR
    flat_fee: \"1.00\"
    quotas: [{ meter: requests, per_month: 1000 }]
    limits: { tenant: { per_second: { limit: 100, burst: 200 } } }
  - id: narrow
    name: Narrow
    currency: EUR
    flat_fee: \"1.00\"
    limits: { tenant: { per_second: 10 } }
",
    );
    fixture.json(&["plan", "apply", "plans.yaml"]);
    let root = fixture.root();
    assert_eq!(fixture.json(&["tenant", "limits", &root])["terms"], json!(null));
    assert!(fixture.keyctl(&["tenant", "limits", &root]).stdout.contains("nothing is served"));

    let reseller = ["tenant", "create", "--name", "R", "--parent", &root, "--kind", "reseller", "--plan", "narrow"];
    let reseller = fixture.id(&reseller);
    let customer = fixture.id(&["tenant", "create", "--name", "C", "--parent", &reseller, "--plan", "wide"]);
    let inheriting = fixture.id(&["tenant", "create", "--name", "H", "--parent", &reseller]);
    let limits = fixture.json(&["tenant", "limits", &customer]);
    assert_eq!((&limits["tenant"], &limits["terms"]["holder"]), (&json!(customer), &json!(customer)));
    assert_eq!(limits["terms"]["tenant"]["per_second"], json!({ "limit": 10, "burst": 10, "clamped_by": reseller }));
    assert_eq!(
        limits["terms"]["quotas"],
        json!([{ "meter": "requests", "per_month": 1000, "kind": "hard", "clamped_by": null }])
    );
    let table = fixture.keyctl(&["tenant", "limits", &customer]).stdout;
    assert!(table.contains(&format!("10/s, lowered by {reseller}")), "{table}");
    assert!(table.contains("1000 units per month, hard"), "{table}");

    let inherited = fixture.json(&["tenant", "limits", &inheriting]);
    assert_eq!((&inherited["terms"]["holder"], &inherited["terms"]["plan"]), (&json!(reseller), &json!("narrow")));
    assert_eq!(fixture.keyctl(&["tenant", "limits", UNKNOWN]).code, 3);
}
