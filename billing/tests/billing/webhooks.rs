//! Webhooks: signed as receivers verify, again until they are taken, in order, and to nobody's inside.

use common::{
    id::{TenantId, WebhookEndpointId},
    key::Pepper,
    outbox::{Message, MessageFilter, MessageState},
    store::{PageRequest, Store},
    time::{Clock as _, Micros, SystemClock},
    webhook::{EndpointUpdate, NewEndpoint, WebhookEndpoint, WebhookSecret},
};
use serde_json::Value;
use servers::verify_webhook;

use crate::{
    deployment::{Deployment, customer, eventually, stderr, stdout},
    receiver::{Answer, OPEN, Receiver},
    topic::deployments,
};

const PEPPER: &[u8] = b"0123456789abcdef";

/// A deployment that may send to this machine.
fn open(deployment: Deployment) -> Deployment {
    let settings = std::fs::read_to_string(deployment.path("billing.yaml")).unwrap();
    std::fs::write(deployment.path("billing.yaml"), settings + OPEN).unwrap();
    deployment
}

async fn endpoint(store: &Store, tenant: TenantId, url: &str) -> WebhookEndpoint {
    let new = NewEndpoint {
        tenant,
        name: "hooks".into(),
        url: url.parse().unwrap(),
        types: Vec::new(),
        below: true,
        pepper_id: Pepper::new(PEPPER).unwrap().id().into(),
    };
    store.create_webhook_endpoint(&new, SystemClock.now()).await.unwrap()
}

fn secret(endpoint: WebhookEndpointId, number: i64) -> String {
    WebhookSecret::of(&Pepper::new(PEPPER).unwrap(), endpoint, number).expose()
}

async fn messages(store: &Store, endpoint: &WebhookEndpoint) -> Vec<Message> {
    let filter = MessageFilter { target: Some(endpoint.id.to_string()), ..MessageFilter::default() };
    let mut found = store.messages(&filter, PageRequest { after: None, limit: 1_000 }).await.unwrap().items;
    found.reverse();
    found
}

/// Sends what is due at an instant, and gives tries and failures.
async fn run(deployment: &Deployment, now: Micros) -> (u64, u64) {
    let now = now.to_string();
    let arguments = ["outbox", "run", "--now", &now, "--config", "billing.yaml", "--output", "json"];
    let output = deployment.run(&arguments).await;
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    (report["tries"].as_u64().unwrap(), report["failed"].as_u64().unwrap())
}

#[tokio::test]
async fn serving_process_sends_signed_events_that_receivers_verify() {
    for deployment in deployments().map(open) {
        let (store, root) = deployment.store().await;
        let receiver = Receiver::start().await;
        let hooks = endpoint(&store, root, &format!("{}/hooks", receiver.url)).await;
        let server = deployment.serve().await;
        let acme = customer(&store, root, "Acme", "UTC", "growth").await.id;
        eventually("the event has come", async || receiver.received("/hooks").len() == 1).await;
        let first = receiver.received("/hooks").remove(0);
        assert_eq!(first.kind(), "subscription.changed");
        assert_eq!(first.document()["tenant"], acme.to_string());
        assert!(first.id().starts_with("evt_"), "{first:?}");
        let own = first.to_verify(&secret(hooks.id, 1)).to_string();
        assert_eq!(verify_webhook(&own).unwrap(), None);
        let other = first.to_verify(&secret(hooks.id, 2)).to_string();
        assert!(verify_webhook(&other).unwrap().is_some(), "under another secret");
        let mut changed = first.clone();
        changed.body = changed.body.replace("growth", "grown");
        assert!(verify_webhook(&changed.to_verify(&secret(hooks.id, 1)).to_string()).unwrap().is_some());
        // Both secrets verify within the grace.
        store.rotate_webhook_secret(root, hooks.id, 3_600, &hooks.pepper_id, SystemClock.now()).await.unwrap();
        let beta = customer(&store, root, "Beta", "UTC", "growth").await.id;
        eventually("the second has come", async || receiver.received("/hooks").len() == 2).await;
        let second = receiver.received("/hooks").remove(1);
        assert_eq!(second.document()["tenant"], beta.to_string());
        for number in [1, 2] {
            assert_eq!(verify_webhook(&second.to_verify(&secret(hooks.id, number)).to_string()).unwrap(), None);
        }
        eventually("it is noted", async || {
            messages(&store, &hooks).await.iter().all(|message| message.state == MessageState::Delivered)
        })
        .await;
        assert_eq!(messages(&store, &hooks).await[0].result.as_deref(), Some("204"));
        let sent = "tollgate_outbox_tries_total{kind=\"webhook\",outcome=\"delivered\"}";
        eventually("it is counted", async || server.metric(sent).await == 2).await;
    }
}

#[tokio::test]
async fn failing_endpoint_is_tried_for_days_then_given_up_disabled_and_replayed() {
    let deployment = open(Deployment::new());
    let (store, root) = deployment.store().await;
    let receiver = Receiver::start().await;
    receiver.answer("/down", Answer::Status(500));
    let down = endpoint(&store, root, &format!("{}/down", receiver.url)).await;
    let up = endpoint(&store, root, &format!("{}/up", receiver.url)).await;
    let begin = SystemClock.now();
    customer(&store, root, "Acme", "UTC", "growth").await;
    let mut now = begin;
    let mut waits = Vec::new();
    loop {
        run(&deployment, now).await;
        let message = messages(&store, &down).await.remove(0);
        if message.state != MessageState::Pending {
            break;
        }
        assert!(message.result.as_deref().unwrap().starts_with("answered 500: said so"), "{message:?}");
        waits.push((message.due_at.0 - now.0) / Micros::PER_SECOND);
        // Nothing is sent before its time.
        run(&deployment, Micros(message.due_at.0 - 1)).await;
        assert_eq!(receiver.received("/down").len(), waits.len());
        now = message.due_at;
    }
    assert_eq!(waits, [7, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400], "it asked for 7 s at least");
    let given_up = messages(&store, &down).await.remove(0);
    assert_eq!((given_up.state, given_up.attempt), (MessageState::GivenUp, 10));
    assert!(given_up.result.as_deref().unwrap().starts_with("given up after 10 tries: answered 500"));
    let tries = receiver.received("/down");
    let bodies: std::collections::BTreeSet<_> =
        tries.iter().map(|one| (one.id().to_owned(), one.body.clone())).collect();
    assert_eq!((tries.len(), bodies.len()), (10, 1), "always the same id and body");
    // Three days without success: it is disabled, and the other endpoint hears of it.
    let disabled = store.webhook_endpoint(root, down.id).await.unwrap().disabled.unwrap();
    assert!(disabled.reason.starts_with("nothing could be delivered since"), "{}", disabled.reason);
    run(&deployment, now).await;
    assert_eq!(receiver.received("/up").last().unwrap().kind(), "webhook_endpoint.disabled");
    assert_eq!(messages(&store, &up).await.len(), 2);
    // It is mended, enabled, and gets what it has missed.
    receiver.answer("/down", Answer::Status(200));
    let on = EndpointUpdate { enabled: Some(true), ..EndpointUpdate::default() };
    store.update_webhook_endpoint(root, down.id, &on, now).await.unwrap();
    let replay = deployment.run(&["outbox", "replay", &given_up.id.to_string(), "--store", &deployment.url()]).await;
    assert!(replay.status.success(), "{}", stderr(&replay));
    assert!(stdout(&replay).contains("pending"), "{}", stdout(&replay));
    assert_eq!(run(&deployment, now.plus_seconds(60)).await, (1, 0));
    assert_eq!(receiver.received("/down").last().unwrap().id(), tries[0].id());
    assert_eq!(messages(&store, &down).await[0].state, MessageState::Delivered);
}

#[tokio::test]
async fn answers_are_bounded_redirects_are_not_followed_and_gone_is_the_end() {
    let deployment = open(Deployment::new());
    let (store, root) = deployment.store().await;
    let receiver = Receiver::start().await;
    let cases = [
        ("/redirect", Answer::Redirect, "answered 302: redirects are not followed"),
        ("/endless", Answer::Endless, "answered 500: xxxx"),
        ("/silent", Answer::Silence, "no answer in time"),
        ("/gone", Answer::Status(410), "answered 410"),
    ];
    let mut endpoints = Vec::new();
    for (path, answer, _) in cases {
        receiver.answer(path, answer);
        endpoints.push(endpoint(&store, root, &format!("{}{path}", receiver.url)).await);
    }
    customer(&store, root, "Acme", "UTC", "growth").await;
    run(&deployment, SystemClock.now()).await;
    for ((path, _, said), endpoint) in cases.into_iter().zip(&endpoints) {
        let message = messages(&store, endpoint).await.remove(0);
        let result = message.result.unwrap();
        assert!(result.starts_with(said) && result.len() < 400, "{path}: {result}");
        let gone = path == "/gone";
        assert_eq!(message.state, if gone { MessageState::GivenUp } else { MessageState::Pending }, "{path}");
        let disabled = store.webhook_endpoint(root, endpoint.id).await.unwrap().disabled;
        assert_eq!(disabled.is_some(), gone, "{path}: {disabled:?}");
    }
    assert_eq!(receiver.received("/elsewhere").len(), 0);
}

#[tokio::test]
async fn nothing_is_sent_inside_unless_the_settings_allow() {
    // Nothing is allowed here.
    let deployment = Deployment::new();
    let (store, root) = deployment.store().await;
    let receiver = Receiver::start().await;
    let port = receiver.url.rsplit_once(':').unwrap().1.to_owned();
    let plain = endpoint(&store, root, &format!("{}/hooks", receiver.url)).await;
    let literal = endpoint(&store, root, &format!("https://127.0.0.1:{port}/hooks")).await;
    let disguised = endpoint(&store, root, &format!("https://0x7f.1:{port}/hooks")).await;
    let named = endpoint(&store, root, &format!("https://localhost:{port}/hooks")).await;
    let metadata = endpoint(&store, root, "https://169.254.169.254/latest/meta-data").await;
    customer(&store, root, "Acme", "UTC", "growth").await;
    assert_eq!(run(&deployment, SystemClock.now()).await, (5, 5));
    for (endpoint, said) in [
        (plain, "is spoken without TLS"),
        (literal, "127.0.0.1 is not reachable by everybody"),
        (disguised, "127.0.0.1 is not reachable by everybody"),
        (named, "localhost is not reachable by everybody"),
        (metadata, "169.254.169.254 is not reachable by everybody"),
    ] {
        let message = messages(&store, &endpoint).await.remove(0);
        assert!(message.result.as_deref().unwrap().contains(said), "{message:?}");
        assert_eq!(message.state, MessageState::Pending, "the settings or the name may be mended");
    }
    assert_eq!(receiver.received("/hooks").len(), 0);
}

#[tokio::test]
async fn silent_endpoint_does_not_hold_up_others() {
    let deployment = open(Deployment::new());
    let (store, root) = deployment.store().await;
    let receiver = Receiver::start().await;
    receiver.answer("/silent", Answer::Silence);
    endpoint(&store, root, &format!("{}/silent", receiver.url)).await;
    endpoint(&store, root, &format!("{}/quick", receiver.url)).await;
    for number in 0..30 {
        customer(&store, root, &format!("Customer {number}"), "UTC", "growth").await;
    }
    let server = deployment.serve().await;
    eventually("the quick one has all", async || receiver.received("/quick").len() == 30).await;
    assert!(receiver.received("/silent").len() < 30, "few are on their way to one endpoint at a time");
    let waits = "tollgate_outbox_pending{kind=\"webhook\"}";
    eventually("what waits is counted", async || server.metric(waits).await > 0).await;
    let output = deployment.run(&["outbox", "depth", "--output", "json", "--store", &deployment.url()]).await;
    let depths: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let webhooks = depths.as_array().unwrap().iter().find(|depth| depth["kind"] == "webhook").unwrap();
    assert!(webhooks["pending"].as_u64() > Some(0) && webhooks["oldest"].is_string(), "{depths}");
}

#[tokio::test]
async fn message_whose_tries_are_all_cut_off_is_given_up() {
    let deployment = open(Deployment::new());
    let (store, root) = deployment.store().await;
    let receiver = Receiver::start().await;
    let hooks = endpoint(&store, root, &format!("{}/hooks", receiver.url)).await;
    customer(&store, root, "Acme", "UTC", "growth").await;
    let mut now = SystemClock.now();
    store.tell_events(10, false, now).await.unwrap();
    for _ in 0..10 {
        // Workers that begin and never end.
        assert!(store.claim_message("gone", &["webhook"], &[], 60, now).await.unwrap().is_some());
        now = now.plus_seconds(60);
    }
    assert_eq!(run(&deployment, now).await, (1, 1));
    let given_up = messages(&store, &hooks).await.remove(0);
    assert_eq!(given_up.state, MessageState::GivenUp);
    assert_eq!(given_up.result.as_deref(), Some("given up: 10 tries began, and the last was cut off"));
    assert_eq!(receiver.received("/hooks").len(), 0);
    store.replay_message(root, given_up.id, now).await.unwrap();
    assert_eq!(run(&deployment, now).await, (1, 0));
    assert_eq!(receiver.received("/hooks").len(), 1);
}
