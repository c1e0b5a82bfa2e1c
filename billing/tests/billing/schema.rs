//! Upgrades and rollbacks of `billing`: a store of another schema is changed by whom it was asked
//! of, and by nobody else.

use servers::StoreFile;

use crate::deployment::{Deployment, stderr, stdout};

const COMMANDS_THAT_STAY: [&str; 2] = ["serve", "ingest"];

/// A place whose store is one step older than this program, and the name of that step.
async fn older() -> (Deployment, String) {
    let deployment = Deployment::new();
    let missing = StoreFile::at(deployment.path("tollgate.db")).create_older().await.unwrap();
    (deployment, missing)
}

#[tokio::test]
async fn older_store_is_refused_with_its_pending_steps_until_migrated() {
    let (deployment, missing) = older().await;
    for command in COMMANDS_THAT_STAY {
        let refused = deployment.run(&[command, "--config", "billing.yaml"]).await;
        assert_eq!(refused.status.code(), Some(1), "{command}");
        let said = stderr(&refused);
        for part in [&format!("pending: {missing}"), "run `billing migrate`", "start with --migrate"] {
            assert!(said.contains(part), "no `{part}`: {said}");
        }
    }
    for _ in 0..2 {
        let pending = deployment.run(&["migrate", "--dry-run", "--config", "billing.yaml"]).await;
        assert!(stdout(&pending).contains("(nothing was changed)\n"), "{pending:?}");
        assert!(stdout(&pending).ends_with(&format!("\npending {missing}\n")), "{pending:?}");
    }
    let done = deployment.run(&["migrate", "--config", "billing.yaml"]).await;
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    assert!(stdout(&done).contains("(migrated)\n"), "{}", stdout(&done));
    assert!(stdout(&done).ends_with(&format!("\napplied {missing}\n")), "{}", stdout(&done));
    let server = deployment.serve().await;
    assert_eq!(server.get("/health").await.status(), 200);
    assert!(server.log_of("schema_migrated").is_empty(), "there was nothing left to do");
}

#[tokio::test]
async fn older_store_is_migrated_by_a_server_with_the_option() {
    let (deployment, missing) = older().await;
    let server = deployment.start(&["serve", "--config", "billing.yaml", "--migrate"], "serving").await;
    assert_eq!(server.get("/health").await.status(), 200);
    let told = server.log_of("schema_migrated");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["steps"], missing);
}

#[tokio::test]
async fn new_store_needs_no_option() {
    let deployment = Deployment::new();
    let server = deployment.serve().await;
    assert_eq!(server.log_of("schema_migrated")[0]["from"], 0);
}

#[tokio::test]
async fn dry_run_creates_no_store() {
    let deployment = Deployment::new();
    let pending = deployment.run(&["migrate", "--dry-run", "--config", "billing.yaml"]).await;
    assert_eq!(pending.status.code(), Some(0), "{}", stderr(&pending));
    assert!(stdout(&pending).starts_with("schema version 0 -> "), "{}", stdout(&pending));
    assert!(!deployment.path("tollgate.db").exists());
}

#[tokio::test]
async fn newer_store_is_refused_by_every_command_and_served_again_once_restored() {
    let deployment = Deployment::new();
    deployment.store().await.0.close().await;
    let file = StoreFile::at(deployment.path("tollgate.db"));
    file.make_newer().await.unwrap();
    for words in [
        &["serve", "--config", "billing.yaml"][..],
        &["serve", "--config", "billing.yaml", "--migrate"],
        &["ingest", "--config", "billing.yaml"],
        &["migrate", "--config", "billing.yaml"],
        &["migrate", "--dry-run", "--config", "billing.yaml"],
        &["audit", "--config", "billing.yaml"],
        &["run", "--dry-run", "--config", "billing.yaml"],
    ] {
        let refused = deployment.run(words).await;
        assert_eq!(refused.status.code(), Some(1), "{words:?}");
        assert!(stderr(&refused).contains("the store's schema has version 9999"), "{words:?}: {}", stderr(&refused));
    }
    file.make_current().await.unwrap();
    assert_eq!(deployment.serve().await.get("/health").await.status(), 200);
}
