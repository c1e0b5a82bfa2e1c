//! Stripe: localstripe, which keeps what it is told, and stripe-mock beside it, which judges the form of
//! each request. Events reach billing when the test hands them on.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
};
use common::time::Micros;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Client;
use serde_json::{Value, json};
use servers::{DEADLINE, LocalStripe, StripeMock, within};
use sha2::Sha256;
use tokio::task::spawn_blocking;

/// The secret key of all accounts: localstripe knows one account only.
pub(crate) const KEY: &str = "sk_test_12345";

/// The secret that events are signed with.
pub(crate) const SIGNING: &str = "whsec_of_a_year";

/// Both stand-ins.
pub(crate) struct Stripe {
    local: LocalStripe,
    mock: StripeMock,
    client: Client,
    /// URL of its API, as billing sees it.
    pub(crate) url: String,
    events: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
struct Both {
    client: Client,
    local: String,
    mock: String,
}

impl Stripe {
    pub(crate) async fn start() -> Self {
        let local = spawn_blocking(LocalStripe::start).await.unwrap().unwrap();
        let mock = spawn_blocking(StripeMock::start).await.unwrap().unwrap();
        let client = Client::new();
        let both = Both { client: client.clone(), local: local.url(), mock: mock.url() };
        let url = serve(Router::new().fallback(ask_both).with_state(both)).await;
        let events = Arc::<Mutex<Vec<String>>>::default();
        let hook = serve(Router::new().fallback(keep).with_state(Arc::clone(&events))).await;
        let stripe = Self { local, mock, client, url, events };
        stripe.ask("_config/webhooks/year", &json!({ "url": hook, "secret": SIGNING })).await;
        stripe
    }

    /// Makes a card, as a page with Stripe's script does; gives its id.
    pub(crate) async fn card(&self, number: &str) -> String {
        let card = json!({ "number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123" });
        let made = self.ask("v1/payment_methods", &json!({ "type": "card", "card": card })).await;
        made["id"].as_str().unwrap().to_owned()
    }

    /// Declines charges of a card for good from now on.
    pub(crate) async fn decline(&self, method: &str) {
        self.ask("_config/declines", &json!({ "method": method, "code": "stolen_card" })).await;
    }

    /// The payer confirms an intent.
    pub(crate) async fn confirm(&self, intent: &str) {
        let found = self.get(&format!("v1/payment_intents/{intent}")).await;
        let body = json!({ "client_secret": found["client_secret"], "success": true });
        self.ask(&format!("v1/payment_intents/{intent}/_authenticate"), &body).await;
    }

    /// Puts a thing there that localstripe does not make by itself, as a dispute.
    pub(crate) async fn put_thing(&self, thing: &Value) {
        let request = self.client.put(format!("{}/_config/things", self.local.url())).json(thing);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{thing}: {}", answer.status());
    }

    /// The event of a kind about a thing, once it has come: its body, and its signature at `now`.
    pub(crate) async fn event_of(&self, thing: &str, kind: &str, now: Micros) -> (String, String) {
        let found = within(DEADLINE, Duration::from_millis(20), async || {
            let events = self.events.lock().unwrap();
            events.iter().find(|event| event.contains(thing) && event.contains(kind)).cloned()
        });
        let body = found.await.expect("an event of Stripe");
        let time = now.0 / Micros::PER_SECOND;
        let mut mac = Hmac::<Sha256>::new_from_slice(SIGNING.as_bytes()).unwrap();
        mac.update(format!("{time}.{body}").as_bytes());
        let bytes = mac.finalize().into_bytes();
        let hex = bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        (body, format!("t={time},v1={hex}"))
    }

    /// Money that was charged, by currency, in minor units; an intent that was charged more than once
    /// is a fault.
    pub(crate) async fn charged(&self) -> Vec<(String, u64)> {
        let intents = self.get("_config/intents").await;
        let mut sums = std::collections::BTreeMap::<String, u64>::new();
        for intent in intents.as_array().unwrap().iter().filter(|intent| intent["status"] == "succeeded") {
            assert_eq!(intent["charges"], 1, "{intent}");
            let currency = intent["currency"].as_str().unwrap().to_uppercase();
            *sums.entry(currency).or_default() += intent["amount"].as_u64().unwrap();
        }
        sums.into_iter().collect()
    }

    /// Requests that stripe-mock has seen, and what it refused.
    pub(crate) fn judged(&self) -> (usize, Vec<String>) {
        let log = self.mock.log().unwrap();
        let refused = log.lines().filter(|line| line.contains("status=4")).map(str::to_owned).collect();
        (log.matches("Request: ").count(), refused)
    }

    async fn ask(&self, path: &str, body: &Value) -> Value {
        let request = self.client.post(format!("{}/{path}", self.local.url())).bearer_auth(KEY).json(body);
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or_default()
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}/{path}", self.local.url());
        let answer = self.client.get(url).bearer_auth(KEY).send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Keeps an event of localstripe. What is signed now would be too old on the test's clock.
async fn keep(State(events): State<Arc<Mutex<Vec<String>>>>, body: String) -> StatusCode {
    events.lock().unwrap().push(body);
    StatusCode::OK
}

/// Asks both; localstripe's answer counts.
async fn ask_both(
    State(both): State<Both>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Vec<u8>) {
    let request = |base: &str| {
        let mut request = both.client.request(method.clone(), format!("{base}{uri}")).body(body.clone());
        for name in ["authorization", "content-type", "idempotency-key", "stripe-version"] {
            if let Some(value) = headers.get(name) {
                request = request.header(name, value);
            }
        }
        request.send()
    };
    let judged = request(&both.mock).await;
    let Ok(answer) = request(&both.local).await else { return (StatusCode::BAD_GATEWAY, Vec::new()) };
    assert!(judged.is_ok(), "stripe-mock does not answer");
    (answer.status(), answer.bytes().await.unwrap_or_default().to_vec())
}
