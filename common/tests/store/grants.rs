//! What one may give others: nothing outlives who gave it, and nobody sees more of those above than that they are there.

use common::{
    acting::{Acting, Actor, ActorKind, Creator, Scope},
    admin::{AdminArea, AdminKey, AdminKeyFilter, AdminScope, AdminSecret, NewAdminKey, Role, SCOPES_MAX},
    id::TenantId,
    key::{KeyFilter, KeyStatus, Pepper},
    store::{AuditAction, AuditFilter, PageRequest, Store, StoreError},
    tenant::{TenantFilter, TenantKind, lifecycle::NewTenant},
    time::Micros,
};

use crate::fixture::{Fixture, NOW, key, new_key, new_tenant, on_both_engines, plan, root};

on_both_engines!(
    an_admin_key_ends_with_the_credential_that_it_was_made_with,
    what_was_made_with_a_revoked_admin_key_is_revoked_with_it,
    an_admin_key_is_rotated_no_longer_than_whoever_does_it_lasts,
    a_move_revokes_what_came_from_those_who_are_not_above_any_more,
    a_deleted_tenants_admin_keys_are_revoked,
    who_made_a_key_is_told_to_those_at_their_level_and_above,
    the_log_tells_nobody_who_those_above_them_are,
    the_first_owner_of_any_kind_is_written_down,
    names_are_searched_in_either_case,
    plans_wait_for_the_first_root,
);

const PAGE: PageRequest = PageRequest { after: None, limit: 100 };

fn new_admin_key(tenant: TenantId) -> NewAdminKey {
    let secret = AdminSecret::generate();
    let pepper = Pepper::new(b"a pepper for tests").unwrap();
    NewAdminKey {
        tenant,
        name: "machine".into(),
        role: Role::Owner,
        scopes: Vec::new(),
        hash: pepper.hash_admin(&secret),
        pepper_id: pepper.id().into(),
        hint: secret.hint().into(),
        expires_at: None,
    }
}

/// The store as it exists for whoever holds an admin key.
fn with_key(store: &Store, key: &AdminKey) -> Store {
    let address = Some("192.0.2.7".parse().unwrap());
    let request_id = Some("req-7".into());
    let actor = Actor { kind: ActorKind::AdminKey, name: key.id.to_string(), address, request_id };
    store.acting_as(Acting { actor, scope: Scope::Subtree(key.tenant), idempotency: None, until: key.expires_at })
}

/// The store as it exists for a person at a tenant.
fn person(store: &Store, name: &str, tenant: TenantId) -> Store {
    let actor = Actor { kind: ActorKind::Person, name: name.into(), address: None, request_id: None };
    store.acting_as(Acting { actor, scope: Scope::Subtree(tenant), idempotency: None, until: None })
}

async fn machine(store: &Store, tenant: TenantId) -> AdminKey {
    store.create_admin_key(&new_admin_key(tenant), NOW).await.unwrap()
}

async fn below(store: &Store, kind: TenantKind, parent: TenantId) -> TenantId {
    store.create_tenant(&new_tenant(kind, Some(parent)), NOW).await.unwrap().id
}

async fn an_admin_key_ends_with_the_credential_that_it_was_made_with(fixture: Fixture) {
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

async fn an_admin_key_is_rotated_no_longer_than_whoever_does_it_lasts(fixture: Fixture) {
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

async fn what_was_made_with_a_revoked_admin_key_is_revoked_with_it(fixture: Fixture) {
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

async fn a_move_revokes_what_came_from_those_who_are_not_above_any_more(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let before = below(&store, TenantKind::Reseller, top).await;
    let after = below(&store, TenantKind::Reseller, top).await;
    let moved = below(&store, TenantKind::Reseller, before).await;
    let child = below(&store, TenantKind::Customer, moved).await;
    let old = person(&store, "old reseller", before);
    let planted = machine(&old, child).await;
    let deeper = machine(&with_key(&store, &planted), child).await;
    let gone = [key(&old, moved).await, key(&old, child).await, key(&with_key(&store, &deeper), child).await];
    let own = machine(&person(&store, "owner", moved), child).await;
    let kept = [
        key(&person(&store, "owner", moved), child).await,
        key(&person(&store, "seller", top), moved).await,
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

async fn a_deleted_tenants_admin_keys_are_revoked(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let customer = below(&store, TenantKind::Customer, top).await;
    let key = machine(&store, customer).await;
    store.delete_tenant(customer, None, NOW).await.unwrap();
    assert_eq!(store.admin_key(key.id).await.unwrap().revoked_at, Some(NOW));
}

async fn who_made_a_key_is_told_to_those_at_their_level_and_above(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let customer = below(&store, TenantKind::Customer, top).await;
    let seller = machine(&store, top).await;
    let made = key(&with_key(&store, &seller), customer).await;
    let creator = Creator { kind: ActorKind::AdminKey, name: Some(seller.id.to_string()), tenant: Some(top) };
    assert_eq!(made.created_by, Some(creator.clone()));
    for looking in [store.clone(), person(&store, "seller", top)] {
        assert_eq!(looking.key(made.id).await.unwrap().created_by, Some(creator.clone()));
    }
    let hidden = Some(Creator { kind: ActorKind::AdminKey, name: None, tenant: None });
    let own = person(&store, "customer", customer);
    assert_eq!(own.key(made.id).await.unwrap().created_by, hidden);
    assert_eq!(own.keys(None).await.unwrap()[0].created_by, hidden);
    assert_eq!(own.revoke_key(made.id, NOW).await.unwrap().created_by, hidden);
    let mine = key(&own, customer).await;
    assert_eq!(own.key(mine.id).await.unwrap().created_by.unwrap().name.as_deref(), Some("customer"));
    // A rotation makes a key, and whoever rotates has made it.
    let rotated = own.rotate_key(mine.id, new_key(customer).hash, "p", "abcd", 0, NOW).await.unwrap();
    assert_eq!(rotated.new.created_by.unwrap().tenant, Some(customer));
}

async fn the_log_tells_nobody_who_those_above_them_are(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let customer = below(&store, TenantKind::Customer, top).await;
    let seller = machine(&store, top).await;
    let made = key(&with_key(&store, &seller), customer).await;
    person(&store, "customer", customer).revoke_key(made.id, NOW).await.unwrap();
    let seen = async |looking: &Store| {
        let filter = AuditFilter { subject: Some(made.id.to_string()), ..AuditFilter::default() };
        looking.audit_log(&filter, PAGE).await.unwrap().items
    };
    let above = seen(&person(&store, "seller", top)).await;
    assert_eq!(above[1].actor, Some(seller.id.to_string()));
    assert_eq!((above[1].address.as_deref(), above[1].request_id.as_deref()), (Some("192.0.2.7"), Some("req-7")));
    let own = seen(&person(&store, "customer", customer)).await;
    assert_eq!((own[0].action.as_str(), own[0].actor.as_deref()), ("key.revoke", Some("customer")));
    assert_eq!((own[1].action.as_str(), own[1].actor_kind), ("key.create", ActorKind::AdminKey));
    assert_eq!((&own[1].actor, &own[1].address, &own[1].request_id), (&None, &None, &None));
    let text = format!("{own:?}");
    assert!(!text.contains(&seller.id.to_string()) && !text.contains("192.0.2.7") && !text.contains("req-7"), "{text}");
}

async fn the_first_owner_of_any_kind_is_written_down(fixture: Fixture) {
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

async fn names_are_searched_in_either_case(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    for name in ["Acme GmbH", "ACME 100%", "\u{d6}sterreich_Werke", "Other"] {
        let new = NewTenant { name: name.into(), ..new_tenant(TenantKind::Customer, Some(top)) };
        store.create_tenant(&new, NOW).await.unwrap();
    }
    let found = async |part: &str| {
        let filter = TenantFilter { parent: Some(top), name: Some(part.into()), ..TenantFilter::default() };
        store.tenants_page(&filter, PAGE).await.unwrap().items.len()
    };
    for (part, count) in [("acme", 2), ("ACME", 2), ("%", 1), ("_", 1), ("\u{f6}ster", 1), ("!", 0), ("", 4), ("'", 0)]
    {
        assert_eq!(found(part).await, count, "{part}");
    }
    key(&store, top).await;
    machine(&store, top).await;
    for (part, count) in [("KEY", 1), ("machine", 0)] {
        let filter = KeyFilter { name: Some(part.into()), ..KeyFilter::default() };
        assert_eq!(store.keys_page(&filter, PAGE).await.unwrap().items.len(), count, "{part}");
    }
    let filter = AdminKeyFilter { name: Some("Mach".into()), ..AdminKeyFilter::default() };
    assert_eq!(store.admin_keys_page(&filter, PAGE).await.unwrap().items.len(), 1);
}

async fn plans_wait_for_the_first_root(fixture: Fixture) {
    let store = fixture.store().await;
    store.apply_plans(&[plan("growth", "1.00"), plan("old", "2.00")], NOW).await.unwrap();
    store.deprecate_plan(&"old".parse().unwrap(), true, NOW).await.unwrap();
    assert!(store.plans().await.unwrap().iter().all(|stored| stored.owner.is_none()));
    let first = root(&store).await.id;
    let page = store.plans_page(Some(first), None, 100).await.unwrap();
    assert_eq!(page.items.iter().map(|one| one.deprecated).collect::<Vec<_>>(), [false, true]);
    let second = root(&store).await.id;
    assert_eq!(store.plans_page(Some(second), None, 100).await.unwrap().items, []);
    let unclear = store.apply_plans(&[plan("growth", "3.00")], NOW).await.unwrap_err();
    assert!(unclear.to_string().contains("name the tenant that the plans are to belong to"), "{unclear}");
    store.apply_plans_of(Some(second), &[plan("growth", "3.00")], NOW).await.unwrap();
    let growth = "growth".parse().unwrap();
    assert!(store.plan(&growth, None).await.unwrap_err().to_string().contains("several tenants"));
    assert_eq!(store.plan_of(Some(first), &growth, None).await.unwrap().stored.plan.flat_fee, "1.00");
    let late = Micros(NOW.0 + 1);
    store.delete_tenant(second, None, late).await.unwrap();
    let refused = store.apply_plans_of(Some(second), &[plan("growth", "4.00")], late).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict(_)), "{refused}");
}
