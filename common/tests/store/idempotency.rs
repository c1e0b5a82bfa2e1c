//! A creation that is asked for again under its idempotency key.

use common::{
    acting::{Acting, IdempotencyKey, Scope},
    id::TenantId,
    store::StoreError,
    tenant::TenantKind,
};

use crate::fixture::{Fixture, NOW, acting_person, new_tenant, on_both_engines, root};

on_both_engines!(creation_happens_once_per_idempotency_key,);

async fn creation_happens_once_per_idempotency_key(fixture: Fixture) {
    let store = fixture.store().await;
    let top = root(&store).await.id;
    let asking = |name: &str, fingerprint: &str| {
        let idempotency = Some(IdempotencyKey { key: "first".into(), fingerprint: fingerprint.into() });
        store.acting_as(Acting { idempotency, ..acting_person(name, Scope::Everything) })
    };
    let new = new_tenant(TenantKind::Customer, Some(top));
    let created = asking("anna", "a").create_tenant(&new, NOW).await.unwrap();
    let again = asking("anna", "a").create_tenant(&new, NOW).await.unwrap_err();
    assert!(matches!(&again, StoreError::Replayed { subject } if *subject == created.id.to_string()), "{again}");
    let other = asking("anna", "b").create_tenant(&new, NOW).await.unwrap_err();
    assert!(matches!(other, StoreError::IdempotencyMismatch), "{other}");
    asking("bert", "a").create_tenant(&new, NOW).await.unwrap();
    // What was refused has taken no name.
    let unknown = new_tenant(TenantKind::Customer, Some(TenantId::generate()));
    let named = |key: &str| {
        let idempotency = Some(IdempotencyKey { key: key.into(), fingerprint: "c".into() });
        store.acting_as(Acting { idempotency, ..acting_person("anna", Scope::Everything) })
    };
    assert!(named("second").create_tenant(&unknown, NOW).await.is_err());
    named("second").create_tenant(&new, NOW).await.unwrap();
    // After a day, the name is free again.
    asking("anna", "b").create_tenant(&new, NOW.plus_seconds(86_401)).await.unwrap();
    assert_eq!(store.tenants().await.unwrap().len(), 5);
}
