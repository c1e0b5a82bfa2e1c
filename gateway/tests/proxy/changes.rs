//! Changes in the store as a running gateway sees them.

use common::{key::Mode, tenant::TenantStatus};

use crate::support::{Fixture, eventually, now};

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_tenants_change_under_a_running_gateway() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    let becomes = async |secret: &common::key::Secret, status: u16| {
        let what = format!("answers become {status}");
        eventually(&what, || async { (gateway.status("/", secret).await == status).then_some(()) }).await;
    };
    assert_eq!(gateway.status("/", &customer.secret).await, 200);

    let (key, secret) = fixture.key(customer.tenant, Mode::Live).await;
    becomes(&secret, 200).await;
    fixture.store.revoke_key(key, now()).await.unwrap();
    becomes(&secret, 401).await;
    assert!(gateway.get("/", &secret).await.text().await.unwrap().contains("revoked_key"));
    assert_eq!(gateway.status("/", &customer.secret).await, 200);

    fixture.store.set_tenant_status(fixture.root, TenantStatus::Suspended, now()).await.unwrap();
    becomes(&customer.secret, 403).await;
    fixture.store.set_tenant_status(fixture.root, TenantStatus::Active, now()).await.unwrap();
    becomes(&customer.secret, 200).await;
    let newcomer = fixture.customer(Some("narrow")).await;
    becomes(&newcomer.secret, 200).await;
}
