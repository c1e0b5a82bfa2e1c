//! Changes in the store as a running gateway sees them.

use common::{key::Mode, tenant::TenantStatus};

use crate::support::{World, eventually, now};

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_tenants_change_under_a_running_gateway() {
    let world = World::new().await;
    let customer = world.customer(Some("roomy")).await;
    let gateway = world.gateway().await;
    let becomes = async |secret: &common::key::Secret, status: u16| {
        let what = format!("answers become {status}");
        eventually(&what, || async { (gateway.status("/", secret).await == status).then_some(()) }).await;
    };
    assert_eq!(gateway.status("/", &customer.secret).await, 200);

    let (key, secret) = world.key(customer.tenant, Mode::Live).await;
    becomes(&secret, 200).await;
    world.store.revoke_key(key, now()).await.unwrap();
    becomes(&secret, 401).await;
    assert!(gateway.get("/", &secret).await.text().await.unwrap().contains("revoked_key"));
    assert_eq!(gateway.status("/", &customer.secret).await, 200);

    world.store.set_tenant_status(world.root, TenantStatus::Suspended, now()).await.unwrap();
    becomes(&customer.secret, 403).await;
    world.store.set_tenant_status(world.root, TenantStatus::Active, now()).await.unwrap();
    becomes(&customer.secret, 200).await;
    let newcomer = world.customer(Some("narrow")).await;
    becomes(&newcomer.secret, 200).await;
}
