//! The time that a route gives each part of a request.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{raw::Wire, setting::Setting};

const ROUTES: &str = "
upstreams:
  raw: { servers: ['RAW'], health: { interval_seconds: 3600 } }
routes:
  - { name: plain, path_prefix: /, upstream: raw, public: true }
  - { name: first, path_prefix: /first, upstream: raw, public: true, timeouts: { first_byte_ms: 300 } }
  - { name: between, path_prefix: /between, upstream: raw, public: true, timeouts: { between_bytes_ms: 300 } }
  - { name: total, path_prefix: /total, upstream: raw, public: true, timeouts: { total_ms: 800 } }
";

fn routes_to(address: std::net::SocketAddr) -> String {
    ROUTES.replace("RAW", &address.to_string())
}

impl Setting {
    /// A client that has sent this, and the upstream's end of the request.
    async fn send(&self, request: &str) -> (Wire, Wire) {
        let mut client = Wire::connect(self.gateway.address).await;
        client.send(request).await;
        let (upstream, _) = self.upstream.request().await;
        (client, upstream)
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
}

fn code(answer: &str) -> String {
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    body["code"].as_str().unwrap().to_owned()
}

/// A body without a length is passed on as it comes.
const HEADER: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

const END: &str = "0\r\n\r\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_does_not_begin_in_time_is_a_504_and_later_silence_is_not() {
    let setting = Setting::new(routes_to).await;
    let (mut client, _upstream) = setting.send(&get("/first")).await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 504") && code(&answer) == "upstream_timeout", "{answer}");

    let (mut client, mut upstream) = setting.send(&get("/first")).await;
    upstream.send(HEADER.to_owned() + &chunk("abc")).await;
    client.read_until("abc").await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    upstream.send(chunk("def") + END).await;
    assert!(client.has_until("def").await, "the time for the first byte does not bound the body");
}

#[tokio::test(flavor = "multi_thread")]
async fn first_byte_is_waited_for_from_the_end_of_the_request() {
    let setting = Setting::new(routes_to).await;
    let upload = "POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\na";
    let (mut client, mut upstream) = setting.send(upload).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    client.send("b").await;
    upstream.send(HEADER.to_owned() + &chunk("abcdef") + END).await;
    assert!(client.read_to_end().await.starts_with("HTTP/1.1 200"));
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_pauses_for_too_long_is_cut_off() {
    let setting = Setting::new(routes_to).await;
    let (mut client, mut upstream) = setting.send(&get("/between")).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    upstream.send(HEADER.to_owned() + &chunk("abc")).await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("abc") && !answer.contains(END), "{answer}");

    let (mut client, mut upstream) = setting.send(&get("/between")).await;
    upstream.send(HEADER).await;
    for letter in ["a", "b", "c", "d", "e", "f"] {
        tokio::time::sleep(Duration::from_millis(100)).await;
        upstream.send(chunk(letter)).await;
    }
    upstream.send(END).await;
    assert!(client.read_to_end().await.ends_with(END));
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_request_has_one_time_however_steadily_it_goes_on() {
    let setting = Setting::new(routes_to).await;
    let started = Instant::now();
    let (mut client, _upstream) = setting.send(&get("/total")).await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 504") && started.elapsed() >= Duration::from_millis(700), "{answer}");

    let (mut client, mut upstream) = setting.send(&get("/total")).await;
    upstream.send(HEADER).await;
    let dripping = async {
        while upstream.try_send(chunk("a")).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (answer, ()) = tokio::join!(client.read_to_end(), dripping);
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains(END), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn route_without_times_waits_as_its_upstream_says() {
    let setting = Setting::new(routes_to).await;
    let (mut client, mut upstream) = setting.send(&get("/x")).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    upstream.send(HEADER.to_owned() + &chunk("abc")).await;
    client.read_until("abc").await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    upstream.send(chunk("def") + END).await;
    assert!(client.read_to_end().await.ends_with(END));
}
