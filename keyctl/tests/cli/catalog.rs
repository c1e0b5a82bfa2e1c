//! Tenants, plans, subscriptions, admin keys and webhooks as a file.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::fixture::{Fixture, Run, run};

const WHOLE: &str = r#"
catalog: 1
tenants:
  - ref: north
    parent: top
    name: North
    kind: reseller
    zone: Europe/Berlin
    subscription: { plan: basic, discount_percent: "7.5" }
    plans:
      - { id: resold, name: Resold, currency: EUR, flat_fee: "3.00" }
    admin_keys:
      - { name: ci, role: admin, scopes: ["keys:write"] }
    webhooks:
      - { name: CRM, url: "https://hooks.example/x", types: [invoice.paid], enabled: false }
  - ref: acme
    parent: north
    name: Acme
    status: suspended
    subscription: { plan: resold, flat_fee: "2.00" }
  - ref: top
    name: Example API
    kind: root
    plans:
      - id: basic
        name: Basic
        currency: EUR
        flat_fee: "10.00"
        quotas: [{ meter: requests, per_month: 1000 }]
        limits: { tenant: { per_second: 10 } }
      - { id: old, name: Old, currency: EUR, flat_fee: "1.00" }
    deprecated_plans: [old]
"#;

/// Applies a file that must be good; returns the changes.
fn apply(fixture: &Fixture, file: &str, more: &[&str]) -> Value {
    fixture.json(&[&["apply", "-f", file], more].concat())
}

/// The changes that applying a file would make, and the exit code.
fn diff(fixture: &Fixture, file: &str, more: &[&str]) -> (i32, Value) {
    let run = fixture.keyctl(&[&["--output", "json", "diff", "-f", file], more].concat());
    assert_eq!(run.stderr, "", "{run:?}");
    (run.code, serde_json::from_str(&run.stdout).unwrap())
}

/// What each change is about: action, kind, tenant, name.
fn summary(changes: &Value) -> Vec<String> {
    let word = |change: &Value, key: &str| change[key].as_str().unwrap().to_owned();
    let line = |change: &Value| ["action", "kind", "tenant", "name"].map(|key| word(change, key)).join(" ");
    changes.as_array().unwrap().iter().map(line).collect()
}

/// A fixture with everything of `WHOLE`.
async fn filled() -> Fixture {
    let fixture = Fixture::new().await;
    fixture.file("whole.yaml", WHOLE);
    apply(&fixture, "whole.yaml", &["--secrets-file", "secrets.jsonl"]);
    fixture
}

fn export(fixture: &Fixture) -> String {
    let run = fixture.keyctl(&["export"]);
    assert_eq!(run.code, 0, "{run:?}");
    run.stdout
}

fn refused(fixture: &Fixture, text: &str) -> Run {
    fixture.file("faulty.yaml", text);
    let before = export(fixture);
    let run = fixture.keyctl(&["apply", "-f", "faulty.yaml", "--prune", "--yes", "--secrets-file", "unused"]);
    assert_eq!(export(fixture), before, "a file with faults changes nothing");
    run
}

#[tokio::test]
async fn whole_file_is_applied_to_an_empty_store_and_then_nothing_differs() {
    let fixture = Fixture::new().await;
    fixture.file("whole.yaml", WHOLE);
    let (code, changes) = diff(&fixture, "whole.yaml", &[]);
    assert_eq!(code, 2);
    let expected = [
        "create tenant top Example API",
        "create tenant north North",
        "create tenant acme Acme",
        "create plan top basic",
        "create plan top old",
        "update plan top old",
        "create plan north resold",
        "create subscription north basic",
        "create webhook north CRM",
        "create admin key north ci",
        "create subscription acme resold",
        "update tenant acme Acme",
    ];
    assert_eq!(summary(&changes), expected);

    let applied = apply(&fixture, "whole.yaml", &["--secrets-file", "secrets.jsonl"]);
    assert_eq!(summary(&applied), expected);
    assert!(applied.as_array().unwrap().iter().all(|change| change["outcome"] == "done"), "{applied}");
    assert_eq!(diff(&fixture, "whole.yaml", &["--prune"]), (0, json!([])));
    assert_eq!(apply(&fixture, "whole.yaml", &["--prune"]), json!([]));
}

#[tokio::test]
async fn secrets_are_in_their_file_alone() {
    let fixture = Fixture::new().await;
    fixture.file("whole.yaml", WHOLE);
    let without = fixture.keyctl(&["apply", "-f", "whole.yaml"]);
    assert_eq!(without.code, 2, "{without:?}");
    assert!(without.stderr.contains("--secrets-file"), "{without:?}");
    assert_eq!(fixture.json(&["tenant", "list"]), json!([]), "nothing was applied");

    let applied = fixture.keyctl(&["apply", "-f", "whole.yaml", "--secrets-file", "secrets.jsonl"]);
    assert_eq!(applied.code, 0, "{applied:?}");
    let path = fixture.file("whole.yaml", WHOLE).with_file_name("secrets.jsonl");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    let secrets: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = secrets.iter().map(|secret| secret["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["webhook", "admin key"]);
    for (secret, prefix) in secrets.iter().zip(["whsec_", "adm_"]) {
        let secret = secret["secret"].as_str().unwrap();
        assert!(secret.starts_with(prefix));
        let said = [&applied.stdout, &applied.stderr, &export(&fixture)].map(String::as_str).concat();
        assert!(!said.contains(secret), "a secret was shown");
    }

    fixture.file("more.yaml", &WHOLE.replace("name: ci,", "name: cd,"));
    let again = fixture.keyctl(&["apply", "-f", "more.yaml", "--secrets-file", "secrets.jsonl"]);
    assert_eq!(again.code, 1, "an existing file is not written over: {again:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn applying_what_was_exported_changes_nothing() {
    let fixture = filled().await;
    for form in ["table", "json"] {
        let exported = fixture.keyctl(&["--output", form, "export"]);
        assert_eq!(exported.code, 0, "{exported:?}");
        fixture.file("exported.yaml", &exported.stdout);
        assert_eq!(diff(&fixture, "exported.yaml", &["--prune"]), (0, json!([])), "{form}");
        assert_eq!(apply(&fixture, "exported.yaml", &["--prune"]), json!([]), "{form}");
    }
    assert!(export(&fixture).contains("ref: example-api"));
}

#[tokio::test]
async fn each_setting_that_differs_is_changed() {
    let fixture = filled().await;
    let exported = export(&fixture);
    let changed = exported
        .replace("name: Acme", "name: Acme GmbH")
        .replace("status: suspended", "status: active")
        .replace("discount_percent: '7.5'", "discount_percent: '8'")
        .replace("per_month: 1000", "per_month: 2000")
        .replace("https://hooks.example/x", "https://hooks.example/y")
        .replace("  deprecated_plans:\n  - old\n", "");
    fixture.file("changed.yaml", &changed);
    let applied = apply(&fixture, "changed.yaml", &[]);
    let expected = [
        "update tenant acme Acme GmbH",
        "update plan example-api basic",
        "update plan example-api old",
        "update subscription north basic",
        "update webhook north CRM",
        "update tenant acme Acme GmbH",
    ];
    assert_eq!(summary(&applied), expected);
    let quota = json!([{ "setting": "quotas[requests].per_month", "before": "1000", "after": "2000" }]);
    assert_eq!(applied[1]["settings"], quota);
    assert_eq!(diff(&fixture, "changed.yaml", &["--prune"]).0, 0);
}

#[tokio::test]
async fn tenant_is_moved_by_its_id_with_those_below_it() {
    let fixture = filled().await;
    let south = "- { ref: south, parent: example-api, name: South, kind: reseller }\n";
    let moved = export(&fixture).replace("parent: north", "parent: south") + south;
    let run = refused(&fixture, &moved);
    assert!(run.stderr.contains("has the plan `resold` of ten_"), "{run:?}");

    fixture.file("basic.yaml", &WHOLE.replace("{ plan: resold, flat_fee: \"2.00\" }", "{ plan: basic }"));
    apply(&fixture, "basic.yaml", &[]);
    let moved = export(&fixture).replace("parent: north", "parent: south") + south;
    fixture.file("moved.yaml", &moved);
    let applied = apply(&fixture, "moved.yaml", &[]);
    assert_eq!(summary(&applied)[..2], ["create tenant south South", "update tenant acme Acme"]);
    assert_eq!(diff(&fixture, "moved.yaml", &[]).0, 0);
}

#[tokio::test]
async fn pruning_removes_what_is_not_in_the_file_and_no_owner() {
    let fixture = filled().await;
    let north = fixture.json(&["tenant", "list"])[1]["id"].as_str().unwrap().to_owned();
    fixture.json(&["admin-key", "create", "--tenant", &north, "--name", "boss", "--role", "owner"]);
    let file = "catalog: 1\ntenants:\n- { ref: top, name: Example API, kind: root }\n- { ref: north, parent: top, name: North }\n";
    fixture.file("few.yaml", file);
    assert_eq!(diff(&fixture, "few.yaml", &[]), (0, json!([])), "without --prune, it is left alone");
    let applied = apply(&fixture, "few.yaml", &["--prune"]);
    let mut summary = summary(&applied);
    let last = summary.pop().unwrap();
    assert!(last.starts_with("delete tenant ten_") && last.ends_with(" Acme"), "{last}");
    let expected = [
        "delete plan top basic",
        "delete plan north resold",
        "delete subscription north basic",
        "delete webhook north CRM",
        "delete admin key north ci",
    ];
    assert_eq!(summary, expected);
    assert_eq!(diff(&fixture, "few.yaml", &["--prune"]).0, 0);
}

#[tokio::test]
async fn all_faults_of_a_file_are_told_at_once_with_their_places() {
    let fixture = filled().await;
    let text = "catalog: 2\ntenants:\n\
        - { ref: a, parent: b, name: A, kind: reseller }\n\
        - { ref: b, parent: a, name: B, kind: reseller }\n\
        - { ref: a, name: '' }\n\
        - { ref: c, parent: nobody, name: C }\n\
        - { ref: d, name: D, kind: root, webhooks: [{ name: x, url: 'ftp://x' }, { name: x, url: 'https://x.example' }] }\n\
        - { ref: e, name: E, kind: root, plans: [{ id: p, name: P, currency: EUR, flat_fee: x }], deprecated_plans: [q] }\n";
    let run = refused(&fixture, text);
    assert_eq!(run.code, 4, "{run:?}");
    for told in [
        "catalogs of form 1, not 2",
        "`a` is defined twice",
        "parents go round in a circle",
        "no tenant `nobody`",
        "two webhooks named `x`",
        "`q` is not among the plans of `e`",
        "plan `p`",
        "faulty.yaml:3:",
        "faulty.yaml:8:",
    ] {
        assert!(run.stderr.contains(told), "{told}: {}", run.stderr);
    }
}

#[tokio::test]
async fn file_that_contradicts_what_is_there_is_refused() {
    let fixture = filled().await;
    let exported = export(&fixture);
    let id = "id: ten_01jd0000000000000000000009";
    for (text, told) in [
        (exported.replace("zone: Europe/Berlin", "zone: UTC"), "never becomes UTC"),
        (exported.replace("kind: reseller", "kind: customer"), "is a customer, and has nobody below it"),
        (exported.replace("plan: basic", "plan: nothing"), "no plan `nothing` is offered to `north`"),
        (exported.replace("plan: resold", "plan: old"), "no plan `old` is offered to `acme`"),
        (exported.replace("role: admin", "role: viewer"), "is there with another role"),
        (exported.replace("discount_percent: '7.5'", "discount_percent: many"), "not a decimal number"),
        (exported.clone() + "- { ref: x, " + id + ", name: X }\n", "no tenant ten_01jd0000000000000000000009 is here"),
        (
            WHOLE.replace("    parent: north\n", "    parent: top\n").replace("resold, flat", "basic, flat"),
            "state its id",
        ),
    ] {
        let run = refused(&fixture, &text);
        assert_eq!(run.code, 4, "{told}: {run:?}");
        assert!(run.stderr.contains(told), "{told}: {}", run.stderr);
    }
}

#[tokio::test]
async fn failure_amid_the_changes_leaves_a_told_state_from_which_the_next_run_goes_on() {
    let fixture = Fixture::new().await;
    let missing_version = WHOLE.replace("{ plan: resold,", "{ plan: resold, version: 9,");
    fixture.file("wrong.yaml", &missing_version);
    let run = fixture.keyctl(&["--output", "json", "apply", "-f", "wrong.yaml", "--secrets-file", "first.jsonl"]);
    assert_ne!(run.code, 0, "{run:?}");
    let error: Value = serde_json::from_str(&run.stderr).unwrap();
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.contains("subscription `resold` of acme") && message.contains("10 of 12 changes"), "{message}");
    let outcomes: Value = serde_json::from_str(&run.stdout).unwrap();
    let outcomes: Vec<_> = outcomes.as_array().unwrap().iter().map(|change| change["outcome"].clone()).collect();
    assert_eq!(outcomes[..10], vec![json!("done"); 10]);
    assert_eq!(outcomes[10..], [json!("failed"), json!("not_tried")]);

    fixture.file("right.yaml", WHOLE);
    let applied = apply(&fixture, "right.yaml", &[]);
    assert_eq!(summary(&applied), ["create subscription acme resold", "update tenant acme Acme"]);
    assert_eq!(diff(&fixture, "right.yaml", &["--prune"]).0, 0);
}

#[tokio::test]
async fn dropped_limits_need_a_word_in_a_script() {
    let fixture = filled().await;
    fixture.file("dropped.yaml", &WHOLE.replace("        limits: { tenant: { per_second: 10 } }\n", ""));
    let refused = fixture.keyctl(&["apply", "-f", "dropped.yaml"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.stderr.contains("basic limits.tenant.per_second"), "{refused:?}");
    assert_eq!(diff(&fixture, "dropped.yaml", &[]).0, 2, "nothing was applied");
    assert_eq!(apply(&fixture, "dropped.yaml", &["--yes"]).as_array().unwrap().len(), 1);
}

/// Judges JSON by the schema of catalog files, with the validator of Debian's python3-jsonschema.
fn judge(fixture: &Fixture, name: &str, catalog: &str) -> Run {
    let instance = fixture.file(name, catalog);
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/catalog.schema.json");
    let mut validate = std::process::Command::new("/usr/bin/python3");
    run(validate.args(["-m", "jsonschema", "-i", instance.to_str().unwrap(), schema]), "")
}

#[tokio::test]
async fn schema_takes_what_is_exported_and_refuses_what_apply_refuses() {
    let fixture = filled().await;
    let exported = fixture.json(&["export"]);
    let judged = judge(&fixture, "exported.json", &exported.to_string());
    assert_eq!(judged.code, 0, "{judged:?}");
    for (pointer, wrong) in [
        ("/catalog", json!(2)),
        ("/tenants/0/kind", json!("branch")),
        ("/tenants/0/plans/0/quotas/0/per_month", json!(-1)),
        ("/tenants/1/subscription/plan", json!(["basic"])),
        ("/tenants/1/webhooks/0/enabled", json!("no")),
    ] {
        let mut faulty = exported.clone();
        *faulty.pointer_mut(pointer).unwrap() = wrong;
        assert_ne!(judge(&fixture, "faulty.json", &faulty.to_string()).code, 0, "{pointer}");
        assert_eq!(fixture.keyctl(&["diff", "-f", "faulty.json"]).code, 4, "{pointer}");
    }
}
