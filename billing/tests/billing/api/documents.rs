//! `/openapi.json` and `/docs`, and what they promise.

use billing::access::rules::{Needs, RULES};
use serde_json::Value;

use super::fixture::Fixture;

#[tokio::test]
async fn every_operation_is_documented_with_all_its_answers_and_has_a_rule() {
    let fixture = Fixture::open().await;
    let document = fixture.with_secret("").get("/openapi.json").await.document(200);
    let mut documented = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let method = method.to_ascii_uppercase();
            let rule = RULES.iter().find(|rule| rule.method == method && rule.path == path);
            let rule = rule.unwrap_or_else(|| panic!("{method} {path} has no rule"));
            assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{method} {path}");
            let answers = operation["responses"].as_object().unwrap();
            let mut expected = vec!["405", "500"];
            if matches!(rule.needs, Needs::Somebody | Needs::Role(_)) {
                expected.extend(["401", "403", "429", "503"]);
                assert_eq!(operation["security"].as_array().map(Vec::len), Some(4), "{method} {path}");
            }
            // One with a token of its own declares its answers itself.
            let is_open = matches!(rule.needs, Needs::OwnToken);
            if path.contains('{') && !is_open {
                expected.push("404");
            }
            if operation.get("requestBody").is_some() && path.starts_with("/v1") && !is_open {
                expected.extend(["400", "408", "409", "413", "415", "422"]);
            }
            for status in expected {
                assert!(answers.contains_key(status), "{method} {path} may answer {status}");
            }
            assert!(answers.keys().any(|status| status.starts_with(['2', '3'])), "{method} {path}");
            documented.push((method, path.as_str()));
        }
    }
    for rule in RULES {
        assert!(documented.contains(&(rule.method.to_owned(), rule.path)), "{} {}", rule.method, rule.path);
    }
}

#[tokio::test]
async fn docs_page_has_a_policy_that_asks_no_other_origin() {
    let fixture = Fixture::open().await;
    let page = fixture.with_secret("").get("/docs").await;
    assert!(page.header("content-type").starts_with("text/html"));
    for loads in ["http://", "https://", "<script>", "onload="] {
        assert!(!page.text.contains(loads), "{loads}");
    }
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"), "{policy}");
    assert!(policy.contains("connect-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(page.header("x-frame-options"), "DENY");
}

#[tokio::test]
async fn names_of_operations_and_schemas_are_unique_and_described() {
    let fixture = Fixture::open().await;
    let document = fixture.with_secret("").get("/openapi.json").await.document(200);
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let mut ids: Vec<&str> = operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let is_list = name.starts_with("List") || name.starts_with("WholeList");
        assert!(is_list || schema["description"].is_string(), "{name} says what it is");
        assert_ne!(schema["description"], Value::String(String::new()), "{name}");
    }
}

#[tokio::test]
async fn documented_example_of_plans_is_accepted() {
    let fixture = Fixture::open().await;
    let owner = fixture.owner().await;
    let document = owner.get("/openapi.json").await.document(200);
    let example = &document["paths"]["/v1/plans"]["put"]["requestBody"]["content"]["application/json"]["example"];
    let applied = owner.put("/v1/plans", example.clone()).await.document(200);
    assert_eq!(applied["items"][0]["id"], "growth", "{applied}");
    let again = owner.put("/v1/plans", example.clone()).await.document(200);
    assert_eq!(again["items"][0]["outcome"], "unchanged", "{again}");
}
