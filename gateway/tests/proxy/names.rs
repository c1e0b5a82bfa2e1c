//! Two gateways that were given one name.

use crate::support::{
    Fixture, eventually,
    process::{Gateway, command},
};

/// Writes the configuration once more, with these changes.
fn beside(fixture: &Fixture, changes: &[(&str, &str)]) -> std::path::PathBuf {
    let mut text = std::fs::read_to_string(fixture.config_file()).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    let path = fixture.path("second.yaml");
    std::fs::write(&path, text).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn second_gateway_of_one_name_in_one_place_is_refused() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let gateway = fixture.gateway().await;
    let output = command(&beside(&fixture, &[])).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("setting `upgrade_socket`") && told.contains("--upgrade"), "{told}");
    assert_eq!(gateway.status("/", &customer.secret).await, 200, "the first one serves on");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_two_gateways_of_one_name_stay_apart_and_it_is_told() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let first = fixture.gateway().await;
    let own = format!("name: test\nupgrade_socket: '{}'\n", fixture.path("second.upgrade").display());
    let second = Gateway::start(&beside(&fixture, &[("name: test\n", &own)])).await;
    second.wait_until_ready().await;
    let held =
        second.logged("the first one's journal", |line| line["event"] == "journal_held_by_another_process").await;
    assert!(held["advice"].as_str().unwrap().contains("a second gateway with the same `name`"), "{held}");
    for gateway in [&first, &second] {
        // Each sees the other sooner or later.
        let unfetched =
            || async { (gateway.metric("tollgate_journal_unfetched_lives").await == Some(1.0)).then_some(()) };
        eventually("the other one's journal is counted", unfetched).await;
    }
    // In turns, so that both would take the same numbers if they shared a stream.
    for _ in 0..5 {
        for gateway in [&first, &second] {
            assert_eq!(gateway.status("/", &customer.secret).await, 200);
        }
    }
    assert_eq!(fixture.billing.wait_for(customer.tenant, 10).await.len(), 10);
    first.signal("TERM");
    assert!(first.ended().await.success());
    let fetched = || async { (second.metric("tollgate_journal_unfetched_lives").await == Some(0.0)).then_some(()) };
    eventually("nothing is held any more", fetched).await;
    assert_eq!(second.status("/", &customer.secret).await, 200);
    assert_eq!(fixture.billing.wait_for(customer.tenant, 11).await.len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_two_gateways_of_one_name_in_two_places_stay_apart() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let first = fixture.gateway().await;
    let second = Gateway::start(&beside(&fixture, &[("/journal'", "/elsewhere'")])).await;
    second.wait_until_ready().await;
    for _ in 0..5 {
        for gateway in [&first, &second] {
            assert_eq!(gateway.status("/", &customer.secret).await, 200);
        }
    }
    assert_eq!(fixture.billing.wait_for(customer.tenant, 10).await.len(), 10);
}
