//! Alerts and recording rules, judged by promtool: each alert fires in one case and not in another.

use std::collections::BTreeSet;

use serde_yaml::Value;

use crate::{
    files::{items, pass, root, text, word, yaml},
    metrics::registered,
};

const RECORDS: &str = "deploy/prometheus/records.yaml";
const ALERTS: &str = "deploy/prometheus/alerts.yaml";
const CASES: &str = "deploy/prometheus/alerts.cases.yaml";

/// The rules of a file.
fn rules(path: &str) -> Vec<Value> {
    let file = yaml(path);
    items(&file["groups"]).iter().flat_map(|group| items(&group["rules"]).to_vec()).collect()
}

/// Names of all alerts.
pub(crate) fn alerts() -> BTreeSet<String> {
    rules(ALERTS).iter().map(|rule| word(rule, "alert").to_owned()).collect()
}

/// A test of promtool: with these series, the alert fires as often as said.
fn case(alert: &str, at: &str, series: &Value, firing: u8) -> Value {
    let series: Vec<_> = series
        .as_mapping()
        .unwrap()
        .iter()
        .map(|(name, values)| serde_json::json!({ "series": name, "values": values }))
        .collect();
    let expression =
        format!("count(count by (alertname) (ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}})) or vector(0)");
    let expected = serde_json::json!({
        "expr": expression, "eval_time": at, "exp_samples": [{ "labels": "{}", "value": firing }],
    });
    let test = serde_json::json!({ "interval": "1m", "input_series": series, "promql_expr_test": [expected] });
    serde_yaml::to_value(test).unwrap()
}

#[test]
fn each_alert_fires_in_its_case_and_is_silent_in_another() {
    let cases = yaml(CASES);
    let named: BTreeSet<_> = items(&cases).iter().map(|case| word(case, "alert").to_owned()).collect();
    assert_eq!(named, alerts(), "each alert has its case in {CASES}");
    let tests: Vec<_> = items(&cases)
        .iter()
        .flat_map(|one| {
            let (alert, at) = (word(one, "alert"), word(one, "at"));
            [case(alert, at, &one["fires"], 1), case(alert, at, &one["silent"], 0)]
        })
        .collect();
    let file = serde_json::json!({
        "rule_files": [root().join(RECORDS), root().join(ALERTS)],
        "evaluation_interval": "1m",
        "tests": tests,
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tests.yaml");
    std::fs::write(&path, serde_yaml::to_string(&file).unwrap()).unwrap();
    pass("promtool", &["test", "rules", path.to_str().unwrap()]);
}

#[test]
fn rules_are_valid_and_alerts_say_what_to_do() {
    pass("promtool", &["check", "rules", RECORDS, ALERTS]);
    let runbook = text("docs/runbook.md");
    for rule in rules(ALERTS) {
        let name = word(&rule, "alert");
        assert!(["page", "ticket"].contains(&word(&rule["labels"], "severity")), "{name}");
        for annotation in ["summary", "description"] {
            assert!(word(&rule["annotations"], annotation).len() > 10, "{name}");
        }
        let url = format!("docs/runbook.md#{}", name.to_lowercase());
        assert_eq!(word(&rule["annotations"], "runbook_url"), url);
        assert!(runbook.contains(&format!("\n### {name}\n")), "docs/runbook.md has no section {name}");
    }
}

/// Names of metrics in an expression of `PromQL`.
pub(crate) fn names_in(expression: &str) -> BTreeSet<String> {
    let is_word = |one: char| one.is_ascii_alphanumeric() || one == '_' || one == ':';
    // Texts in quotes are values of labels.
    let bare: String = expression.split('"').step_by(2).collect::<Vec<_>>().join(" ");
    bare.split(|one| !is_word(one))
        .filter(|word| word.contains("tollgate"))
        .map(|word| {
            ["_bucket", "_count", "_sum"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word).to_owned()
        })
        .collect()
}

#[test]
fn expressions_name_metrics_and_records_that_exist() {
    let mut known: BTreeSet<_> = registered().into_iter().map(|metric| metric.name).collect();
    known.extend(rules(RECORDS).iter().map(|rule| word(rule, "record").to_owned()));
    for rule in rules(RECORDS).iter().chain(&rules(ALERTS)) {
        for name in names_in(word(rule, "expr")) {
            assert!(known.contains(&name), "{name} of {rule:?} is not a metric");
        }
    }
}
