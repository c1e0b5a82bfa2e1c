//! Requests that are tried again: which, how often, and that each is recorded once.

use std::net::SocketAddr;

use common::key::Secret;
use reqwest::{Method, Response};

use crate::support::{
    Customer, Fixture, eventually,
    faulty::{Behaviour, Faulty},
    http2::Http2,
    process::Gateway,
};

struct Setting {
    fixture: Fixture,
    customer: Customer,
    servers: [Faulty; 2],
    gateway: Gateway,
}

impl Setting {
    /// Two servers behind a route with these retries, and one whose connections are refused.
    async fn new(upstream: &str, retries: &str) -> Self {
        let fixture = Fixture::new().await;
        let customer = fixture.customer(Some("roomy")).await;
        let servers = [Faulty::start("one").await, Faulty::start("two").await];
        let file = file(&servers.each_ref().map(|server| server.address), upstream, retries);
        let gateway = fixture.gateway_with(&file).await;
        up(&gateway).await;
        Self { fixture, customer, servers, gateway }
    }

    async fn send(&self, method: Method) -> Response {
        send(&self.gateway, &self.customer.secret, method, &[], "").await
    }

    /// Requests that came to either server.
    fn requests(&self) -> usize {
        self.servers.iter().map(Faulty::requests).sum()
    }

    fn both(&self, behaviour: Behaviour) {
        self.servers.iter().for_each(|server| server.usually(behaviour));
    }

    /// Ends the gateway, and returns the statuses of all records and the number of refusals.
    async fn books(&self) -> (Vec<u16>, u64) {
        self.gateway.signal("TERM");
        assert!(self.gateway.ended().await.success());
        let records = self.fixture.billing.records(self.customer.tenant);
        let refusals = self.fixture.billing.refusals(self.customer.tenant);
        let refused = refusals.iter().map(|refusal| refusal.count).sum();
        (records.iter().map(|record| record.status).collect(), refused)
    }
}

fn file(servers: &[SocketAddr], upstream: &str, retries: &str) -> String {
    let servers: Vec<String> = servers.iter().map(|address| format!("'{address}'")).collect();
    let servers = servers.join(", ");
    format!(
        "upstreams: {{ it: {{ servers: [{servers}], read_timeout_ms: 20000, ejection: {{ failures: 0 }}{upstream} }} }}\n\
         routes:\n  - {{ name: all, path_prefix: /, upstream: it{retries} }}\n  \
         - {{ name: dispatched, path_prefix: /dispatched, upstream: it, bill: on_dispatch{retries} }}\n"
    )
}

async fn up(gateway: &Gateway) {
    eventually("both servers are up", || async {
        (gateway.metric("tollgate_upstream_servers_healthy{upstream=\"it\"}").await == Some(2.0)).then_some(())
    })
    .await;
}

async fn send(gateway: &Gateway, secret: &Secret, method: Method, headers: &[(&str, &str)], path: &str) -> Response {
    let request = gateway.client.request(method, gateway.url(&format!("/{path}"))).bearer_auth(secret.expose());
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
}

const ALL: &str = ", retries: { most: 2, on: [connect, reset, timeout, 502, 503, 504], per_try_timeout_ms: 300 }";

#[tokio::test(flavor = "multi_thread")]
async fn request_that_one_server_fails_is_served_by_another_and_recorded_once() {
    let setting = Setting::new("", ALL).await;
    let faults = [
        Behaviour::Reset,
        Behaviour::Garbage,
        Behaviour::Silence,
        Behaviour::Status(502),
        Behaviour::Status(503),
        Behaviour::Status(504),
    ];
    setting.servers[0].usually(Behaviour::Serve);
    for fault in faults {
        // Two requests meet each server once, so that one of them meets the fault.
        setting.servers[0].next(&[fault]);
        for _ in 0..2 {
            let answer = setting.send(Method::GET).await;
            assert_eq!(answer.status(), 200, "{fault:?}");
        }
    }
    assert_eq!(setting.requests(), 18, "twelve requests, and six tries more");
    let retries = "tollgate_upstream_retries_total{upstream=\"it\"}";
    assert_eq!(setting.gateway.metric(retries).await, Some(6.0));
    setting
        .gateway
        .logged("a retry", |line| {
            line["event"] == "request_retried" && line["cause"] == "the server answered 503" && line["upstream"] == "it"
        })
        .await;
    assert_eq!(setting.books().await, (vec![200; 12], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_of_the_last_try_is_passed_on() {
    let setting = Setting::new("", ", retries: { most: 2, on: [503] }").await;
    setting.both(Behaviour::Status(503));
    assert_eq!(setting.send(Method::GET).await.status(), 503);
    assert_eq!(setting.requests(), 3);
    setting.both(Behaviour::Reset);
    assert_eq!(setting.send(Method::GET).await.status(), 502, "resets are not named");
    assert_eq!(setting.requests(), 4);
    assert_eq!(setting.books().await, (vec![503], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_requests_that_may_be_repeated_are_tried_again() {
    let setting = Setting::new("", ALL).await;
    setting.both(Behaviour::Status(503));
    let key = &setting.customer.secret;
    let tries = |method: Method, headers: &'static [(&'static str, &'static str)]| {
        let (gateway, before) = (&setting.gateway, setting.requests());
        let setting = &setting;
        async move {
            assert_eq!(send(gateway, key, method, headers, "").await.status(), 503);
            setting.requests() - before
        }
    };
    assert_eq!(tries(Method::POST, &[]).await, 1);
    assert_eq!(tries(Method::PATCH, &[("idempotency-key", "")]).await, 1);
    assert_eq!(tries(Method::POST, &[("idempotency-key", "a-1")]).await, 3);
    assert_eq!(tries(Method::PUT, &[]).await, 3);
    assert_eq!(tries(Method::DELETE, &[]).await, 3);
    assert_eq!(tries(Method::HEAD, &[]).await, 3);
    assert_eq!(setting.books().await, (vec![503; 6], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn body_is_sent_again_as_far_as_it_is_kept() {
    let setting = Setting::new("", ALL).await;
    setting.both(Behaviour::Status(503));
    let put = async |length: usize| {
        let before = setting.requests();
        let request =
            setting.gateway.client.put(setting.gateway.url("/")).bearer_auth(setting.customer.secret.expose());
        let status = request.body("x".repeat(length)).send().await.unwrap().status();
        (status.as_u16(), setting.requests() - before)
    };
    // The servers read the whole body each time, or they would not answer.
    assert_eq!(put(60_000).await, (503, 3));
    assert_eq!(put(100_000).await, (503, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_tried_again_once_a_byte_of_the_answer_has_gone() {
    let setting = Setting::new("", ALL).await;
    setting.both(Behaviour::Break);
    let answer = setting.send(Method::GET).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.is_err(), "the answer breaks off");
    assert_eq!(setting.requests(), 1);
    assert_eq!(setting.books().await, (vec![200], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn budget_bounds_how_many_requests_are_tried_again() {
    let setting = Setting::new(", retry_budget: { percent: 0, least: 3, window_seconds: 60 }", ALL).await;
    setting.both(Behaviour::Status(503));
    for _ in 0..10 {
        assert_eq!(setting.send(Method::GET).await.status(), 503);
    }
    assert_eq!(setting.requests(), 13);
    let denied = "tollgate_upstream_retries_denied_total{upstream=\"it\"}";
    assert_eq!(setting.gateway.metric(denied).await, Some(9.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn request_billed_at_dispatch_is_recorded_once_whatever_the_tries() {
    let setting = Setting::new("", ALL).await;
    setting.both(Behaviour::Reset);
    let answer = send(&setting.gateway, &setting.customer.secret, Method::GET, &[], "dispatched").await;
    assert_eq!(answer.status(), 502);
    assert_eq!(setting.requests(), 3);
    assert_eq!(setting.books().await, (vec![202], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn route_without_retries_tries_only_failed_connections_again() {
    let setting = Setting::new("", "").await;
    setting.both(Behaviour::Status(503));
    assert_eq!(setting.send(Method::GET).await.status(), 503);
    setting.both(Behaviour::Garbage);
    assert_eq!(setting.send(Method::GET).await.status(), 502);
    assert_eq!(setting.requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn route_says_how_often_failed_connections_are_tried_again() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let closed = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let servers = [closed(), closed(), closed()];
    let gateway = fixture.gateway_with(&file(&servers, "", "")).await;
    let tries = async |path: &str| {
        let count = async || {
            let series = "tollgate_upstream_connect_failures_total{kind=\"refused\",upstream=\"it\"}";
            gateway.metric(series).await.unwrap_or(0.0)
        };
        let before = count().await;
        let status = gateway.status(path, &customer.secret).await;
        (status, count().await - before)
    };
    assert_eq!(tries("/").await, (502, 3.0));
    for (most, expected) in [(0, 1.0), (1, 2.0), (4, 5.0)] {
        let path = format!("/most-{most}");
        let routes = file(&servers, "", &format!(", retries: {{ most: {most} }}"));
        fixture.configure(&routes.replace("path_prefix: /,", &format!("path_prefix: {path},")));
        let reloaded = || async { (gateway.status("/", &customer.secret).await == 404).then_some(()) };
        eventually("the reload", reloaded).await;
        let served = || async { (gateway.status(&path, &customer.secret).await == 502).then_some(()) };
        eventually("the new route", served).await;
        assert_eq!(tries(&path).await, (502, expected), "{most}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_http2_are_tried_again_and_recorded_once() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let servers = [Faulty::start("one").await, Faulty::start("two").await];
    let routes = file(&servers.each_ref().map(|server| server.address), "", ALL);
    let gateway = fixture.gateway_with(&format!("{}{routes}", crate::http2::WITHOUT_TLS)).await;
    up(&gateway).await;
    let faults = [Behaviour::Reset, Behaviour::Status(503), Behaviour::Garbage, Behaviour::Silence];
    servers[0].next(&faults);
    let mut client = Http2::connect(gateway.address).await;
    for _ in 0..8 {
        assert_eq!(client.get("/", &customer.secret).await.status, 200);
    }
    assert_eq!(servers.iter().map(Faulty::requests).sum::<usize>(), 12);
    // Without a promise that it may be repeated, a POST is not.
    for server in &servers {
        server.usually(Behaviour::Status(503));
    }
    let post = Http2::request("POST", "/").header("x-api-key", customer.secret.expose());
    assert_eq!(client.ask(post).await.status, 503);
    assert_eq!(servers.iter().map(Faulty::requests).sum::<usize>(), 13);
    drop(client);
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    let records = fixture.billing.records(customer.tenant);
    assert_eq!(records.iter().map(|record| record.status).collect::<Vec<_>>(), [[200; 8].as_slice(), &[503]].concat());
}

/// A number that looks random, the same in each run.
fn scattered(number: u64) -> u64 {
    let mut bits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits ^= bits >> 29;
    bits.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_has_one_record_or_one_refusal_whatever_servers_do() {
    const CLIENTS: u64 = 8;
    const REQUESTS: u64 = 40;
    let setting = Setting::new(", retry_budget: { percent: 100 }", ALL).await;
    let choices = [
        Behaviour::Serve,
        Behaviour::Status(503),
        Behaviour::Reset,
        Behaviour::Serve,
        Behaviour::Garbage,
        Behaviour::Status(500),
        Behaviour::Break,
        Behaviour::Serve,
    ];
    for (server, offset) in setting.servers.iter().zip([0, 1_000_000]) {
        let script = (0..2_000).map(|number| choices[(scattered(number + offset) % 8) as usize]);
        server.next(&script.collect::<Vec<_>>());
    }
    let methods = [Method::GET, Method::POST, Method::PUT];
    let client = |number: u64| {
        let (gateway, key, methods) = (&setting.gateway, &setting.customer.secret, &methods);
        async move {
            let (mut answered, mut refused) = (0, 0);
            for request in 0..REQUESTS {
                let method = methods[(scattered(number * REQUESTS + request) % 3) as usize].clone();
                let keys: &[(&str, &str)] = if request % 2 == 0 { &[("idempotency-key", "a")] } else { &[] };
                let answer = send(gateway, key, method, keys, "").await;
                let is_problem =
                    answer.headers().get("content-type").is_some_and(|kind| kind == "application/problem+json");
                if is_problem {
                    refused += 1;
                } else {
                    answered += 1;
                }
                // It may break off: then it was an answer all the same.
                let _ = answer.bytes().await;
            }
            (answered, refused)
        }
    };
    let counts = futures_util::future::join_all((0..CLIENTS).map(client)).await;
    let (answered, refused) = counts.iter().fold((0, 0), |sum, each| (sum.0 + each.0, sum.1 + each.1));
    assert!(answered + refused == CLIENTS * REQUESTS && refused > 0, "{answered} {refused}");
    assert!(setting.requests() as u64 > CLIENTS * REQUESTS, "some were tried again");
    let (records, refusals) = setting.books().await;
    assert_eq!((records.len() as u64, refusals), (answered, refused));
}
