//! Signing in by mail: the real program, a real SMTP server, and whoever reads the mailbox.

use common::{
    admin::Role,
    id::TenantId,
    member::Member,
    outbox::{MessageFilter, MessageState},
    store::{PageRequest, Store},
    time::{Clock as _, SystemClock},
};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use servers::Smtp;

use crate::deployment::{Deployment, Server, customer, eventually};

fn member(address: &str, role: Role) -> Member {
    Member { address: address.parse().unwrap(), role }
}

/// A deployment that mails links, and what somebody at a browser does with it.
struct Place {
    smtp: Smtp,
    store: Store,
    tenant: TenantId,
    server: Server,
    _deployment: Deployment,
}

impl Place {
    async fn open() -> Self {
        let smtp = Smtp::start().unwrap();
        let deployment = Deployment::new();
        let settings = std::fs::read_to_string(deployment.path("billing.yaml")).unwrap();
        let mail = format!(
            "mail: {{ server: 'localhost:{}', from: 'Billing <billing@example.com>', tls: none }}\n\
             pages: {{ public_url: 'https://billing.example.com' }}\n",
            smtp.port()
        );
        std::fs::write(deployment.path("billing.yaml"), settings + &mail).unwrap();
        let (store, root) = deployment.store().await;
        let tenant = customer(&store, root, "Acme", "Europe/Berlin", "growth").await.id;
        let server = deployment.serve().await;
        Self { smtp, store, tenant, server, _deployment: deployment }
    }

    async fn post(&self, path: &str, token: Option<&str>, body: Value) -> Response {
        let request = Client::new().post(format!("http://{}{path}", self.server.address)).json(&body);
        let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
        request.send().await.unwrap()
    }

    async fn ask(&self, address: &str) -> Response {
        self.post("/v1/sessions/mail", None, json!({ "address": address })).await
    }

    async fn me(&self, cookie: &str) -> Response {
        let request = Client::new().get(format!("http://{}/v1/me", self.server.address));
        request.header("cookie", cookie).header("tollgate-app", "portal").send().await.unwrap()
    }

    /// Texts of the mail so far, in order.
    fn taken(&self) -> Vec<String> {
        let lines = self.smtp.taken().unwrap();
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["raw"].as_str().unwrap().into()).collect()
    }

    /// The secret in the mail with this number, which comes.
    async fn secret(&self, number: usize) -> String {
        eventually("the mail has come", async || self.taken().len() == number).await;
        let raw = self.taken().remove(number - 1).replace("=\r\n", "").replace("=\n", "").replace("=3D", "=");
        let rest = raw.split("https://billing.example.com/portal/#link=").nth(1).unwrap_or_else(|| panic!("{raw}"));
        rest.chars().take_while(|one| one.is_ascii_alphanumeric() || *one == '_').collect()
    }

    async fn messages(&self) -> Vec<common::outbox::Message> {
        let filter = MessageFilter::default();
        self.store.messages(&filter, PageRequest { after: None, limit: 100 }).await.unwrap().items
    }
}

fn cookie(response: &Response) -> String {
    let set = response.headers()["set-cookie"].to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn member_signs_in_once_by_the_link_in_its_mail_until_it_is_no_member() {
    let place = Place::open().await;
    let anna = member("Anna@acme.example", Role::Billing);
    place.store.set_members(place.tenant, &[anna], SystemClock.now()).await.unwrap();
    assert_eq!(place.ask("anna@ACME.example").await.status(), StatusCode::ACCEPTED);
    let secret = place.secret(1).await;
    assert!(secret.starts_with("lnk_"), "{secret}");
    let stored = format!("{:?}", place.messages().await);
    assert!(!stored.contains(&secret) && !stored.contains("lnk_"), "no message has the secret: {stored}");

    let signed_in = place.post("/v1/sessions/redeem", Some(&secret), json!(null)).await;
    assert_eq!(signed_in.status(), StatusCode::OK);
    let cookie = cookie(&signed_in);
    let again = place.post("/v1/sessions/redeem", Some(&secret), json!(null)).await;
    assert_eq!(again.status(), StatusCode::UNAUTHORIZED);
    let me: Value = place.me(&cookie).await.json().await.unwrap();
    assert_eq!((&me["name"], &me["role"]), (&json!("anna@acme.example"), &json!("billing")));
    assert_eq!(me["tenant"], place.tenant.to_string());

    // Another role ends the session, and so does leaving.
    let anna = member("anna@acme.example", Role::Viewer);
    place.store.set_members(place.tenant, &[anna], SystemClock.now()).await.unwrap();
    assert_eq!(place.me(&cookie).await.status(), StatusCode::UNAUTHORIZED);
    place.ask("anna@acme.example").await;
    let secret = place.secret(2).await;
    place.store.set_members(place.tenant, &[], SystemClock.now()).await.unwrap();
    let late = place.post("/v1/sessions/redeem", Some(&secret), json!(null)).await;
    assert_eq!(late.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn unknown_address_gets_the_same_answer_as_a_member_and_nobody_is_flooded() {
    let place = Place::open().await;
    let anna = member("anna@acme.example", Role::Admin);
    place.store.set_members(place.tenant, &[anna], SystemClock.now()).await.unwrap();
    let (known, unknown) = (place.ask("anna@acme.example").await, place.ask("bob@acme.example").await);
    assert_eq!((known.status(), unknown.status()), (StatusCode::ACCEPTED, StatusCode::ACCEPTED));
    let names = |response: &Response| response.headers().keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&known), names(&unknown));
    assert_eq!(known.text().await.unwrap(), unknown.text().await.unwrap());
    for address in ["anna@acme.example", "bob@acme.example"] {
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(place.ask(address).await.status().as_u16());
        }
        assert_eq!(statuses, [202, 202, 429], "{address}");
    }
    eventually("all mail has come", async || place.taken().len() == 3).await;
    let sent = |message: &common::outbox::Message| message.state == MessageState::Delivered;
    eventually("it is noted", async || place.messages().await.iter().all(sent)).await;
    let receivers: Vec<_> = place.messages().await.into_iter().map(|message| message.target).collect();
    assert_eq!(receivers, ["anna@acme.example"; 3]);
    let refused = place.ask("no address").await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
}
