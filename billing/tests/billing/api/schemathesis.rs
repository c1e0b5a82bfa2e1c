//! A fuzzer that reads `/openapi.json` finds no fault of this side and no answer that is not
//! documented.

use std::process::Stdio;

use common::usage::BATCH_PATH;
use serde_json::{Value, json};
use tokio::process::Command;

use super::fixture::Fixture;
use crate::topic::deployment_on_postgres;

/// Examples per operation, beside those that follow from the document's bounds.
const EXAMPLES: &str = "8";

#[tokio::test]
async fn fuzzer_finds_no_fault_and_nothing_undocumented() {
    let fixture = Fixture::at_with_documents(deployment_on_postgres(), 60).await;
    let owner = fixture.owner().await;
    owner.post("/v1/keys", json!({ "tenant": fixture.shop, "name": "live" })).await.document(201);
    let program = tokio::task::spawn_blocking(servers::schemathesis).await.unwrap().unwrap();
    let output = Command::new(program)
        .args(["run", &format!("http://{}/openapi.json", fixture.server.address)])
        .args(["--header", &format!("Authorization: Bearer {}", owner.secret)])
        .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"])
        .args(["--checks", "response_schema_conformance,response_headers_conformance"])
        // Its body is protobuf, which the fuzzer cannot write.
        .args(["--exclude-path", BATCH_PATH])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", "1"])
        .args(["--request-timeout", "60", "--generation-database", "none", "--no-color", "--warnings", "off"])
        .args(["--suppress-health-check", "all", "--continue-on-failure", "--output-truncate", "false"])
        .current_dir(fixture.deployment.path(""))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    // It got through to what changes things, and was not turned away at the door.
    let changes = owner.get("/v1/audit?limit=1000").await.document(200);
    let of_fuzzer = |action: &str| {
        let is_one = |entry: &&Value| entry["actor"]["kind"] == "admin_key" && entry["action"] == action;
        changes["items"].as_array().unwrap().iter().filter(is_one).count()
    };
    assert!(of_fuzzer("plan.apply") > 0, "the document's example of a plan was not applied: {said}");
}
