//! Keys: creation, restrictions, rotation and revocation.

use common::{
    acting::{ActorKind, Creator},
    id::{KeyId, TenantId},
    key::{KeyFilter, KeyStatus, KeyUpdate, Mode, NewKey, Pepper, ROTATION_GRACE_MAX_SECONDS, Secret},
    store::{Changed, StoreError},
    tenant::TenantKind,
    time::Micros,
};

use crate::fixture::{
    Fixture, NOW, PAGE, assert_conflict, assert_refused, below, changes, key, machine, new_key, on_both_engines,
    person_at, root, with_key,
};

on_both_engines!(
    created_key_reads_back,
    invalid_key_is_refused_and_changes_nothing,
    key_update_changes_scopes_and_revision,
    rotated_key_lasts_for_grace_and_new_key_keeps_its_settings,
    second_revocation_changes_nothing,
    creator_of_key_is_shown_at_its_level_and_above,
);

async fn created_key_reads_back(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let new = NewKey { mode: Mode::Test, expires_at: Some(NOW.plus_seconds(60)), ..new_key(tenant) };
    let created = store.create_key(&new, NOW).await.unwrap();
    assert_eq!((created.hash, created.mode, created.expires_at), (new.hash, Mode::Test, new.expires_at));
    assert_eq!(store.key(created.id).await.unwrap(), created);
    let other_tenant = root(&store).await.id;
    let other = key(&store, other_tenant).await;
    assert_eq!(store.keys(Some(tenant)).await.unwrap(), std::slice::from_ref(&created));
    assert_eq!(store.keys(None).await.unwrap(), [created, other]);
}

async fn invalid_key_is_refused_and_changes_nothing(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let taken = key(&store, tenant).await;
    let before = changes(&store).await;
    let create = async |new: NewKey| store.create_key(&new, NOW).await;

    assert_refused(create(NewKey { name: "a\nb".into(), ..new_key(tenant) }).await, "control character");
    assert_refused(create(NewKey { expires_at: Some(NOW), ..new_key(tenant) }).await, "would have expired");
    assert_conflict(create(NewKey { hash: taken.hash, ..new_key(tenant) }).await, "has this secret already");
    let unknown = create(new_key(TenantId::generate())).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { what: "tenant", .. }), "{unknown}");
    let unknown = store.revoke_key(KeyId::generate(), NOW).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { what: "key", .. }), "{unknown}");
    assert_eq!(changes(&store).await, before, "what was refused left no trace");
}

async fn key_update_changes_scopes_and_revision(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let ranges = vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    let new = NewKey { scopes: vec!["read".into(), "write".into()], allowed_ips: ranges, ..new_key(top) };
    let created = store.create_key(&new, NOW).await.unwrap();
    assert_eq!(store.key(created.id).await.unwrap(), created);
    let update = KeyUpdate { name: Some("other".into()), scopes: Some(Vec::new()), allowed_ips: None };
    let updated = store.update_key(created.id, &update, Some(1), NOW).await.unwrap();
    assert_eq!((updated.revision, updated.scopes.len(), updated.allowed_ips.len()), (2, 0, 2));
    assert_eq!(store.key(created.id).await.unwrap(), updated);
    let stale = store.update_key(created.id, &update, Some(1), NOW).await.unwrap_err();
    assert!(matches!(stale, StoreError::Stale { .. }), "{stale}");
    for scopes in [vec!["a b".to_owned()], vec!["A".into()], vec!["a".into(), "a".into()], vec![String::new()]] {
        assert!(store.create_key(&NewKey { scopes, ..new_key(top) }, NOW).await.is_err());
    }
    // Last use moves forward only, changes no revision and tells no gateway.
    let before = store.last_change().await.unwrap();
    let mut used: Vec<_> = (0..600).map(|_| (common::id::KeyId::generate(), Micros(1))).collect();
    used.insert(300, (created.id, Micros(60)));
    store.touch_keys(&used).await.unwrap();
    store.touch_keys(&[(created.id, Micros(30))]).await.unwrap();
    let touched = store.key(created.id).await.unwrap();
    assert_eq!((touched.last_used_at, touched.revision), (Some(Micros(60)), 2));
    assert_eq!(store.last_change().await.unwrap(), before);
    store.revoke_key(created.id, NOW).await.unwrap();
    assert!(store.update_key(created.id, &update, None, NOW).await.is_err());
    let filter = |status| KeyFilter { status: Some((status, NOW)), ..KeyFilter::default() };
    assert_eq!(store.keys_page(&filter(KeyStatus::Revoked), PAGE).await.unwrap().items.len(), 1);
    assert_eq!(store.keys_page(&filter(KeyStatus::Active), PAGE).await.unwrap().items.len(), 0);
}

async fn rotated_key_lasts_for_grace_and_new_key_keeps_its_settings(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let expiry = NOW.plus_seconds(1_000);
    let old = store.create_key(&NewKey { expires_at: Some(expiry), ..new_key(tenant) }, NOW).await.unwrap();
    let pepper = Pepper::new(b"another pepper for tests").unwrap();
    let hash = || pepper.hash(&Secret::generate(Mode::Live));
    let rotate = async |id, grace| store.rotate_key(id, hash(), pepper.id(), "wxyz", grace, NOW).await;

    assert_refused(rotate(old.id, ROTATION_GRACE_MAX_SECONDS + 1).await, "too long");
    let rotation = rotate(old.id, 60).await.unwrap();
    assert_eq!(rotation.old.expires_at, Some(NOW.plus_seconds(60)));
    assert_eq!(store.key(old.id).await.unwrap(), rotation.old);
    assert_eq!(store.key(rotation.new.id).await.unwrap(), rotation.new);
    let new = &rotation.new;
    assert_eq!((new.tenant, &new.name, new.mode, new.expires_at), (old.tenant, &old.name, old.mode, old.expires_at));
    assert_eq!((new.replaces, new.pepper_id.as_str(), new.hint.as_str()), (Some(old.id), pepper.id(), "wxyz"));
    let expected = [Changed::Tenant(tenant), Changed::Key(old.id), Changed::Key(new.id), Changed::Key(old.id)];
    assert_eq!(changes(&store).await, expected);

    let longer = rotate(new.id, 5_000).await.unwrap();
    assert_eq!(longer.old.expires_at, Some(expiry), "grace never prolongs a key");
    let at_once = rotate(longer.new.id, 0).await.unwrap();
    assert_eq!(at_once.old.status(NOW), KeyStatus::Expired);
    assert_conflict(rotate(at_once.old.id, 0).await, "is expired");
    store.revoke_key(at_once.new.id, NOW).await.unwrap();
    assert_conflict(rotate(at_once.new.id, 0).await, "is revoked");
}

async fn second_revocation_changes_nothing(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = root(&store).await.id;
    let key = key(&store, tenant).await;
    let first = store.revoke_key(key.id, NOW).await.unwrap();
    assert_eq!(first.revoked_at, Some(NOW));
    assert_eq!(store.revoke_key(key.id, NOW.plus_seconds(5)).await.unwrap(), first);
    assert_eq!(changes(&store).await.len(), 3);
    assert!(store.catalog().await.unwrap().keys.is_empty(), "a revoked key is served no more");
}

async fn creator_of_key_is_shown_at_its_level_and_above(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let customer = below(&store, TenantKind::Customer, top).await;
    let seller = machine(&store, top).await;
    let made = key(&with_key(&store, &seller), customer).await;
    let creator = Creator { kind: ActorKind::AdminKey, name: Some(seller.id.to_string()), tenant: Some(top) };
    assert_eq!(made.created_by, Some(creator.clone()));
    for looking in [store.clone(), person_at(&store, "seller", top)] {
        assert_eq!(looking.key(made.id).await.unwrap().created_by, Some(creator.clone()));
    }
    let hidden = Some(Creator { kind: ActorKind::AdminKey, name: None, tenant: None });
    let own = person_at(&store, "customer", customer);
    assert_eq!(own.key(made.id).await.unwrap().created_by, hidden);
    assert_eq!(own.keys(None).await.unwrap()[0].created_by, hidden);
    assert_eq!(own.revoke_key(made.id, NOW).await.unwrap().created_by, hidden);
    let mine = key(&own, customer).await;
    assert_eq!(own.key(mine.id).await.unwrap().created_by.unwrap().name.as_deref(), Some("customer"));
    // A rotation makes a key, and whoever rotates has made it.
    let rotated = own.rotate_key(mine.id, new_key(customer).hash, "p", "abcd", 0, NOW).await.unwrap();
    assert_eq!(rotated.new.created_by.unwrap().tenant, Some(customer));
}
