//! Keys of machines that administer, and their secret, which is shown once.

use common::{admin::AdminSecret, key::Pepper};
use serde_json::json;

use crate::fixture::{Fixture, PEPPER, run, text};

#[tokio::test]
async fn admin_key_is_shown_once_listed_and_revoked() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let create = ["admin-key", "create", "--tenant", &root, "--name", "ci", "--role", "admin"];
    let narrowed = ["--scopes", "keys:write,usage:read", "--expires-in", "90d"];
    let created = fixture.json(&[&create[..], &narrowed].concat());
    let secret = AdminSecret::parse(text(&created["secret"]).as_bytes()).unwrap();
    let key = &created["key"];
    assert_eq!((&key["role"], &key["scopes"]), (&json!("admin"), &json!(["keys:write", "usage:read"])));
    assert_eq!((&key["status"], &key["hint"]), (&json!("active"), &json!(secret.hint())));

    let stored = &fixture.store.admin_keys(None).await.unwrap()[0];
    let hash = Pepper::new(PEPPER.as_bytes()).unwrap().hash_admin(&secret);
    assert!(stored.hash.matches(&hash));

    let id = text(&key["id"]);
    assert_eq!(fixture.json(&["admin-key", "list"]), json!([key]));
    assert_eq!(fixture.json(&["admin-key", "list", "--subtree-of", &root]), json!([key]));
    for form in ["table", "json"] {
        let list = fixture.keyctl(&["admin-key", "list", "--output", form]);
        assert!(list.stdout.contains(&id), "{list:?}");
        for hidden in [secret.expose(), &secret.expose()[4..30], &hash.to_hex()] {
            assert!(!list.stdout.contains(hidden) && !list.stderr.contains(hidden), "{list:?}");
        }
    }
    let revoked = fixture.json(&["admin-key", "revoke", &id]);
    assert_eq!(revoked["status"], "revoked");
    assert_eq!(fixture.json(&["admin-key", "revoke", &id]), revoked, "again, and nothing changes");
}

#[tokio::test]
async fn rotated_admin_key_works_through_the_grace() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let create =
        ["admin-key", "create", "--tenant", &root, "--name", "ci", "--role", "admin", "--scopes", "keys:write"];
    let old = fixture.json(&create)["key"].clone();
    let id = text(&old["id"]);
    let rotated = fixture.json(&["admin-key", "rotate", &id, "--grace", "2h"]);
    for same in ["tenant", "name", "role", "scopes", "expires_at"] {
        assert_eq!(rotated["new"][same], old[same], "{same}");
    }
    assert_ne!(rotated["new"]["id"], old["id"]);
    assert!(AdminSecret::parse(text(&rotated["secret"]).as_bytes()).is_ok());
    assert_eq!((&rotated["old"]["id"], &rotated["old"]["status"]), (&old["id"], &json!("active")));
    assert!(rotated["old"]["expires_at"].is_string(), "{rotated}");
    let at_once = fixture.json(&["admin-key", "rotate", &text(&rotated["new"]["id"]), "--grace", "0"]);
    assert_eq!(at_once["old"]["status"], "expired");
    for (id, grace, code) in [
        (text(&at_once["old"]["id"]), "1h", 4),
        (text(&at_once["new"]["id"]), "25h", 4),
        ("adk_01jd0000000000000000000000".to_owned(), "1h", 3),
    ] {
        let refused = fixture.keyctl(&["admin-key", "rotate", &id, "--grace", grace]);
        assert_eq!(refused.code, code, "{id}: {refused:?}");
    }
    let actions = fixture.json(&["audit", "list", "--action", "admin_key.rotate"]);
    assert_eq!(actions.as_array().unwrap().len(), 2, "{actions}");
}

#[tokio::test]
async fn table_output_tells_the_reader_to_keep_the_secret() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let created = fixture.keyctl(&["admin-key", "create", "--tenant", &root, "--name", "ci", "--role", "viewer"]);
    assert_eq!(created.code, 0, "{created:?}");
    assert!(created.stderr.contains("will not be shown again"), "{created:?}");
    let secret = created.stdout.split_whitespace().find(|word| word.starts_with("adm_")).unwrap();
    assert!(AdminSecret::parse(secret.as_bytes()).is_ok());
    assert!(created.stdout.contains("all of the role"), "{created:?}");
}

#[tokio::test]
async fn invalid_admin_key_is_refused() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let create = ["admin-key", "create", "--tenant", &root, "--name", "ci"];
    for (words, code) in [
        (&[][..], 2),
        (&["--role", "emperor"], 2),
        (&["--role", "viewer", "--scopes", "moons:read"], 2),
        (&["--role", "viewer", "--expires", "2020-01-01T00:00:00Z"], 4),
    ] {
        let refused = fixture.keyctl(&[&create[..], words].concat());
        assert_eq!(refused.code, code, "{words:?}: {refused:?}");
    }
    let unknown = "ten_01jd0000000000000000000000";
    let lost = ["admin-key", "create", "--tenant", unknown, "--name", "ci", "--role", "viewer"];
    assert_eq!(fixture.keyctl(&lost).code, 3);
    assert_eq!(fixture.keyctl(&["admin-key", "revoke", "adk_01jd0000000000000000000000"]).code, 3);
    let create = [&create[..], &["--role", "viewer"]].concat();
    assert_eq!(run(fixture.command().env_remove("TOLLGATE_PEPPER").args(create), "").code, 2);
}
