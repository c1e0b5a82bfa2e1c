//! Answers while something that requests need is not to be had.

use common::key::Secret;
use futures_util::{SinkExt as _, StreamExt as _, future::join_all};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    Customer, DEADLINE, Fixture, ROUTES, eventually,
    process::Gateway,
    websocket::{Echo, connect, ended, talk},
};

/// The smallest journal that two threads can work with, in MiB.
const SMALLEST_MIB: u64 = 1;

/// More requests than it holds, at 128 bytes each.
const MORE_THAN_FIT: u64 = SMALLEST_MIB * 1024 * 1024 / 128 + 1_000;

/// Requests at once.
const AT_ONCE: usize = 50;

/// A gateway with a tiny journal and nobody to send it to.
async fn with_tiny_journal(fixture: &Fixture, usage: &str) -> Gateway {
    with_tiny_journal_and(ROUTES, fixture, usage).await
}

async fn with_tiny_journal_and(routes: &str, fixture: &Fixture, usage: &str) -> Gateway {
    fixture.configure(routes);
    let text = std::fs::read_to_string(fixture.config_file()).unwrap();
    let sink = format!("sink: 'http://{}'", fixture.billing.address);
    assert!(text.contains(&sink), "{text}");
    let replaced = format!("sink: 'http://127.0.0.1:1', journal_budget_mib: {SMALLEST_MIB}{usage}");
    std::fs::write(fixture.config_file(), text.replace(&sink, &replaced)).unwrap();
    let gateway = Gateway::start(&fixture.config_file()).await;
    gateway.wait_until_ready().await;
    gateway
}

/// Sends more requests than the journal holds; those that were not answered 200, and how many were.
async fn flood(gateway: &Gateway, secret: &Secret) -> (u64, Vec<(u16, String)>) {
    let (mut served, mut refused) = (0, Vec::new());
    let mut sent = 0;
    while sent < MORE_THAN_FIT && refused.is_empty() {
        let answers = join_all((0..AT_ONCE).map(|_| async {
            let answer = gateway.get("/", secret).await;
            (answer.status().as_u16(), answer.text().await.unwrap())
        }));
        for (status, body) in answers.await {
            sent += 1;
            if status == 200 { served += 1 } else { refused.push((status, body)) }
        }
    }
    (served, refused)
}

async fn setting() -> (Fixture, Customer) {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    (fixture, customer)
}

#[tokio::test(flavor = "multi_thread")]
async fn full_journal_refuses_requests_before_they_reach_the_upstream() {
    let (fixture, customer) = setting().await;
    let gateway = with_tiny_journal(&fixture, "").await;
    let (served, refused) = flood(&gateway, &customer.secret).await;
    assert!(!refused.is_empty(), "{served} requests were served");
    for (status, body) in &refused {
        assert!(*status == 503 && body.contains("usage_unavailable"), "{status}: {body}");
    }
    assert!(gateway.get("/", &customer.secret).await.headers().contains_key("retry-after"));
    let (status, report) = gateway.admin("/health/ready").await;
    assert!(status == 503 && report.contains("\"has_room\":false"), "{status}: {report}");
    // What was refused after the upstream had answered was withheld; nothing that was received went
    // unrecorded.
    eventually("a record of each answer", || async {
        let recorded = gateway.metric("tollgate_journal_entries").await?;
        (recorded >= served as f64).then_some(())
    })
    .await;
    assert!(fixture.upstream.requests() as u64 >= served);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_journal_lets_requests_pass_unmetered_if_told_to() {
    let (fixture, customer) = setting().await;
    let gateway = with_tiny_journal(&fixture, ", when_full: serve_unmetered").await;
    let (served, refused) = flood(&gateway, &customer.secret).await;
    assert_eq!((served >= MORE_THAN_FIT, refused.len()), (true, 0));
    let unmetered = format!("tollgate_tenant_unmetered_requests_total{{tenant=\"{}\"}}", customer.tenant);
    assert!(gateway.metric(&unmetered).await.is_some_and(|count| count > 0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn cap_that_cannot_be_checked_refuses_and_other_plans_go_on() {
    let (fixture, customer) = setting().await;
    let capped = fixture.customer(Some("capped")).await;
    let gateway = fixture.gateway().await;
    // A store that is gone for good, in the way that files can be.
    let store = fixture.config_file().with_file_name("store.db");
    for file in [store.with_extension("db-wal"), store] {
        std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(0).unwrap();
    }
    let refused = gateway.get("/", &capped.secret).await;
    assert!(refused.headers().contains_key("retry-after"));
    let (status, body) = (refused.status(), refused.text().await.unwrap());
    assert!(status == 503 && body.contains("quota_unavailable"), "{status}: {body}");
    assert_eq!(gateway.status("/", &customer.secret).await, 200);
    assert_eq!(fixture.upstream.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_journal_closes_a_websocket_whose_next_message_cannot_be_recorded() {
    let ((fixture, customer), echo) = (setting().await, Echo::start().await);
    let route = "{ name: talk, path_prefix: /talk, upstream: talk, upgrade: [websocket], upgrade_units: { messages: \
                 client } }";
    let routes = format!("  talk: {{ servers: ['{}'] }}\nroutes:\n  - {route}\n", echo.address);
    let gateway = with_tiny_journal_and(&ROUTES.replace("routes:\n", &routes), &fixture, "").await;
    let mut socket = connect(&gateway, "/talk", &customer.secret).await.unwrap();
    talk(&mut socket, "hello").await;
    assert!(!flood(&gateway, &customer.secret).await.1.is_empty());
    // Some room is left, for what was admitted before.
    let (mut sent, mut code) = (1, None);
    while sent < MORE_THAN_FIT && code.is_none() {
        let _ = socket.send(Message::text("more")).await;
        sent += 1;
        code = match tokio::time::timeout(DEADLINE, socket.next()).await.expect("an answer in time") {
            Some(Ok(Message::Close(frame))) => frame.map(|frame| u16::from(frame.code)),
            Some(Ok(_)) => None,
            other => panic!("{other:?}"),
        };
    }
    assert_eq!(code, Some(1013), "{sent}");
    assert_eq!(ended(&gateway, "usage").await, Some(1.0));
    assert_eq!(echo.heard().len() as u64, sent - 1, "a message that is not recorded does not pass");
}
