//! Clients that leave before their answer: the work that the upstream does for them is limited,
//! recorded and billed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use common::key::Secret;
use tokio::sync::watch;

use crate::support::{Fixture, eventually, process::Gateway, raw::Wire, setting::Setting};

fn routes_to(address: std::net::SocketAddr) -> String {
    format!(
        "
upstreams: {{ raw: {{ servers: ['{address}'], read_timeout_ms: 60000 }} }}
routes:
  - {{ name: raw, path_prefix: /, upstream: raw }}
  - {{ name: two, path_prefix: /two, upstream: raw, limits: {{ concurrent: 2 }} }}
  - {{ name: cancelled, path_prefix: /cancelled, upstream: raw, on_abort: cancel, limits: {{ concurrent: 1 }} }}
  - {{ name: dispatched, path_prefix: /dispatched, upstream: raw, bill: on_dispatch, units: {{ fixed: 7 }} }}
  - {{ name: hasty, path_prefix: /hasty, upstream: raw, abort_timeout_ms: 200, units: {{ fixed: 3 }} }}
  - {{ name: short, path_prefix: /short, upstream: raw, abort_bytes: 100000 }}
"
    )
}

impl Setting {
    /// A client that has sent a whole request, and the upstream's side of it.
    async fn sent(&self, path: &str) -> (Wire, Wire) {
        let mut client = Wire::connect(self.gateway.address).await;
        client.send(post(path, &self.customer.secret)).await;
        let (mut server, _) = self.upstream.request().await;
        server.read_until("work").await;
        (client, server)
    }
}

fn post(path: &str, secret: &Secret) -> String {
    let key = secret.expose();
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nContent-Length: 4\r\n\r\nwork")
}

async fn counted(gateway: &Gateway, route: &str, status: u16) -> Option<f64> {
    gateway.metric(&format!("tollgate_http_requests_total{{route=\"{route}\",status=\"{status}\"}}")).await
}

/// An upstream that works until it is told to answer, and counts how much it does.
struct Worker {
    address: std::net::SocketAddr,
    done: watch::Sender<bool>,
    begun: Arc<AtomicUsize>,
    under_way: Arc<AtomicUsize>,
}

impl Worker {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (done, begun, under_way) = (watch::Sender::new(false), Arc::<AtomicUsize>::default(), Arc::default());
        let (told, count, now) = (done.clone(), Arc::clone(&begun), Arc::<AtomicUsize>::clone(&under_way));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (mut told, count, now) = (told.subscribe(), Arc::clone(&count), Arc::clone(&now));
                tokio::spawn(async move {
                    let mut wire = Wire::new(stream);
                    // Health checks only connect.
                    if !wire.has_until("work").await {
                        return;
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    now.fetch_add(1, Ordering::SeqCst);
                    // The work goes on whether or not the gateway is still there.
                    told.wait_for(|done| *done).await.unwrap();
                    now.fetch_sub(1, Ordering::SeqCst);
                    wire.send_as_far_as_taken("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone")
                        .await;
                });
            }
        });
        Self { address, done, begun, under_way }
    }

    fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hang_up_stay_within_their_cap_and_are_billed() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("capped")).await;
    let worker = Worker::start().await;
    let gateway = fixture.gateway_with(&routes_to(worker.address)).await;
    let mut clients = Vec::new();
    // A store that is slow to grant the first units refuses some with 503.
    eventually("all units of the cap are in use", async || {
        let mut client = Wire::connect(gateway.address).await;
        client.send(post("/", &customer.secret)).await;
        clients.push(client);
        clients.len() >= 50 && worker.begun() >= 5
    })
    .await;
    // The others were refused.
    gateway.shows("tollgate_http_requests_in_flight", 5.0).await;
    for (number, client) in clients.into_iter().enumerate() {
        if number % 2 == 0 { client.reset() } else { drop(client) }
    }
    gateway.alone(5.0).await;
    assert!([429, 503].contains(&gateway.status("/", &customer.secret).await), "requests in progress still count");
    worker.done.send_replace(true);
    let records = fixture.billing.wait_for(customer.tenant, 5).await;
    gateway.idle().await;
    assert_eq!((records.len(), worker.begun()), (5, 5));
    assert!(records.iter().all(|record| record.status == 499 && record.billable && record.units == 1), "{records:?}");
    // A client that resets its connection before it reads its refusal counts as 499, too.
    assert!(counted(&gateway, "raw", 499).await >= Some(5.0));
    eventually("the lines of those that were finished", async || {
        let lines = gateway.access_log();
        let aborted = lines.iter().filter(|line| line["status"] == 499 && line["aborted"] == "finished");
        (aborted.count() == 5).then_some(())
    })
    .await;
    assert!([429, 503].contains(&gateway.status("/", &customer.secret).await), "the cap is used up");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hang_up_stay_within_the_limit_on_concurrent_requests() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let worker = Worker::start().await;
    let gateway = fixture.gateway_with(&routes_to(worker.address)).await;
    for number in 1..=20_u32 {
        let mut client = Wire::connect(gateway.address).await;
        client.send(post("/two", &customer.secret)).await;
        eventually("admitted or refused", || async {
            let refused = counted(&gateway, "two", 429).await.unwrap_or(0.0);
            (worker.begun() as f64 + refused >= f64::from(number)).then_some(())
        })
        .await;
        if number % 2 == 0 {
            client.reset();
        } else {
            drop(client);
        }
        gateway.alone(f64::from(number.min(2))).await;
    }
    assert_eq!(worker.under_way.load(Ordering::SeqCst), 2);
    worker.done.send_replace(true);
    let records = fixture.billing.wait_for(customer.tenant, 2).await;
    gateway.idle().await;
    assert_eq!((records.len(), worker.begun()), (2, 2));
    assert_eq!(
        gateway
            .client
            .post(gateway.url("/two"))
            .bearer_auth(customer.secret.expose())
            .body("work")
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_request_is_billed_as_the_upstream_answers_it() {
    for (answer, billable) in [("200 OK", true), ("404 Not Found", true), ("500 Internal Server Error", false)] {
        let setting = Setting::new(routes_to).await;
        let (client, mut server) = setting.sent("/").await;
        client.reset();
        setting.gateway.alone(1.0).await;
        server.send(format!("HTTP/1.1 {answer}\r\nContent-Length: 2\r\n\r\nok")).await;
        let record = setting.only_record().await;
        assert_eq!((record.status, record.billable), (499, billable), "{answer}");
        assert_eq!(setting.aborts("raw", "finished").await, Some(1.0), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn route_can_let_requests_end_with_their_clients() {
    let setting = Setting::new(routes_to).await;
    for resets in [true, false] {
        let (client, mut server) = setting.sent("/cancelled").await;
        if resets {
            client.reset();
        } else {
            drop(client);
        }
        assert_eq!(server.read_to_end().await, "", "the connection to the upstream is closed");
        setting.gateway.idle().await;
    }
    let records = setting.fixture.billing.wait_for(setting.customer.tenant, 2).await;
    assert!(records.iter().all(|record| record.status == 499 && !record.billable), "{records:?}");
    assert_eq!(setting.aborts("cancelled", "cancelled").await, Some(2.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn route_can_bill_when_it_sends_on() {
    let setting = Setting::new(routes_to).await;
    let (client, server) = setting.sent("/dispatched").await;
    let records = setting.fixture.billing.wait_for(setting.customer.tenant, 1).await;
    assert_eq!((records[0].status, records[0].billable, records[0].units), (202, true, 7));
    // Whatever becomes of it: the client leaves, and the upstream breaks off.
    client.reset();
    drop(server);
    setting.gateway.idle().await;
    let (mut client, mut server) = setting.sent("/dispatched").await;
    server.send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    client.read_until("\r\n\r\n").await;
    setting.fixture.billing.wait_for(setting.customer.tenant, 2).await;
    setting.gateway.signal("TERM");
    assert!(setting.gateway.ended().await.success());
    let records = setting.fixture.billing.records(setting.customer.tenant);
    assert_eq!(records.iter().filter(|record| record.billable && record.units == 7).count(), 2);
    assert_eq!(records.len(), 2, "each is recorded once");
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_that_never_answers_is_not_waited_for_forever() {
    let setting = Setting::new(routes_to).await;
    let (client, mut server) = setting.sent("/hasty").await;
    client.reset();
    assert_eq!(server.read_to_end().await, "");
    let record = setting.only_record().await;
    assert_eq!((record.status, record.billable, record.units), (499, true, 3));
    assert_eq!(setting.aborts("hasty", "cut_off").await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_answer_is_not_read_forever_for_nobody() {
    let setting = Setting::new(routes_to).await;
    let (mut client, mut server) = setting.sent("/short").await;
    server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhead\r\n").await;
    client.read_until("head").await;
    client.reset();
    let chunk = format!("{:x}\r\n{}\r\n", 10_000, "x".repeat(10_000));
    let mut sent = 0;
    while server.try_send(&chunk).await {
        sent += 1;
        assert!(sent < 10_000, "the gateway reads on and on");
    }
    let record = setting.only_record().await;
    assert_eq!((record.status, record.billable), (200, true), "the client had its answer's header");
    assert_eq!(setting.aborts("short", "cut_off").await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_that_breaks_off_is_recorded_and_not_billed() {
    let setting = Setting::new(routes_to).await;
    let key = setting.customer.secret.expose();
    let mut client = Wire::connect(setting.gateway.address).await;
    client.send(format!("POST / HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nContent-Length: 9\r\n\r\nhalf")).await;
    let (mut server, _) = setting.upstream.request().await;
    server.read_until("half").await;
    client.reset();
    assert_eq!(server.read_to_end().await, "");
    let record = setting.only_record().await;
    assert_eq!((record.status, record.billable), (499, false));
    assert_eq!(setting.aborts("raw", "incomplete").await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_shuts_down_its_sending_side_gets_its_answer() {
    let setting = Setting::new(routes_to).await;
    let (mut client, mut server) = setting.sent("/").await;
    client.finish().await;
    setting.gateway.alone(1.0).await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
    let answer = client.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("done"), "{answer}");
    assert!(setting.only_record().await.billable);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_billed_at_dispatch_never_meets_closed_connection() {
    let setting = Setting::new(routes_to).await;
    // A connection is kept by the gateway, and closed by the upstream in the moment in which it is
    // used again.
    let (mut client, mut kept) = setting.sent("/").await;
    kept.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour").await;
    client.read_until("four").await;
    client.send(post("/dispatched", &setting.customer.secret)).await;
    let (mut server, header) = setting.upstream.request().await;
    assert!(header.to_ascii_lowercase().contains("connection: close"), "{header}");
    drop(kept);
    server.read_until("work").await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
    let answer = client.read_until("done").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // Nor is the connection left to others, though the upstream leaves it open.
    client.send(post("/", &setting.customer.secret)).await;
    let (mut other, header) = setting.upstream.request().await;
    assert!(!header.to_ascii_lowercase().contains("connection: close"), "{header}");
    other.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast").await;
    client.read_until("last").await;
    let records = setting.fixture.billing.wait_for(setting.customer.tenant, 3).await;
    let told: Vec<_> = records.iter().map(|record| (&*record.route, record.status, record.units)).collect();
    assert_eq!(told, [("raw", 200, 1), ("dispatched", 202, 7), ("raw", 200, 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_that_no_server_accepts_is_not_billed_at_dispatch() {
    let fixture = Fixture::new().await;
    let customer = fixture.customer(Some("roomy")).await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = fixture.gateway_with(&routes_to(nobody)).await;
    assert_eq!(gateway.status("/dispatched", &customer.secret).await, 502);
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    assert!(fixture.billing.records(customer.tenant).is_empty());
    let refusals = fixture.billing.refusals(customer.tenant);
    assert_eq!(refusals.iter().map(|refusal| &*refusal.reason).collect::<Vec<_>>(), ["upstream_unavailable"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_that_ends_finishes_what_it_does_for_clients_that_left() {
    let setting = Setting::new(routes_to).await;
    let (client, mut server) = setting.sent("/").await;
    client.reset();
    setting.gateway.alone(1.0).await;
    setting.gateway.signal("TERM");
    setting.gateway.logged("the end begins", |line| line["event"] == "ending").await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
    assert!(setting.gateway.ended().await.success());
    let records = setting.fixture.billing.records(setting.customer.tenant);
    assert_eq!(records.iter().map(|record| (record.status, record.billable)).collect::<Vec<_>>(), [(499, true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn gateway_that_ends_bills_what_it_cannot_finish_any_more() {
    let setting = Setting::new(routes_to).await;
    let (client, _server) = setting.sent("/").await;
    client.reset();
    setting.gateway.alone(1.0).await;
    setting.gateway.signal("TERM");
    setting.gateway.logged("the end begins", |line| line["event"] == "ending").await;
    // Once more: it does not wait for what is in flight.
    setting.gateway.signal("TERM");
    assert!(setting.gateway.ended().await.success());
    let records = setting.fixture.billing.records(setting.customer.tenant);
    assert_eq!(records.iter().map(|record| (record.status, record.billable)).collect::<Vec<_>>(), [(499, true)]);
}
