//! Upgrades and rollbacks of `keyctl`: a store of another schema is told and left alone.

use servers::StoreFile;

use crate::fixture::{Fixture, bare_command, run};

#[tokio::test]
async fn older_store_is_refused_with_its_pending_steps() {
    let directory = tempfile::tempdir().unwrap();
    let missing = StoreFile::at(directory.path().join("old.db")).create_older().await.unwrap();
    for words in [&["tenant", "list"][..], &["tenant", "create", "--name", "Example API"]] {
        let words = [&["--store", "sqlite://old.db"], words].concat();
        let refused = run(bare_command().current_dir(&directory).args(&words), "");
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stderr.contains(&format!("pending: {missing}")), "{refused:?}");
        assert!(refused.stderr.contains("run `billing migrate`"), "{refused:?}");
    }
}

#[tokio::test]
async fn newer_store_is_refused_until_restored() {
    let fixture = Fixture::new().await;
    let file = StoreFile::at(fixture.url().trim_start_matches("sqlite://"));
    file.make_newer().await.unwrap();
    for words in [&["tenant", "list"][..], &["tenant", "create", "--name", "Example API"]] {
        let refused = fixture.keyctl(words);
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.stderr.contains("the store's schema has version 9999"), "{refused:?}");
    }
    file.make_current().await.unwrap();
    fixture.root();
}
