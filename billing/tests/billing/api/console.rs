//! Console and portal as files: the document that their types come from, and the headers of their
//! pages.

use std::path::Path;

use serde_json::{Map, Value};

use super::fixture::Fixture;

/// Members of the document that say nothing about types.
const WORDS: [&str; 15] = [
    "description",
    "summary",
    "example",
    "examples",
    "security",
    "tags",
    "title",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "default",
    "info",
];

/// Counts of items say nothing about types either.
const COUNTS: [&str; 2] = ["minItems", "maxItems"];

/// The document without words and without answers that are errors. Members of `properties` and
/// other maps have names of their own, which are kept.
fn types(value: &Value, is_map: bool) -> Value {
    match value {
        Value::Object(members) => {
            let is_kept = |name: &str| is_map || !(WORDS.contains(&name) || COUNTS.contains(&name));
            let map = |name: &str| {
                !is_map && ["properties", "schemas", "paths", "responses", "headers", "parameters"].contains(&name)
            };
            let kept = members.iter().filter(|(name, _)| is_kept(name));
            Value::Object(kept.map(|(name, value)| (name.clone(), types(value, map(name)))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| types(item, false)).collect()),
        other => other.clone(),
    }
}

fn without_errors(document: &mut Value) {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    for operation in paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        if let Some(answers) = operation.get_mut("responses").and_then(Value::as_object_mut) {
            answers.retain(|status, _| status.starts_with('2'));
        }
    }
}

#[tokio::test]
async fn types_of_the_console_come_from_the_document_as_it_is() {
    let fixture = Fixture::open().await;
    let document = fixture.with_secret("").get("/openapi.json").await.document(200);
    let mut wanted = types(&document, false);
    without_errors(&mut wanted);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../console/openapi.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, serde_json::to_string_pretty(&wanted).unwrap() + "\n").unwrap();
    }
    let found: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap_or_default()).unwrap_or_default();
    assert!(found == wanted, "console/openapi.json is not of this API: run this test with UPDATE=1, then make console");
}

#[tokio::test]
async fn pages_load_from_this_origin_alone_and_cannot_be_framed() {
    let fixture = Fixture::open().await;
    let nobody = fixture.with_secret("");
    for path in ["/console/", "/portal/", "/console/tenants/ten_1", "/portal/..%2f..%2fetc/passwd"] {
        let page = nobody.get(path).await;
        // A checkout in which nobody has built the pages says so.
        assert!(page.status == 200 || page.status == 503, "{path}: {page:?}");
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
        let policy = page.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        assert!(!page.text.contains("<script>") && !page.text.contains("root:"), "{path}: {}", page.text);
    }
    for path in
        ["/console/assets/none.js", "/portal/assets/..%2fconsole.html", "/console/assets/..%2f..%2fopenapi.json"]
    {
        assert_ne!(nobody.get(path).await.status, 500, "{path}");
    }
    assert_eq!(nobody.get("/console/assets/none.js").await.status, 404);
}
