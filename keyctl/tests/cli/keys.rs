//! The life of a key, and of its secret, which is shown once.

use common::{
    key::{Key, Mode, Pepper, Secret},
    time::Micros,
};
use serde_json::{Value, json};

use crate::fixture::{Fixture, PEPPER, run, text};

fn stored<'a>(keys: &'a [Key], id: &Value) -> &'a Key {
    keys.iter().find(|key| key.id.to_string() == id.as_str().unwrap()).unwrap()
}

fn instant(value: &Value) -> Micros {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn store_holds_the_hash_of_the_shown_secret() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let created = fixture.json(&["key", "create", "--tenant", &root, "--name", "production"]);
    let secret = Secret::parse(text(&created["secret"]).as_bytes()).unwrap();
    assert_eq!(secret.mode(), Mode::Live);

    let pepper = Pepper::new(PEPPER.as_bytes()).unwrap();
    let keys = fixture.store.keys(None).await.unwrap();
    let key = stored(&keys, &created["key"]["id"]);
    assert!(key.hash.matches(&pepper.hash(&secret)));
    assert_eq!(
        created["key"],
        json!({
            "id": key.id.to_string(), "tenant": root, "name": "production", "mode": "live", "status": "active",
            "hint": secret.hint(), "pepper_id": pepper.id(), "scopes": [], "allowed_ips": [],
            "created_at": key.created_at.to_string(), "expires_at": null, "revoked_at": null, "last_used_at": null,
            "replaces": null, "created_by": created["key"]["created_by"], "revision": 1,
        })
    );
    let creator = key.created_by.as_ref().unwrap();
    assert_eq!(created["key"]["created_by"], json!({ "kind": "operator", "name": creator.name, "tenant": null }));
}

#[tokio::test]
async fn secret_is_printed_once() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let created = fixture.keyctl(&["key", "create", "--tenant", &root, "--name", "production"]);
    assert_eq!(created.code, 0, "{created:?}");
    assert!(created.stderr.contains("will not be shown again"), "{created:?}");
    let secret = created.stdout.split_whitespace().find(|word| word.starts_with("sk_live_")).unwrap();
    assert!(Secret::parse(secret.as_bytes()).is_ok());
    assert_eq!(created.stdout.matches(secret).count(), 1);
    assert!(!created.stderr.contains(secret));

    let key = &fixture.store.keys(None).await.unwrap()[0];
    let id = key.id.to_string();
    for words in [&["key", "list"][..], &["key", "show", &id], &["key", "revoke", &id]] {
        for form in ["table", "json"] {
            let run = fixture.keyctl(&[words, &["--output", form]].concat());
            assert_eq!(run.code, 0, "{run:?}");
            assert!(run.stdout.contains(&id), "{run:?}");
            for hidden in [secret, &secret[8..34], &key.hash.to_hex()] {
                assert!(!run.stdout.contains(hidden) && !run.stderr.contains(hidden), "{words:?}: {run:?}");
            }
        }
    }
}

#[tokio::test]
async fn rotated_key_works_through_its_grace() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let created = fixture.json(&["key", "create", "--tenant", &root, "--name", "ci", "--test", "--expires-in", "90d"]);
    assert!(text(&created["secret"]).starts_with("sk_test_"));
    let lifetime = instant(&created["key"]["expires_at"]).0 - instant(&created["key"]["created_at"]).0;
    assert_eq!(lifetime, 90 * 86_400 * Micros::PER_SECOND);

    let rotated = fixture.json(&["key", "rotate", &text(&created["key"]["id"]), "--grace", "1h"]);
    let (old, new) = (&rotated["old"], &rotated["new"]);
    assert_eq!(old["id"], created["key"]["id"]);
    assert_eq!((&old["status"], &new["status"]), (&json!("active"), &json!("active")));
    assert_eq!(instant(&old["expires_at"]), instant(&new["created_at"]).plus_seconds(3_600));
    assert_eq!(new["replaces"], old["id"]);
    for taken_over in ["tenant", "name", "mode"] {
        assert_eq!(new[taken_over], created["key"][taken_over]);
    }
    assert_eq!(new["expires_at"], created["key"]["expires_at"]);

    let secret = Secret::parse(text(&rotated["secret"]).as_bytes()).unwrap();
    assert_eq!(secret.mode(), Mode::Test);
    assert_ne!(rotated["secret"], created["secret"]);
    let pepper = Pepper::new(PEPPER.as_bytes()).unwrap();
    let keys = fixture.store.keys(None).await.unwrap();
    assert!(stored(&keys, &new["id"]).hash.matches(&pepper.hash(&secret)));
    let first = Secret::parse(text(&created["secret"]).as_bytes()).unwrap();
    assert!(stored(&keys, &old["id"]).hash.matches(&pepper.hash(&first)), "the old secret must work on");
}

#[tokio::test]
async fn rotation_without_grace_ends_the_old_key_at_once() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let created = fixture.json(&["key", "create", "--tenant", &root, "--name", "leaked"]);
    let rotated = fixture.json(&["key", "rotate", &text(&created["key"]["id"]), "--grace", "0"]);
    assert_eq!((&rotated["old"]["status"], &rotated["new"]["status"]), (&json!("expired"), &json!("active")));
}

#[tokio::test]
async fn revoked_key_stays_revoked() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let id = text(&fixture.json(&["key", "create", "--tenant", &root, "--name", "old"])["key"]["id"]);
    let revoked = fixture.json(&["key", "revoke", &id]);
    assert_eq!(revoked["status"], "revoked");
    let before = fixture.store.last_change().await.unwrap();
    assert_eq!(fixture.json(&["key", "revoke", &id]), revoked);
    assert_eq!(fixture.store.last_change().await.unwrap(), before);
    assert_eq!(fixture.keyctl(&["key", "rotate", &id]).code, 4);
}

#[tokio::test]
async fn keys_are_listed_by_tenant() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let other = fixture.id(&["tenant", "create", "--name", "Acme", "--parent", &root]);
    let first = fixture.json(&["key", "create", "--tenant", &root, "--name", "one"]);
    let second = fixture.json(&["key", "create", "--tenant", &other, "--name", "two"]);
    assert_eq!(fixture.json(&["key", "list"]), json!([first["key"], second["key"]]));
    assert_eq!(fixture.json(&["key", "list", "--tenant", &other]), json!([second["key"]]));
    assert_eq!(fixture.json(&["key", "show", &text(&first["key"]["id"])]), first["key"]);
}

#[tokio::test]
async fn forbidden_changes_are_refused() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let create = ["key", "create", "--tenant", &root, "--name"];
    for words in
        [&["late", "--expires", "2020-01-01T00:00:00Z"][..], &["now", "--expires-in", "0"], &["tab\there"], &[""]]
    {
        let run = fixture.keyctl(&[&create, words].concat());
        assert_eq!(run.code, 4, "{words:?}: {run:?}");
    }
    let id = text(&fixture.json(&[&create[..], &["good"]].concat())["key"]["id"]);
    assert_eq!(fixture.keyctl(&["key", "rotate", &id, "--grace", "86401"]).code, 4);
    assert_eq!(fixture.store.keys(None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn missing_keys_and_tenants_are_not_found() {
    let fixture = Fixture::new().await;
    let key = "key_01jd0000000000000000000000";
    let tenant = "ten_01jd0000000000000000000000";
    for words in [
        &["key", "show", key][..],
        &["key", "rotate", key],
        &["key", "revoke", key],
        &["key", "list", "--tenant", tenant],
        &["key", "create", "--tenant", tenant, "--name", "lost"],
    ] {
        let run = fixture.keyctl(words);
        assert_eq!(run.code, 3, "{words:?}: {run:?}");
    }
}

#[tokio::test]
async fn pepper_comes_from_a_file_or_the_environment() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let create = ["key", "create", "--tenant", &root, "--name", "any", "--output", "json"];

    let missing = run(fixture.command().env_remove("TOLLGATE_PEPPER").args(create), "");
    assert_eq!(missing.code, 2, "{missing:?}");
    assert!(missing.stderr.contains("--pepper-file") && missing.stderr.contains("TOLLGATE_PEPPER"), "{missing:?}");
    assert_eq!(run(fixture.command().env("TOLLGATE_PEPPER", "short").args(create), "").code, 4);
    assert_eq!(run(fixture.command().args(create).args(["--pepper-file", "nowhere"]), "").code, 1);
    assert!(fixture.store.keys(None).await.unwrap().is_empty());

    // What is typed comes before what is set.
    fixture.file("pepper", "another pepper for tests\n");
    let created = run(fixture.command().args(create).args(["--pepper-file", "pepper"]), "");
    let created: Value = serde_json::from_str(&created.stdout).unwrap();
    assert_eq!(created["key"]["pepper_id"], Pepper::new(b"another pepper for tests").unwrap().id());
}

/// A key under another pepper would be dead from the start: no gateway of this store could know it.
#[tokio::test]
async fn pepper_of_other_keys_is_refused() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    fixture.file("pepper", "another pepper for tests\n");
    let first = fixture.json(&["key", "create", "--tenant", &root, "--name", "first"]);
    let id = text(&first["key"]["id"]);
    let admin = ["admin-key", "create", "--tenant", &root, "--name", "any", "--role", "owner"];
    for command in [&["key", "create", "--tenant", &root, "--name", "second"][..], &["key", "rotate", &id], &admin] {
        let refused = run(fixture.command().args(command).args(["--pepper-file", "pepper"]), "");
        assert_eq!(refused.code, 4, "{refused:?}");
        assert!(refused.stderr.contains("hashed under another pepper"), "{refused:?}");
    }
    assert_eq!(fixture.store.keys(None).await.unwrap().len(), 1);
    // Nothing hangs on the old pepper once no key is in force under it.
    fixture.json(&["key", "revoke", &id]);
    let created = run(fixture.command().args(&admin[..]).args(["--pepper-file", "pepper"]), "");
    assert_eq!(created.code, 0, "{created:?}");
}

#[tokio::test]
async fn key_is_restricted_and_opened_again() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let create = ["key", "create", "--tenant", &root, "--name", "shop", "--scopes", "search,orders"];
    let addresses = ["--allowed-ips", "203.0.113.7,2001:db8::/32"];
    let created = fixture.json(&[&create[..], &addresses].concat())["key"].clone();
    assert_eq!(created["scopes"], json!(["search", "orders"]));
    assert_eq!(created["allowed_ips"], json!(["203.0.113.7/32", "2001:db8::/32"]), "an address is a range of one");

    let id = text(&created["id"]);
    let renamed = fixture.json(&["key", "update", &id, "--name", "store front"]);
    assert_eq!((&renamed["name"], &renamed["scopes"]), (&json!("store front"), &created["scopes"]));
    let moved = fixture.json(&["key", "update", &id, "--allowed-ips", "198.51.100.1", "--scopes", "search"]);
    assert_eq!((&moved["allowed_ips"], &moved["scopes"]), (&json!(["198.51.100.1/32"]), &json!(["search"])));
    let open = fixture.json(&["key", "update", &id, "--any-route", "--any-address"]);
    assert_eq!((&open["allowed_ips"], &open["scopes"]), (&json!([]), &json!([])));
    let table = fixture.keyctl(&["key", "show", &id]).stdout;
    assert!(table.contains("every route") && table.contains("anywhere"), "{table}");
}

#[tokio::test]
async fn invalid_change_of_a_key_is_refused() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let id = text(&fixture.json(&["key", "create", "--tenant", &root, "--name", "one"])["key"]["id"]);
    for (words, code) in [
        (&[][..], 2),
        (&["--scopes", "search", "--any-route"], 2),
        (&["--allowed-ips", "example.com"], 2),
        (&["--allowed-ips", "10.0.0.1/8"], 2),
        (&["--allowed-ips", "203.0.113.0/33"], 2),
        (&["--scopes", "Not A Scope"], 4),
        (&["--scopes", "search,search"], 4),
        (&["--name", "a\u{1b}b"], 4),
    ] {
        let run = fixture.keyctl(&[&["key", "update", &id], words].concat());
        assert_eq!(run.code, code, "{words:?}: {run:?}");
    }
    fixture.json(&["key", "revoke", &id]);
    assert_eq!(fixture.keyctl(&["key", "update", &id, "--name", "two"]).code, 4);
    assert_eq!(fixture.keyctl(&["key", "update", "key_01jd0000000000000000000000", "--name", "two"]).code, 3);
}

#[tokio::test]
async fn keys_are_listed_by_subtree_and_status() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let customer = fixture.id(&["tenant", "create", "--name", "Acme", "--parent", &root]);
    let create = |tenant: &str, name: &str| {
        text(&fixture.json(&["key", "create", "--tenant", tenant, "--name", name])["key"]["id"])
    };
    let (of_root, of_customer) = (create(&root, "one"), create(&customer, "two"));
    fixture.json(&["key", "revoke", &of_customer]);
    let ids = |words: &[&str]| {
        let keys = fixture.json(&[&["key", "list"], words].concat());
        keys.as_array().unwrap().iter().map(|key| text(&key["id"])).collect::<Vec<_>>()
    };
    assert_eq!(ids(&["--subtree-of", &root]), [of_root.as_str(), &of_customer]);
    assert_eq!(ids(&["--subtree-of", &customer]), [of_customer.as_str()]);
    assert_eq!(ids(&["--status", "active"]), [of_root.as_str()]);
    assert_eq!(ids(&["--status", "revoked", "--tenant", &customer]), [of_customer.as_str()]);
    assert!(ids(&["--status", "expired"]).is_empty());
    let unknown = "ten_01jd0000000000000000000000";
    assert_eq!(fixture.keyctl(&["key", "list", "--subtree-of", unknown]).code, 3);
}

#[tokio::test]
async fn last_use_of_a_key_is_shown() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let id = text(&fixture.json(&["key", "create", "--tenant", &root, "--name", "one"])["key"]["id"]);
    let minute = "2026-11-22T01:30:00Z";
    fixture.store.touch_keys(&[(id.parse().unwrap(), minute.parse().unwrap())]).await.unwrap();
    assert_eq!(fixture.json(&["key", "show", &id])["last_used_at"], minute);
    let table = fixture.keyctl(&["key", "list"]).stdout;
    assert!(table.contains("LAST USED") && table.contains(minute), "{table}");
}

#[tokio::test]
async fn leaked_key_is_found_by_its_secret_which_is_shown_nowhere() {
    let fixture = Fixture::new().await;
    let root = fixture.root();
    let created = fixture.json(&["key", "create", "--tenant", &root, "--name", "leaked"]);
    let (secret, id) = (text(&created["secret"]), text(&created["key"]["id"]));
    let machine = fixture.json(&["admin-key", "create", "--tenant", &root, "--name", "leaked", "--role", "viewer"]);
    let machines = text(&machine["secret"]);
    for (group, stdin, id) in [("key", &secret, &id), ("admin-key", &machines, &text(&machine["key"]["id"]))] {
        for form in ["table", "json"] {
            let found = fixture.keyctl_reading(&[group, "find", "--output", form], &format!("  {stdin}\n"));
            assert_eq!(found.code, 0, "{found:?}");
            assert!(found.stdout.contains(id.as_str()), "{found:?}");
            assert!(!found.stdout.contains(&stdin[8..]) && !found.stderr.contains(&stdin[8..]), "{found:?}");
        }
    }
    let other = common::key::Secret::generate(common::key::Mode::Live).expose().to_owned();
    for (group, stdin, code) in
        [("key", &other, 3), ("key", &machines, 2), ("admin-key", &secret, 2), ("key", &format!("{secret}x"), 2)]
    {
        let refused = fixture.keyctl_reading(&[group, "find"], stdin);
        assert_eq!(refused.code, code, "{refused:?}");
        assert!(!refused.stderr.contains(&stdin[8..30]) && refused.stdout.is_empty(), "{refused:?}");
    }
    let named = fixture.json(&["key", "list", "--name", "LEAK"]);
    assert_eq!(named[0]["id"], json!(id));
    assert_eq!(fixture.json(&["key", "list", "--name", "other"]), json!([]));
    assert_eq!(fixture.json(&["tenant", "list", "--name", "example"])[0]["id"], json!(root));
}
