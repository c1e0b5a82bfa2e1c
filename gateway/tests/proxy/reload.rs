//! Configuration that changes under a running gateway.

use crate::support::{Fixture, ROUTES, eventually, now};

const APPLIED: &str = "tollgate_config_reloads_total{outcome=\"applied\"}";
const REFUSED: &str = "tollgate_config_reloads_total{outcome=\"refused\"}";
const APPLIED_AT: &str = "tollgate_config_last_applied_timestamp_seconds";
const SUCCESSFUL: &str = "tollgate_config_last_reload_successful";

#[tokio::test(flavor = "multi_thread")]
async fn good_file_takes_effect_and_a_bad_one_changes_nothing() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let only_old =
        "upstreams: { demo: { servers: ['DEMO'] } }\nroutes: [{ name: old, path_prefix: /old, upstream: demo }]\n";
    let gateway = fixture.gateway_with(only_old).await;
    assert_eq!(gateway.status("/old", &customer.secret).await, 200);
    assert_eq!(gateway.status("/new", &customer.secret).await, 404);
    assert_eq!(gateway.metric(SUCCESSFUL).await, Some(1.0));

    fixture.configure(&only_old.replace("name: old, path_prefix: /old", "name: new, path_prefix: /new"));
    eventually("the new route", || async { (gateway.status("/new", &customer.secret).await == 200).then_some(()) })
        .await;
    assert_eq!(gateway.status("/old", &customer.secret).await, 404);
    assert_eq!(gateway.metric(APPLIED).await, Some(1.0));
    let applied_at = gateway.metric(APPLIED_AT).await.unwrap();
    assert!((now().0 as f64 / 1e6 - applied_at).abs() < 600.0, "{applied_at}");

    fixture.configure(&only_old.replace("upstream: demo", "upstream: nowhere"));
    eventually("the refusal", || async { gateway.metric(REFUSED).await }).await;
    assert_eq!(gateway.metric(SUCCESSFUL).await, Some(0.0));
    assert_eq!(gateway.metric(APPLIED_AT).await, Some(applied_at), "it is the former that is in force");
    assert_eq!(gateway.status("/new", &customer.secret).await, 200);
    let refusal = gateway.logged("the refusal", |line| line["level"] == "ERROR").await;
    assert_eq!(refusal["file"], fixture.config_file().display().to_string());
    assert!(refusal["line"].as_u64().unwrap() > 1, "{refusal}");
    assert!(refusal["reason"].as_str().unwrap().contains("upstream `nowhere` is not defined"), "{refusal}");

    fixture.configure(only_old);
    eventually("the old route", || async { (gateway.status("/old", &customer.secret).await == 200).then_some(()) })
        .await;
    assert_eq!(gateway.metric(SUCCESSFUL).await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_need_a_restart_are_named_and_routes_change_all_the_same() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    let elsewhere = "127.0.0.1:1".parse().unwrap();
    fixture.configure_at(&ROUTES.replace("path_prefix: /read", "path_prefix: /written"), elsewhere);
    eventually("the new route", || async {
        let post = gateway.client.post(gateway.url("/written")).bearer_auth(customer.secret.expose());
        (post.send().await.unwrap().status() == 405).then_some(())
    })
    .await;
    gateway.logged("the setting", |line| line["level"] == "WARN" && line["setting"] == "listen").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hangup_reads_the_file_again_even_if_nothing_changed() {
    let fixture = Fixture::new().await;
    let gateway = fixture.gateway().await;
    gateway.signal("HUP");
    eventually("a reload", || async { gateway.metric(APPLIED).await }).await;
}
