//! Admin keys: no key outlives the credential that made it, and owners.

use common::{
    acting::Scope,
    admin::{AdminArea, AdminScope, AdminSecret, NewAdminKey, Role, SCOPES_MAX},
    key::{KeyStatus, Pepper},
    store::{AuditAction, AuditFilter, Store, StoreError},
    tenant::TenantKind,
};

use crate::fixture::{
    Fixture, NOW, PAGE, acting_person, below, key, machine, new_admin_key, on_both_engines, person_at, root, with_key,
};

on_both_engines!(
    admin_key_is_found_by_hash_and_shows_revocation,
    admin_key_expires_with_credential_of_its_creator,
    rotated_admin_key_expires_with_credential_of_its_creator,
    revoked_admin_key_revokes_keys_made_with_it,
    move_revokes_keys_of_former_ancestors,
    deletion_revokes_admin_keys_of_tenant,
    first_owner_is_recorded_once,
);

async fn admin_key_is_found_by_hash_and_shows_revocation(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    assert!(!store.has_owner().await.unwrap());
    let secret = AdminSecret::generate();
    let pepper = Pepper::new(b"a pepper for tests").unwrap();
    let new = NewAdminKey {
        tenant: top,
        name: "deployment".into(),
        role: Role::Admin,
        scopes: vec![AdminScope::write(AdminArea::Keys), AdminScope::read(AdminArea::Usage)],
        hash: pepper.hash_admin(&secret),
        pepper_id: pepper.id().into(),
        hint: secret.hint().into(),
        expires_at: None,
    };
    let key = store.create_admin_key(&new, NOW).await.unwrap();
    assert!(!store.has_owner().await.unwrap(), "an admin is no owner");
    assert_eq!(store.admin_key_by_hash(&new.hash).await.unwrap(), Some(key.clone()));
    assert_eq!(store.admin_key_by_hash(&pepper.hash_admin(&AdminSecret::generate())).await.unwrap(), None);
    assert_eq!(store.admin_keys(Some(top)).await.unwrap(), std::slice::from_ref(&key));
    let revoked = store.revoke_admin_key(key.id, NOW).await.unwrap();
    assert_eq!(revoked.status(NOW), KeyStatus::Revoked);
    assert_eq!(store.admin_key_by_hash(&new.hash).await.unwrap(), Some(revoked));
    let other = root(&store).await.id;
    let elsewhere = store.acting_as(acting_person("anna", Scope::Subtree(other)));
    assert!(elsewhere.admin_key(key.id).await.is_err() && elsewhere.revoke_admin_key(key.id, NOW).await.is_err());
}

async fn admin_key_expires_with_credential_of_its_creator(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let end = NOW.plus_seconds(3);
    let short = NewAdminKey { expires_at: Some(end), ..new_admin_key(top) };
    let short = with_key(&store, &store.create_admin_key(&short, NOW).await.unwrap());
    let made = machine(&short, top).await;
    assert_eq!(made.expires_at, Some(end), "it ends with its maker unless it is asked to end before");
    let sooner = NewAdminKey { expires_at: Some(NOW.plus_seconds(1)), ..new_admin_key(top) };
    assert_eq!(short.create_admin_key(&sooner, NOW).await.unwrap().expires_at, sooner.expires_at);
    let later = NewAdminKey { expires_at: Some(NOW.plus_seconds(4)), ..new_admin_key(top) };
    let refused = short.create_admin_key(&later, NOW).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Refused(reason) if reason.contains("your own credential ends")),
        "{refused}"
    );
    // Nor does what that one makes.
    let again = machine(&with_key(&store, &made), top).await;
    assert_eq!(again.expires_at, Some(end));
    let everything = AdminArea::ALL.iter().flat_map(|area| [AdminScope::read(*area), AdminScope::write(*area)]);
    let all = NewAdminKey { scopes: everything.collect(), ..new_admin_key(top) };
    assert_eq!(store.create_admin_key(&all, NOW).await.unwrap().scopes.len(), SCOPES_MAX);
    let read = AdminScope::read(AdminArea::Keys);
    for scopes in [vec![read; 2], vec![read; 80_000]] {
        let many = NewAdminKey { scopes, ..new_admin_key(top) };
        assert!(matches!(store.create_admin_key(&many, NOW).await, Err(StoreError::Refused(_))));
    }
}

async fn rotated_admin_key_expires_with_credential_of_its_creator(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let old = machine(&store, top).await;
    let rotate = async |store: &Store, id, grace| {
        let new = new_admin_key(top);
        store.rotate_admin_key(id, new.hash, &new.pepper_id, &new.hint, grace, NOW).await
    };
    let rotated = rotate(&store, old.id, 60).await.unwrap();
    assert_eq!((rotated.old.expires_at, rotated.new.expires_at), (Some(NOW.plus_seconds(60)), None));
    assert_eq!(store.admin_key(old.id).await.unwrap(), rotated.old);
    assert_eq!(store.admin_key(rotated.new.id).await.unwrap(), rotated.new);
    let end = NOW.plus_seconds(3);
    let short = NewAdminKey { expires_at: Some(end), ..new_admin_key(top) };
    let short = with_key(&store, &store.create_admin_key(&short, NOW).await.unwrap());
    let again = rotate(&short, rotated.new.id, 60).await.unwrap();
    assert_eq!((again.new.expires_at, again.old.expires_at), (Some(end), Some(NOW.plus_seconds(60))));
    let sooner = rotate(&store, again.new.id, 60).await.unwrap();
    assert_eq!(sooner.old.expires_at, Some(end), "not past its own expiry");
    assert!(matches!(rotate(&store, old.id, 90_000).await, Err(StoreError::Refused(_))));
    store.revoke_admin_key(old.id, NOW).await.unwrap();
    assert!(matches!(rotate(&store, old.id, 0).await, Err(StoreError::Conflict(_))));
    // Nobody outside of the own subtree is there.
    let below = below(&store, TenantKind::Customer, top).await;
    let stranger = with_key(&store, &machine(&store, below).await);
    let foreign = rotate(&stranger, sooner.new.id, 0).await;
    assert!(matches!(foreign, Err(StoreError::NotFound { .. })), "{foreign:?}");
}

async fn revoked_admin_key_revokes_keys_made_with_it(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let (first, other) = (machine(&store, top).await, machine(&store, top).await);
    let second = machine(&with_key(&store, &first), top).await;
    let third = machine(&with_key(&store, &second), top).await;
    let of_other = machine(&with_key(&store, &other), top).await;
    let served = key(&with_key(&store, &second), top).await;
    store.revoke_admin_key(first.id, NOW).await.unwrap();
    for (revoked, is_gone) in [(&second, true), (&third, true), (&other, false), (&of_other, false)] {
        let status = store.admin_key(revoked.id).await.unwrap().status(NOW);
        assert_eq!(status == KeyStatus::Revoked, is_gone, "{revoked:?}");
    }
    assert_eq!(store.key(served.id).await.unwrap().status(NOW), KeyStatus::Active, "customers go on");
    let filter = AuditFilter { action: Some(AuditAction::AdminKeyRevoke), ..AuditFilter::default() };
    assert_eq!(store.audit_log(&filter, PAGE).await.unwrap().items.len(), 3, "each is in the log");
}

async fn move_revokes_keys_of_former_ancestors(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let before = below(&store, TenantKind::Reseller, top).await;
    let after = below(&store, TenantKind::Reseller, top).await;
    let moved = below(&store, TenantKind::Reseller, before).await;
    let child = below(&store, TenantKind::Customer, moved).await;
    let old = person_at(&store, "old reseller", before);
    let planted = machine(&old, child).await;
    let deeper = machine(&with_key(&store, &planted), child).await;
    let gone = [key(&old, moved).await, key(&old, child).await, key(&with_key(&store, &deeper), child).await];
    let own = machine(&person_at(&store, "owner", moved), child).await;
    let kept = [
        key(&person_at(&store, "owner", moved), child).await,
        key(&person_at(&store, "seller", top), moved).await,
        key(&store, child).await,
        key(&with_key(&store, &own), child).await,
        key(&old, before).await,
    ];
    store.move_tenant(moved, after, None, NOW).await.unwrap();
    for key in &gone {
        assert_eq!(store.key(key.id).await.unwrap().status(NOW), KeyStatus::Revoked, "{key:?}");
    }
    for key in &kept {
        assert_eq!(store.key(key.id).await.unwrap().status(NOW), KeyStatus::Active, "{key:?}");
    }
    for (machine, status) in [(&planted, KeyStatus::Revoked), (&deeper, KeyStatus::Revoked), (&own, KeyStatus::Active)]
    {
        assert_eq!(store.admin_key(machine.id).await.unwrap().status(NOW), status, "{machine:?}");
    }
    // Gateways hear of each.
    let changed = store.changes_after(0, 1_000).await.unwrap();
    for key in &gone {
        let heard = changed.iter().filter(|change| change.changed == common::store::Changed::Key(key.id)).count();
        assert_eq!(heard, 2, "made and revoked");
    }
}

async fn deletion_revokes_admin_keys_of_tenant(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let customer = below(&store, TenantKind::Customer, top).await;
    let key = machine(&store, customer).await;
    store.delete_tenant(customer, None, NOW).await.unwrap();
    assert_eq!(store.admin_key(key.id).await.unwrap().revoked_at, Some(NOW));
}

async fn first_owner_is_recorded_once(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let admin = NewAdminKey { role: Role::Admin, ..new_admin_key(top) };
    store.create_admin_key(&admin, NOW).await.unwrap();
    assert!(!store.has_owner().await.unwrap(), "an admin cannot make an owner");
    store.note_owner("alice", NOW).await.unwrap();
    assert!(store.has_owner().await.unwrap());
    store.note_owner("bob", NOW).await.unwrap();
    machine(&store, top).await;
    assert_eq!(fixture.number("SELECT COUNT(*) FROM first_owner WHERE name = 'alice'").await, 1);
}
