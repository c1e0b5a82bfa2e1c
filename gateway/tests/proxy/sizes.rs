//! Requests that are billed by the bytes of their bodies.

use common::usage::UsageRecord;

use crate::{
    http2::WITHOUT_TLS,
    support::{
        eventually,
        http2::{Http2, read},
        raw::Wire,
        setting::Setting,
    },
};

fn routes_to(address: std::net::SocketAddr) -> String {
    format!(
        "{WITHOUT_TLS}
upstreams: {{ raw: {{ servers: ['{address}'], read_timeout_ms: 60000, health: {{ interval_seconds: 3600 }} }} }}
routes:
  - {{ name: both, path_prefix: /, upstream: raw, units: {{ bytes: both, per: 10 }} }}
  - {{ name: request, path_prefix: /request, upstream: raw, units: {{ bytes: request }} }}
  - {{ name: hasty, path_prefix: /request/hasty, upstream: raw, abort_timeout_ms: 200, units: {{ bytes: request }} }}
  - {{ name: answer, path_prefix: /answer, upstream: raw, units: {{ bytes: response, per: 1000 }} }}
"
    )
}

/// A client that has sent a request with a body of 15 bytes, and the upstream's side of it. An
/// upstream that answers several such requests closes after each and says so: the gateway does not
/// send a POST again that it had sent on a connection that then closed.
async fn sent(setting: &Setting, method: &str, path: &str) -> (Wire, Wire) {
    let mut client = Wire::connect(setting.gateway.address).await;
    let key = setting.customer.secret.expose();
    let header = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nContent-Length: 15\r\n\r\n");
    client.send(header + "fifteen bytes..").await;
    let (mut server, _) = setting.upstream.request().await;
    server.read_until("bytes..").await;
    (client, server)
}

/// Status, units and whether they are billed, of every record so far.
fn told(records: &[UsageRecord]) -> Vec<(u16, u64, bool)> {
    records.iter().map(|record| (record.status, record.units, record.billable)).collect()
}

async fn recorded(setting: &Setting, count: usize) -> Vec<(u16, u64, bool)> {
    let records = setting.fixture.billing.wait_for(setting.customer.tenant, count).await;
    setting.gateway.idle().await;
    told(&records)
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_known_length_are_in_the_requests_own_record() {
    let setting = Setting::new(routes_to).await;
    let cases = [
        ("/", "200 OK", 2 + 3, true),
        ("/request", "200 OK", 15, true),
        ("/answer", "404 Not Found", 1, true),
        ("/answer", "500 Internal Server Error", 1, false),
    ];
    for (path, status, ..) in cases {
        let (mut client, mut server) = sent(&setting, "POST", path).await;
        let header = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 25\r\n\r\n");
        server.send(header + "twenty-five bytes to read").await;
        client.read_until("to read").await;
    }
    let mut expected: Vec<_> =
        cases.iter().map(|(_, status, units, billed)| (status[..3].parse().unwrap(), *units, *billed)).collect();
    let mut found = recorded(&setting, cases.len()).await;
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_without_a_body_costs_nothing() {
    let setting = Setting::new(routes_to).await;
    for (method, answer) in [
        ("HEAD", "200 OK\r\nContent-Length: 5000"),
        ("POST", "204 No Content"),
        ("POST", "200 OK\r\nContent-Length: 0"),
    ] {
        let (mut client, mut server) = sent(&setting, method, "/answer").await;
        server.send(format!("HTTP/1.1 {answer}\r\nConnection: close\r\n\r\n")).await;
        client.read_until("\r\n\r\n").await;
    }
    assert!(recorded(&setting, 3).await.iter().all(|(_, units, _)| *units == 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_part_of_a_stream_is_recorded_before_it_passes() {
    let setting = Setting::new(routes_to).await;
    let (mut client, mut server) = sent(&setting, "GET", "/answer").await;
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.read_until("\r\n\r\n").await;
    assert_eq!(told(&setting.fixture.billing.wait_for(setting.customer.tenant, 1).await), [(200, 0, true)]);
    // 600 bytes begin a unit, 600 more begin the second, and 600 fit into it.
    for (part, units) in [("a", vec![1]), ("b", vec![1, 1]), ("c", vec![1, 1])] {
        server.send(format!("258\r\n{}\r\n", part.repeat(600))).await;
        client.read_until(&part.repeat(600)).await;
        let records = setting.fixture.billing.wait_for(setting.customer.tenant, 1 + units.len()).await;
        let further: Vec<_> = records.iter().filter(|record| record.status == 100).map(|record| record.units).collect();
        assert_eq!(further, units, "{part}");
    }
    server.send("0\r\n\r\n").await;
    client.read_until("0\r\n\r\n").await;
    assert_eq!(recorded(&setting, 3).await.iter().map(|(_, units, _)| units).sum::<u64>(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_answer_over_http2_is_counted_to_the_byte() {
    let setting = Setting::new(routes_to).await;
    let mut client = Http2::connect(setting.gateway.address).await;
    let answer = client.post("/answer", &setting.customer.secret, "work").await;
    let (mut server, _) = setting.upstream.request().await;
    server.read_until("work").await;
    let body = "x".repeat(300_000);
    let sending = async {
        server.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
    };
    let (answer, ()) = tokio::join!(read(answer), sending);
    assert_eq!(answer.body.len(), body.len());
    setting.gateway.idle().await;
    let units = || async {
        let records = setting.fixture.billing.records(setting.customer.tenant);
        (records.iter().map(|record| record.units).sum::<u64>() == 300).then_some(records)
    };
    let records = eventually("a unit for each 1,000 bytes", units).await;
    // What one read may give is in the request's own record: 64 KiB.
    assert!(records.iter().any(|record| record.status == 200 && record.units == 66), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn spent_quota_ends_the_answer_and_is_not_overshot() {
    let setting = Setting::on_plan("capped", routes_to).await;
    let customer = &setting.customer;
    let mut client = Wire::connect(setting.gateway.address).await;
    let key = customer.secret.expose();
    client.send(format!("GET /answer HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\n\r\n")).await;
    let (mut server, _) = setting.upstream.request().await;
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let mut passed = 0;
    for _ in 0..5 {
        server.send(format!("3e8\r\n{}\r\n", "x".repeat(1_000))).await;
        client.read_until(&"x".repeat(1_000)).await;
        passed += 1;
    }
    server.send(format!("3e8\r\n{}\r\n", "y".repeat(1_000))).await;
    assert!(!client.read_to_end().await.contains('y'), "five units were left");
    let records = setting.fixture.billing.wait_for(customer.tenant, 1 + passed).await;
    assert_eq!(records.iter().map(|record| record.units).sum::<u64>(), 5, "{records:?}");
    let line = eventually("the access line", || async { setting.gateway.access_log().into_iter().next() }).await;
    assert_eq!((&line["status"], &line["code"]), (&200.into(), &"quota_exceeded".into()), "{line}");
    assert_eq!(setting.gateway.status("/answer", &customer.secret).await, 429, "the month's quota is spent");
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_request_costs_what_was_read_of_it() {
    let setting = Setting::new(routes_to).await;
    let (client, mut server) = sent(&setting, "POST", "/").await;
    client.reset();
    setting.gateway.alone(1.0).await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 25\r\nConnection: close\r\n\r\ntwenty-five bytes to read";
    server.send(answer).await;
    assert_eq!(recorded(&setting, 1).await, [(499, 2, true)], "nobody got the answer");
    let (client, mut server) = sent(&setting, "POST", "/request/hasty").await;
    client.reset();
    assert_eq!(server.read_to_end().await, "");
    let records = recorded(&setting, 2).await;
    assert!(records.contains(&(499, 15, true)), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_breaks_off_costs_what_passed() {
    let setting = Setting::new(routes_to).await;
    let (mut client, mut server) = sent(&setting, "GET", "/answer").await;
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    server.send(format!("5dc\r\n{}\r\n", "x".repeat(1_500))).await;
    client.read_until(&"x".repeat(1_500)).await;
    client.reset();
    setting.gateway.alone(1.0).await;
    // Read for nobody: it costs nothing.
    server.send(format!("5dc\r\n{}\r\n0\r\n\r\n", "x".repeat(1_500))).await;
    let records = recorded(&setting, 2).await;
    assert!(records.contains(&(200, 0, true)), "{records:?}");
    assert_eq!(records.iter().map(|(_, units, _)| units).sum::<u64>(), 2, "{records:?}");
}
