//! Signed events that Stripe sends to `billing serve`.

use std::fs;

use billing::payment::handle_open;
use common::{
    invoice::InvoiceStatus,
    payment::{AttemptStatus, NewProviderEvent},
    time::{Clock as _, SystemClock},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

use super::fixture::{Fixture, GOOD, SIGNING, TO_CONFIRM, text};
use crate::deployment::{Server, eventually};

/// Starts `billing serve` with the issuer's account.
async fn serve(fixture: &Fixture) -> Server {
    let directory = |name: &str| fixture.deployment.path(name);
    fs::write(directory("key"), "sk_test_12345\n").unwrap();
    fs::write(directory("old"), "whsec_another\n").unwrap();
    fs::write(directory("signing"), SIGNING).unwrap();
    let settings = fs::read_to_string(directory("billing.yaml")).unwrap();
    let account = json!({
        "issuer": fixture.root, "base_url": fixture.stripe.url(), "secret_key_file": directory("key"),
        "webhook_secret_files": [directory("old"), directory("signing")],
    });
    fs::write(directory("billing.yaml"), format!("{settings}payments: {{ stripe: [{account}] }}\n")).unwrap();
    fixture.deployment.serve().await
}

fn signature(body: &str, time: i64, secret: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{time}.{body}").as_bytes());
    let hex: String =
        mac.finalize().into_bytes().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    format!("t={time},v1={hex}")
}

/// Sends an event; gives the status and the answer.
async fn send(fixture: &Fixture, server: &Server, body: &str, signature: Option<String>) -> (u16, String) {
    let url = format!("http://{}/v1/providers/stripe/{}/events", server.address, fixture.root);
    let mut request = fixture.client.post(url).body(body.to_owned());
    if let Some(signature) = signature {
        request = request.header("stripe-signature", signature);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn seconds() -> i64 {
    SystemClock.now().0 / 1_000_000
}

#[tokio::test]
async fn signed_events_of_stripe_pay_an_invoice_without_waiting_for_the_next_look() {
    let fixture = Fixture::open().await;
    let server = serve(&fixture).await;
    // localstripe tells its events there by itself.
    let url = format!("http://{}/v1/providers/stripe/{}/events", server.address, fixture.root);
    let hook = format!("{}/_config/webhooks/test", fixture.stripe.url());
    let body = json!({ "url": url, "secret": SIGNING }).to_string();
    let set = fixture.client.post(hook).header("content-type", "application/json").body(body).send().await.unwrap();
    assert!(set.status().is_success());

    fixture.save_card(TO_CONFIRM).await;
    let now = SystemClock.now();
    let invoice = fixture.invoice(now).await;
    fixture.look(now).await;
    let attempt = fixture.attempts(invoice.id).await.remove(0);
    assert_eq!(attempt.status, AttemptStatus::ActionRequired);
    let intent = attempt.intent.unwrap();
    let secret = fixture.client.get(format!("{}/v1/payment_intents/{intent}", fixture.stripe.url()));
    let secret = secret.bearer_auth("sk_test_12345").send().await.unwrap().text().await.unwrap();
    let secret = text(&serde_json::from_str(&secret).unwrap(), "client_secret");
    let body = json!({ "client_secret": secret, "success": true });
    fixture.ask(&format!("payment_intents/{intent}/_authenticate"), &body).await;
    eventually("the event pays", async || {
        fixture.store.invoice(invoice.id).await.unwrap().status == InvoiceStatus::Paid
    })
    .await;
    fixture.assert_paid_once(&invoice).await;
}

#[tokio::test]
async fn events_count_once_and_only_if_they_are_signed_now() {
    let fixture = Fixture::open().await;
    let server = serve(&fixture).await;
    let now = seconds();
    let body = r#"{"id":"evt_1","type":"invoice.odd","data":{"object":{"id":"in_1"}}}"#;
    for (signature, reason) in [
        (None, "is missing"),
        (Some("nonsense".to_owned()), "not of the form"),
        (Some(signature(body, now, "whsec_wrong")), "no signature"),
        (Some(signature("{}", now, SIGNING)), "no signature"),
        (Some(signature(body, now - 301, SIGNING)), "more than 300 s"),
    ] {
        let (status, answer) = send(&fixture, &server, body, signature).await;
        assert_eq!(status, 401, "{answer}");
        assert!(answer.contains(reason), "{answer}");
    }
    for (again, new) in [(false, true), (true, false)] {
        let (status, answer) = send(&fixture, &server, body, Some(signature(body, seconds(), SIGNING))).await;
        assert_eq!((status, answer), (200, format!("{{\"new\":{new}}}")), "again: {again}");
    }
    let old = signature(body, seconds(), "whsec_another");
    assert_eq!(send(&fixture, &server, body, Some(old)).await.0, 200, "both secrets count while one is replaced");
    let unreadable = "[]";
    let answer = send(&fixture, &server, unreadable, Some(signature(unreadable, seconds(), SIGNING))).await;
    assert_eq!(answer.0, 400, "{answer:?}");
    let long = " ".repeat(5 * 1024 * 1024);
    let answer = send(&fixture, &server, &long, Some(signature(&long, seconds(), SIGNING))).await;
    assert_eq!(answer.0, 413, "{answer:?}");
}

#[tokio::test]
async fn event_that_comes_before_our_own_answer_names_the_attempt() {
    let fixture = Fixture::open().await;
    let server = serve(&fixture).await;
    fixture.save_card(GOOD).await;
    let now = SystemClock.now();
    let invoice = fixture.invoice(now).await;
    // The intent is made, and the answer to us is lost.
    fixture.fault("payment_intents", "silent", 1).await;
    let attempt = fixture.store.begin_payment(invoice.id, "stripe", now.plus_seconds(60), now).await.unwrap();
    let provider = fixture.providers.of(fixture.root).unwrap();
    let attempt = billing::payment::advance(&fixture.store, provider.as_ref(), attempt, now).await.unwrap();
    assert_eq!(attempt.intent, None);
    let intents = fixture.client.get(format!("{}/_config/intents", fixture.stripe.url())).send().await.unwrap();
    let intents: serde_json::Value = serde_json::from_str(&intents.text().await.unwrap()).unwrap();
    let intent = text(&intents[0], "id");
    let object = json!({ "id": intent, "metadata": { "tollgate_attempt": attempt.id } });
    let body = json!({ "id": "evt_2", "type": "payment_intent.created", "data": { "object": object } }).to_string();
    let (status, answer) = send(&fixture, &server, &body, Some(signature(&body, seconds(), SIGNING))).await;
    assert_eq!(status, 200, "{answer}");
    fixture.assert_paid_once(&invoice).await;
}

#[tokio::test]
async fn event_that_cannot_be_finished_keeps_no_other_from_being_handled() {
    let fixture = Fixture::open().await;
    let now = SystemClock.now();
    for id in ["evt_1", "evt_2"] {
        let body = json!({ "id": id, "type": "odd", "data": { "object": {} } }).to_string();
        let (provider, kind) = ("stripe".to_owned(), "odd".to_owned());
        let event = NewProviderEvent { provider, issuer: fixture.root, id: id.into(), kind, body };
        assert!(fixture.store.keep_provider_event(&event, now).await.unwrap());
    }
    let odd = "CREATE TRIGGER odd BEFORE UPDATE ON provider_events WHEN NEW.id = 'evt_1' BEGIN SELECT RAISE(ABORT, 'odd'); END";
    fixture.execute(odd.into()).await;
    assert_eq!(handle_open(&fixture.store, &fixture.providers, now, now).await.unwrap(), 1);
    let open = fixture.store.open_provider_events(now, None, 10).await.unwrap();
    assert_eq!(open.iter().map(|kept| kept.event.id.as_str()).collect::<Vec<_>>(), ["evt_1"]);
    fixture.execute("DROP TRIGGER odd".into()).await;
    assert_eq!(handle_open(&fixture.store, &fixture.providers, now, now).await.unwrap(), 1);
}

#[tokio::test]
async fn events_that_never_end_keep_no_newer_one_from_being_handled() {
    let fixture = Fixture::open().await;
    let now = SystemClock.now();
    for number in 0..=200 {
        let (id, object) = (format!("evt_{number}"), json!({ "id": "cs_unknown", "setup_intent": "seti_unknown" }));
        let kind = "checkout.session.completed".to_owned();
        let body = json!({ "id": id, "type": kind, "data": { "object": object } }).to_string();
        let event = NewProviderEvent { provider: "stripe".into(), issuer: fixture.root, id, kind, body };
        assert!(fixture.store.keep_provider_event(&event, now.plus_seconds(-9)).await.unwrap());
    }
    let body = json!({ "id": "evt_new", "type": "odd", "data": { "object": {} } }).to_string();
    let event = NewProviderEvent {
        provider: "stripe".into(),
        issuer: fixture.root,
        id: "evt_new".into(),
        kind: "odd".into(),
        body,
    };
    assert!(fixture.store.keep_provider_event(&event, now).await.unwrap());
    assert_eq!(handle_open(&fixture.store, &fixture.providers, now, now).await.unwrap(), 1);
    let open = fixture.store.open_provider_events(now, None, 500).await.unwrap();
    assert_eq!(open.len(), 201);
    assert!(open.iter().all(|kept| kept.event.id != "evt_new"));
}
