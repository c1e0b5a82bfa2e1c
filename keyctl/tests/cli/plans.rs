//! Plans from files, all or none.

use serde_json::json;

use crate::fixture::{Fixture, text};

const SHIPPED: &str = include_str!("../../../config/plans.yaml");

const BASIC: &str = "\
plans:
  - id: basic
    name: Basic
    currency: EUR
    flat_fee: \"10.00\"
    charges:
      - meter: requests
        included: 1000
        tiers:
          - { up_to: 500, price: { amount: \"0.02\", per: 1 } }
          - { price: { amount: \"5.00\", per: 1000 } }
    limits:
      tenant: { per_second: { limit: 10, burst: 20 }, per_minute: 300 }
";

#[tokio::test]
async fn shipped_plans_apply_once() {
    let fixture = Fixture::new().await;
    let file = fixture.file("plans.yaml", SHIPPED);
    for outcome in ["created", "unchanged"] {
        let applied = fixture.json(&["plan", "apply", file.to_str().unwrap()]);
        let applied = applied.as_array().unwrap();
        assert_eq!(applied.len(), 5);
        for plan in applied {
            assert_eq!((&plan["version"], &plan["outcome"]), (&json!(1), &json!(outcome)), "{plan}");
        }
    }
    let plans = fixture.json(&["plan", "list"]);
    let mut ids: Vec<_> = plans.as_array().unwrap().iter().map(|plan| plan["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["business", "enterprise", "free", "growth", "starter"]);
}

#[tokio::test]
async fn changed_plan_becomes_a_new_version_and_the_old_one_remains() {
    let fixture = Fixture::new().await;
    fixture.file("basic.yaml", BASIC);
    fixture.json(&["plan", "apply", "basic.yaml"]);
    let root = fixture.root();
    let tenant = fixture.json(&["tenant", "create", "--name", "Acme", "--parent", &root, "--plan", "basic"]);
    assert_eq!(tenant["plan"], json!({ "id": "basic", "version": 1 }));

    fixture.file("basic.yaml", &BASIC.replace("10.00", "12.00"));
    let applied = fixture.json(&["plan", "apply", "basic.yaml"]);
    assert_eq!(applied, json!([{ "id": "basic", "version": 2, "outcome": "updated" }]));

    assert_eq!(fixture.json(&["plan", "show", "basic"])["flat_fee"], "12.00");
    let first = fixture.json(&["plan", "show", "basic", "--version", "1"]);
    assert_eq!((&first["flat_fee"], &first["version"]), (&json!("10.00"), &json!(1)));
    assert!(first["created_at"].as_str().unwrap().ends_with('Z'), "{first}");
    assert_eq!(fixture.json(&["tenant", "show", tenant["id"].as_str().unwrap()]), tenant);
}

#[tokio::test]
async fn plan_is_shown_with_its_prices_and_limits() {
    let fixture = Fixture::new().await;
    assert_eq!(fixture.keyctl_reading(&["plan", "apply", "-"], BASIC).code, 0);
    let shown = fixture.keyctl(&["plan", "show", "basic"]).stdout;
    for part in [
        "10.00 EUR per month",
        "1000 units included, up to 500 more 0.02 EUR per 1, then 5.00 EUR per 1000",
        "10/s (burst 20), 300/min",
    ] {
        assert!(shown.contains(part), "`{part}` is missing: {shown}");
    }
}

#[tokio::test]
async fn file_with_one_fault_applies_nothing() {
    let fixture = Fixture::new().await;
    let second = BASIC.replace("plans:\n", "").replace("id: basic", "id: other");
    let bad_limit = format!("{BASIC}{}", second.replace("per_minute: 300", "per_minute: 0"));
    for (content, message) in [
        (BASIC.replace("included", "inclded"), "error: bad.yaml:8:9: `inclded` is not a setting here; did you mean "),
        (BASIC.replace("\"5.00\"", "5.00"), "error: bad.yaml:11:32: "),
        (bad_limit, "error: bad.yaml:25:67: plan `other`: limits.tenant.per_minute: "),
        (
            format!("{BASIC}{}", BASIC.replace("plans:\n", "")),
            "error: bad.yaml:14:9: plan `basic`: it is defined twice",
        ),
        (BASIC.replace("    charges:", "charges: ["), "error: bad.yaml:"),
    ] {
        fixture.file("bad.yaml", &content);
        let run = fixture.keyctl(&["plan", "apply", "bad.yaml"]);
        assert_eq!(run.code, 4, "{run:?}");
        assert!(run.stderr.starts_with(message), "expected `{message}`: {run:?}");
        assert!(run.stderr.contains("nothing was applied"), "{run:?}");
    }
    assert_eq!(fixture.json(&["plan", "list"]), json!([]));
}

#[tokio::test]
async fn all_faults_of_a_file_are_reported_with_their_lines() {
    let fixture = Fixture::new().await;
    let faulty = BASIC.replace("included", "inclded").replace("EUR", "XAU").replace("per_minute: 300", "per_minute: 0");
    fixture.file("bad.yaml", &faulty);
    let run = fixture.keyctl(&["plan", "apply", "bad.yaml"]);
    assert_eq!(run.code, 4, "{run:?}");
    for fault in [
        "error: bad.yaml:4:15: plan `basic`: currency XAU: ",
        "\nbad.yaml:8:9: `inclded` is not a setting here; did you mean `included`?\n",
        "\n     8 |         inclded: 1000\n       |         ^^^^^^^\n",
        "\nbad.yaml:13:67: plan `basic`: limits.tenant.per_minute: ",
        "\nnothing was applied\n",
    ] {
        assert!(run.stderr.contains(fault), "no `{fault}` in\n{}", run.stderr);
    }
    let json = fixture.keyctl(&["plan", "apply", "bad.yaml", "--output", "json"]);
    let error: serde_json::Value = serde_json::from_str(&json.stderr).unwrap();
    assert!(error["error"]["message"].as_str().unwrap().contains("bad.yaml:8:9: "), "{error}");
}

#[tokio::test]
async fn errors_name_standard_input_and_missing_files() {
    let fixture = Fixture::new().await;
    let run = fixture.keyctl_reading(&["plan", "apply", "-"], "plans: 7\n");
    assert_eq!(run.code, 4, "{run:?}");
    assert!(run.stderr.starts_with("error: standard input:1:8: "), "{run:?}");
    let run = fixture.keyctl(&["plan", "apply", "nowhere.yaml"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.starts_with("error: nowhere.yaml: cannot be read"), "{run:?}");
}

#[tokio::test]
async fn missing_plans_and_versions_are_not_found() {
    let fixture = Fixture::new().await;
    fixture.keyctl_reading(&["plan", "apply", "-"], BASIC);
    assert_eq!(fixture.keyctl(&["plan", "show", "nowhere"]).code, 3);
    assert_eq!(fixture.keyctl(&["plan", "show", "basic", "--version", "2"]).code, 3);
}

/// A fixture with both versions of a plan, and a customer that has none.
pub(crate) async fn fixture_with_two_versions() -> (Fixture, String) {
    let fixture = Fixture::new().await;
    for fee in ["10.00", "12.00"] {
        fixture.file("basic.yaml", &BASIC.replace("10.00", fee));
        fixture.json(&["plan", "apply", "basic.yaml"]);
    }
    let root = fixture.root();
    let customer = fixture.id(&["tenant", "create", "--name", "Acme", "--parent", &root]);
    (fixture, customer)
}

#[tokio::test]
async fn forbidden_changes_of_plans_are_refused() {
    let (fixture, customer) = fixture_with_two_versions().await;
    let tenant = ["--tenant", &customer];
    for (words, code) in [
        (&["assign", "basic", "--from", "2020-01-01T00:00Z"][..], 4),
        (&["assign", "basic", "--from", "yesterday"], 2),
        (&["assign", "basic", "--version", "0"], 2),
        (&["assign", "basic", "--version", "3"], 3),
        (&["assign", "nowhere"], 3),
        (&["end", "--from", "2020-01-01T00:00Z"], 4),
    ] {
        let run = fixture.keyctl(&[&["plan"], words, &tenant].concat());
        assert_eq!(run.code, code, "{words:?}: {run:?}");
    }
    assert_eq!(fixture.keyctl(&["plan", "migrate", "basic", "--from", "2099-01-01T00:00Z"]).code, 2);
    assert_eq!(fixture.json(&["tenant", "plans", &customer]), json!([]));
}

#[tokio::test]
async fn deprecated_plan_is_kept_and_not_assigned() {
    let (fixture, customer) = fixture_with_two_versions().await;
    let assign = ["plan", "assign", "basic", "--tenant", &customer];
    fixture.json(&assign);
    let deprecated = fixture.json(&["plan", "deprecate", "basic"]);
    assert_eq!((&deprecated["deprecated"], &deprecated["version"]), (&json!(true), &json!(2)));
    assert!(fixture.keyctl(&["plan", "list"]).stdout.contains("deprecated"));
    let above = text(&fixture.json(&["tenant", "show", &customer])["parent"]);
    let other = fixture.id(&["tenant", "create", "--name", "Other", "--parent", &above]);
    let refused = fixture.keyctl(&["plan", "assign", "basic", "--tenant", &other]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert_eq!(fixture.json(&["tenant", "show", &customer])["plan"]["id"], "basic");

    assert_eq!(fixture.json(&["plan", "restore", "basic"])["deprecated"], false);
    assert_eq!(fixture.json(&["plan", "assign", "basic", "--tenant", &other])["status"], "current");
    for verb in ["deprecate", "restore", "versions", "migrate"] {
        assert_eq!(fixture.keyctl(&["plan", verb, "nowhere"]).code, 3, "{verb}");
    }
}
