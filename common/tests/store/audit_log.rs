//! The audit log: what it says of a change, to whom, and that nothing rewrites it.

use common::{
    acting::{Acting, Actor, ActorKind, Scope},
    key::NewKey,
    store::{AuditAction, AuditFilter, PageRequest, Store, StoreError},
    tenant::{
        TenantKind::{self, Customer, Reseller},
        TenantStatus, TenantUpdate,
    },
};

use crate::fixture::{
    Fixture, NOW, PAGE, acting_person, below, customer, key, machine, new_key, on_both_engines, person_at, root,
    with_key,
};

on_both_engines!(
    change_is_logged_with_actor_and_states,
    the_audit_log_is_append_only,
    audit_log_hides_actors_above_the_reader,
    audit_log_entries_belong_to_tree_of_their_time,
);

async fn change_is_logged_with_actor_and_states(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let anna = store.acting_as(acting_person("anna", Scope::Subtree(top)));
    let child = customer(&anna, top).await;
    anna.set_tenant_status(child, TenantStatus::Suspended, NOW).await.unwrap();
    anna.set_tenant_status(child, TenantStatus::Suspended, NOW).await.unwrap();
    let key = key(&anna, child).await;
    anna.revoke_key(key.id, NOW).await.unwrap();
    assert!(anna.create_key(&NewKey { name: String::new(), ..new_key(child) }, NOW).await.is_err());
    let entries = anna.audit_log(&AuditFilter::default(), PAGE).await.unwrap().items;
    let actions: Vec<_> = entries.iter().map(|entry| entry.action.as_str()).collect();
    let expected = ["key.revoke", "key.create", "tenant.suspend", "tenant.create", "tenant.create"];
    assert_eq!(actions, expected, "the newest first, and nothing of what changed nothing");
    let suspended = &entries[2];
    assert_eq!((suspended.actor_kind, suspended.actor.as_deref()), (ActorKind::Person, Some("anna")));
    assert_eq!(suspended.address.as_deref(), Some("192.0.2.7"));
    assert_eq!(suspended.request_id.as_deref(), Some("req-1"));
    assert_eq!(suspended.before.as_ref().unwrap()["status"], "active");
    assert_eq!(suspended.after.as_ref().unwrap()["status"], "suspended");
    let text = format!("{entries:?}");
    assert!(!text.contains(&key.hash.to_hex()), "no hash of a secret is logged");
    // The store's own start of the tree is a program's.
    assert_eq!(entries[4].actor_kind, ActorKind::Program);
    let filter =
        AuditFilter { subtree_of: Some(child), action: Some(AuditAction::KeyCreate), ..AuditFilter::default() };
    assert_eq!(anna.audit_log(&filter, PAGE).await.unwrap().items.len(), 1);
    let below = store.acting_as(acting_person("bert", Scope::Subtree(child)));
    let seen = below.audit_log(&AuditFilter::default(), PAGE).await.unwrap().items;
    assert!(seen.iter().all(|entry| entry.tenant == Some(child)) && seen.len() == 4, "{seen:?}");
}

async fn the_audit_log_is_append_only(fixture: Fixture) {
    let store = fixture.store().await;
    root(&store).await;
    assert!(fixture.execute("UPDATE audit_log SET actor = 'nobody'").await.is_err());
    assert!(fixture.execute("DELETE FROM audit_log").await.is_err());
    let columns = "audit_log (seq, at, actor_kind, actor, action, subject_kind, subject)";
    let again = "VALUES (1, 0, 'person', 'nobody', 'tenant.create', 'tenant', 't')";
    let earlier = "VALUES (-7, 0, 'person', 'nobody', 'tenant.create', 'tenant', 't')";
    let statements = if fixture.is_sqlite() {
        vec![
            format!("INSERT OR REPLACE INTO {columns} {again}"),
            format!("REPLACE INTO {columns} {again}"),
            format!("INSERT INTO {columns} {again} ON CONFLICT (seq) DO UPDATE SET actor = 'nobody'"),
            "UPDATE OR REPLACE audit_log SET actor = 'nobody'".to_owned(),
            format!("INSERT INTO {columns} {earlier}"),
        ]
    } else {
        vec![
            format!("INSERT INTO {columns} {again}"),
            format!(
                "INSERT INTO {columns} OVERRIDING SYSTEM VALUE {again} ON CONFLICT (seq) DO UPDATE SET actor = 'nobody'"
            ),
            "TRUNCATE audit_log".to_owned(),
        ]
    };
    for statement in statements {
        let refused =
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone())).execute(&mut fixture.connection().await).await;
        assert!(refused.is_err(), "{statement}");
    }
    assert_eq!(fixture.number("SELECT COUNT(*) FROM audit_log WHERE actor = 'tollgate'").await, 1);
}

async fn audit_log_hides_actors_above_the_reader(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let customer = below(&store, TenantKind::Customer, top).await;
    let seller = machine(&store, top).await;
    let made = key(&with_key(&store, &seller), customer).await;
    person_at(&store, "customer", customer).revoke_key(made.id, NOW).await.unwrap();
    let seen = async |looking: &Store| {
        let filter = AuditFilter { subject: Some(made.id.to_string()), ..AuditFilter::default() };
        looking.audit_log(&filter, PAGE).await.unwrap().items
    };
    let above = seen(&person_at(&store, "seller", top)).await;
    assert_eq!(above[1].actor, Some(seller.id.to_string()));
    assert_eq!((above[1].address.as_deref(), above[1].request_id.as_deref()), (Some("192.0.2.7"), Some("req-7")));
    let own = seen(&person_at(&store, "customer", customer)).await;
    assert_eq!((own[0].action.as_str(), own[0].actor.as_deref()), ("key.revoke", Some("customer")));
    assert_eq!((own[1].action.as_str(), own[1].actor_kind), ("key.create", ActorKind::AdminKey));
    assert_eq!((&own[1].actor, &own[1].address, &own[1].request_id), (&None, &None, &None));
    let text = format!("{own:?}");
    assert!(!text.contains(&seller.id.to_string()) && !text.contains("192.0.2.7") && !text.contains("req-7"), "{text}");
}

async fn audit_log_entries_belong_to_tree_of_their_time(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let old = below(&store, Reseller, top).await;
    let new = below(&store, Reseller, top).await;
    let customer = below(&store, Customer, old).await;
    let below = below(&store, Customer, top).await;
    for (seconds, name) in [(10, "before"), (30, "after")] {
        if name == "after" {
            store.move_tenant(customer, new, None, NOW.plus_seconds(20)).await.unwrap();
        }
        let update = TenantUpdate { name: Some(name.into()) };
        store.update_tenant(customer, &update, None, NOW.plus_seconds(seconds)).await.unwrap();
    }
    let seen = async |scope, subtree_of| {
        let actor = Actor { kind: ActorKind::Person, name: "anna".into(), address: None, request_id: None };
        let looking = store.acting_as(Acting { actor, scope, idempotency: None, until: None });
        let filter = AuditFilter { subtree_of, ..AuditFilter::default() };
        let page = looking.audit_log(&filter, PageRequest { after: None, limit: 100 }).await?;
        let of_customer = page.items.iter().rev().filter(|entry| entry.tenant == Some(customer));
        Ok::<_, StoreError>(of_customer.map(|entry| entry.action.clone()).collect::<Vec<_>>())
    };
    let (before, after) = (vec!["tenant.create", "tenant.update"], vec!["tenant.move", "tenant.update"]);
    let all = [before.clone(), after.clone()].concat();
    for within in [None, Some(customer)] {
        assert_eq!(seen(Scope::Subtree(old), within).await.unwrap(), before, "{within:?}");
        assert_eq!(seen(Scope::Subtree(new), within).await.unwrap(), after, "{within:?}");
        for scope in [Scope::Everything, Scope::Subtree(top), Scope::Subtree(customer)] {
            assert_eq!(seen(scope, within).await.unwrap(), all, "{scope:?} {within:?}");
        }
    }
    let foreign = seen(Scope::Subtree(below), Some(customer)).await;
    assert!(matches!(foreign, Err(StoreError::NotFound { .. })), "{foreign:?}");
}
