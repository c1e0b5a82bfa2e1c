//! Members: who may sign in by mail, and whose sessions end.

use common::{
    acting::Scope,
    admin::Role,
    key::{KeyHash, Pepper},
    member::Member,
    outbox::MessageFilter,
    session::{SessionSecret, SessionSecretKind},
    store::{Store, StoreError},
};

use crate::fixture::{Fixture, NOW, PAGE, acting_person, assert_refused, customer, on_both_engines, root};

on_both_engines!(
    list_is_replaced_as_a_whole_and_ends_sessions_of_those_who_left,
    message_is_written_for_each_tenant_of_an_address_and_has_no_secret,
    link_of_somebody_who_is_no_member_is_not_made,
    faulty_list_is_refused_and_changes_nothing,
);

fn member(address: &str, role: Role) -> Member {
    Member { address: address.parse().unwrap(), role }
}

fn hash() -> KeyHash {
    let pepper = Pepper::new(b"0123456789abcdef").unwrap();
    pepper.hash_session(&SessionSecret::generate(SessionSecretKind::Link))
}

async fn list_is_replaced_as_a_whole_and_ends_sessions_of_those_who_left(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = customer(&store, root(&store).await.id).await;
    let (anna, bob) = (member("anna@acme.example", Role::Admin), member("bob@acme.example", Role::Viewer));
    store.set_members(tenant, &[bob.clone(), anna.clone()], NOW).await.unwrap();
    assert_eq!(store.members(tenant).await.unwrap(), [anna.clone(), bob.clone()]);
    let (of_anna, of_bob) = (hash(), hash());
    for (one, hash) in [(&anna, of_anna), (&bob, of_bob)] {
        let until = store.create_member_link(tenant, &one.address, (hash, 3_600), NOW).await.unwrap();
        assert_eq!(until, Some(NOW.plus_seconds(600)));
    }
    let promoted = member("BOB@acme.example", Role::Billing);
    store.set_members(tenant, &[anna.clone(), promoted], NOW).await.unwrap();
    assert!(store.session_by_link(&of_anna, NOW).await.unwrap().is_some(), "nothing changed for her");
    assert!(store.session_by_link(&of_bob, NOW).await.unwrap().is_none(), "he has another role");
    store.set_members(tenant, &[], NOW).await.unwrap();
    assert!(store.session_by_link(&of_anna, NOW).await.unwrap().is_none());
    assert_eq!(store.members(tenant).await.unwrap(), []);
    let narrowed = store.acting_as(acting_person("anna", Scope::Subtree(tenant)));
    let other = root(&store).await.id;
    assert!(matches!(narrowed.members(other).await, Err(StoreError::NotFound { .. })));
    assert!(matches!(narrowed.set_members(other, &[], NOW).await, Err(StoreError::NotFound { .. })));
}

async fn message_is_written_for_each_tenant_of_an_address_and_has_no_secret(fixture: Fixture) {
    let store = fixture.store().await;
    let root = root(&store).await.id;
    let tenants = [customer(&store, root).await, customer(&store, root).await];
    for tenant in tenants {
        store.set_members(tenant, &[member("anna@acme.example", Role::Admin)], NOW).await.unwrap();
    }
    let count = async |address: &str| store.ask_to_sign_in(&address.parse().unwrap(), NOW).await.unwrap();
    assert_eq!(count("nobody@acme.example").await, 0);
    assert_eq!(count("Anna@Acme.example").await, 2);
    store.delete_tenant(tenants[1], None, NOW).await.unwrap();
    assert_eq!(count("anna@acme.example").await, 1);
    let messages = store.messages(&MessageFilter::default(), PAGE).await.unwrap().items;
    assert_eq!(messages.len(), 3);
    assert!(messages.iter().all(|message| message.target == "anna@acme.example" && message.event.is_none()));
    assert!(!format!("{messages:?}").contains("lnk_"));
}

async fn link_of_somebody_who_is_no_member_is_not_made(fixture: Fixture) {
    let store: Store = fixture.store().await;
    let tenant = customer(&store, root(&store).await.id).await;
    let link = store.create_member_link(tenant, &"bob@acme.example".parse().unwrap(), (hash(), 60), NOW).await.unwrap();
    assert_eq!(link, None);
}

async fn faulty_list_is_refused_and_changes_nothing(fixture: Fixture) {
    let store = fixture.store().await;
    let tenant = customer(&store, root(&store).await.id).await;
    let anna = member("anna@acme.example", Role::Admin);
    store.set_members(tenant, std::slice::from_ref(&anna), NOW).await.unwrap();
    let owner = [member("bob@acme.example", Role::Owner)];
    assert_refused(store.set_members(tenant, &owner, NOW).await, "members: bob@acme.example");
    let twice = [anna.clone(), member("ANNA@acme.example", Role::Viewer)];
    assert_refused(store.set_members(tenant, &twice, NOW).await, "named twice");
    let many: Vec<_> = (0..101).map(|number| member(&format!("p{number}@acme.example"), Role::Viewer)).collect();
    assert_refused(store.set_members(tenant, &many, NOW).await, "at most 100");
    assert_eq!(store.members(tenant).await.unwrap(), [anna]);
}
