//! Clients of HTTP/2 that take their request back, or whose connection is lost, before the answer:
//! the same rules hold as for those of HTTP/1.1.

use crate::{
    http2::WITHOUT_TLS,
    support::{http2::Http2, raw::Wire, setting::Setting},
};

/// The rest of a chunked body behind its only chunk.
const END_OF_BODY: &str = "\r\n0\r\n\r\n";

/// The way in which a client leaves.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    /// It takes the request back, and keeps its connection.
    Reset,
    /// Its connection is lost.
    Lost,
}

const BOTH: [Leaving; 2] = [Leaving::Reset, Leaving::Lost];

fn routes_to(address: std::net::SocketAddr) -> String {
    format!(
        "{WITHOUT_TLS}
upstreams: {{ raw: {{ servers: ['{address}'], read_timeout_ms: 60000, health: {{ interval_seconds: 3600 }} }} }}
routes:
  - {{ name: raw, path_prefix: /, upstream: raw }}
  - {{ name: one, path_prefix: /one, upstream: raw, limits: {{ concurrent: 1 }} }}
  - {{ name: cancelled, path_prefix: /cancelled, upstream: raw, on_abort: cancel }}
  - {{ name: hasty, path_prefix: /hasty, upstream: raw, abort_timeout_ms: 200, units: {{ fixed: 3 }} }}
  - {{ name: short, path_prefix: /short, upstream: raw, abort_bytes: 100000 }}
"
    )
}

impl Setting {
    /// Sends a whole request, which the upstream gets, and leaves. The upstream's side of it.
    async fn left(&self, path: &str, leaving: Leaving) -> (Wire, Option<Http2>) {
        let mut client = Http2::connect(self.gateway.address).await;
        let answer = client.post(path, &self.customer.secret, "work").await;
        let (mut server, _) = self.upstream.request().await;
        server.read_until("work").await;
        drop(answer);
        match leaving {
            Leaving::Reset => (server, Some(client)),
            Leaving::Lost => {
                client.abort();
                (server, None)
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_request_is_billed_as_the_upstream_answers_it() {
    for leaving in BOTH {
        let setting = Setting::new(routes_to).await;
        let (mut server, mut client) = setting.left("/", leaving).await;
        setting.gateway.alone(1.0).await;
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        let record = setting.only_record().await;
        assert_eq!((record.status, record.billable), (499, true), "{leaving:?}");
        assert_eq!(setting.aborts("raw", "finished").await, Some(1.0), "{leaving:?}");
        if let Some(client) = &mut client {
            // Other requests of the connection are served on.
            let request = Http2::request("GET", "/nowhere").header("host", "b");
            assert_eq!(client.ask(request).await.status, 400);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn permit_is_held_until_the_upstream_has_answered() {
    for leaving in BOTH {
        let setting = Setting::new(routes_to).await;
        let (mut server, _client) = setting.left("/one", leaving).await;
        setting.gateway.alone(1.0).await;
        assert_eq!(setting.gateway.status("/one", &setting.customer.secret).await, 429, "{leaving:?}");
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
        setting.gateway.idle().await;
        let mut other = Http2::connect(setting.gateway.address).await;
        let answer = other.post("/one", &setting.customer.secret, "work").await;
        let (mut server, _) = setting.upstream.request().await;
        server.read_until("work").await;
        server.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        assert_eq!(answer.await.unwrap().status(), 200, "{leaving:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn route_can_let_requests_end_with_their_clients() {
    let setting = Setting::new(routes_to).await;
    for leaving in BOTH {
        let (mut server, _client) = setting.left("/cancelled", leaving).await;
        assert_eq!(server.read_to_end().await, END_OF_BODY, "the connection to the upstream is closed");
        setting.gateway.idle().await;
    }
    let records = setting.fixture.billing.wait_for(setting.customer.tenant, 2).await;
    assert!(records.iter().all(|record| record.status == 499 && !record.billable), "{records:?}");
    assert_eq!(setting.aborts("cancelled", "cancelled").await, Some(2.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_that_never_answers_is_not_waited_for_forever() {
    for leaving in BOTH {
        let setting = Setting::new(routes_to).await;
        let (mut server, _client) = setting.left("/hasty", leaving).await;
        assert_eq!(server.read_to_end().await, END_OF_BODY, "{leaving:?}");
        let record = setting.only_record().await;
        assert_eq!((record.status, record.billable, record.units), (499, true, 3), "{leaving:?}");
        assert_eq!(setting.aborts("hasty", "cut_off").await, Some(1.0), "{leaving:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_answer_is_not_read_forever_for_nobody() {
    for leaving in BOTH {
        let setting = Setting::new(routes_to).await;
        let mut client = Http2::connect(setting.gateway.address).await;
        let answer = client.post("/short", &setting.customer.secret, "work").await;
        let (mut server, _) = setting.upstream.request().await;
        server.read_until("work").await;
        server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhead\r\n").await;
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "head");
        drop(body);
        let _client = match leaving {
            Leaving::Reset => Some(client),
            Leaving::Lost => {
                client.abort();
                None
            }
        };
        let chunk = format!("{:x}\r\n{}\r\n", 10_000, "x".repeat(10_000));
        let mut sent = 0;
        while server.try_send(&chunk).await {
            sent += 1;
            assert!(sent < 10_000, "the gateway reads on and on");
        }
        let record = setting.only_record().await;
        assert_eq!((record.status, record.billable), (200, true), "the client had its answer's header");
        assert_eq!(setting.aborts("short", "cut_off").await, Some(1.0), "{leaving:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_that_breaks_off_is_recorded_and_not_billed() {
    for leaving in BOTH {
        let setting = Setting::new(routes_to).await;
        let mut client = Http2::connect(setting.gateway.address).await;
        let request = Http2::request("POST", "/").header("x-api-key", setting.customer.secret.expose());
        let (answer, mut sending) = client.send(request, false).await;
        sending.send_data("half".into(), false).unwrap();
        let (mut server, _) = setting.upstream.request().await;
        server.read_until("half").await;
        match leaving {
            Leaving::Reset => sending.send_reset(h2::Reason::CANCEL),
            Leaving::Lost => client.abort(),
        }
        assert_eq!(server.read_to_end().await.replace("\r\n", ""), "", "{leaving:?}");
        drop(answer);
        let record = setting.only_record().await;
        assert_eq!((record.status, record.billable), (499, false), "{leaving:?}");
        assert_eq!(setting.aborts("raw", "incomplete").await, Some(1.0), "{leaving:?}");
    }
}
