//! Clients that keep a server waiting, or are too many.

use std::{convert::Infallible, future::poll_fn, net::SocketAddr};

use http_body::Body as _;
use prometheus::IntGauge;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::listen::ListenerMetrics;

/// Time after which a test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

struct Server {
    address: SocketAddr,
    connections: Arc<Connections>,
    stop: watch::Sender<bool>,
    over: tokio::task::JoinHandle<()>,
}

fn hasty(most: usize, milliseconds: u64) -> Guard {
    let patience = Duration::from_millis(milliseconds);
    let rate = Rate { patience, bytes_per_second: 500 };
    let open = IntGauge::new("open", "Open connections").unwrap();
    Guard {
        connections: Connections::new(ListenerMetrics::new("test", open)),
        limits: ConnectionLimits { most, most_per_address: most },
        deadlines: Deadlines { header: patience, idle: patience, body: rate, send: rate },
        tls: None,
    }
}

/// A server that answers with what became of the body, or with many bytes.
async fn start(guard: Guard) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = watch::Sender::new(false);
    let signals = Signals { stopped: stop.subscribe(), closing: stop.subscribe() };
    let (connections, rate) = (Arc::clone(&guard.connections), guard.deadlines.body);
    let metrics = connections.metrics().clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let is_large = request.uri().path() == "/large";
        let mut body = PacedBody::new(request.into_body(), rate, metrics.clone());
        async move {
            let mut told = "complete".to_owned();
            while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                if let Err(error) = frame {
                    told = error.to_string();
                    break;
                }
            }
            Ok::<_, Infallible>(Response::new(if is_large { "x".repeat(100_000_000) } else { told }))
        }
    });
    let protocol = Protocol::Http1 { header_bytes: 16 * 1024 };
    let over = tokio::spawn(serve(listener, guard, protocol, service, signals));
    Server { address, connections, stop, over }
}

impl Server {
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }
}

async fn answer(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is an end as well.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed in time");
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn client_without_complete_header_gets_408() {
    let server = start(hasty(10, 1_000)).await;
    for text in ["GET", "GET / HTTP/1.1\r\nHost: a\r\n"] {
        let told = answer(server.send(text).await).await;
        let (header, body) = told.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}: {told}"));
        assert!(header.starts_with("HTTP/1.1 408 ") && header.contains("application/problem+json"), "{told}");
        assert!(header.contains(&format!("content-length: {}\r\n", body.len())), "{told}");
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&problem["code"], &problem["status"]), (&"request_timeout".into(), &408.into()));
    }
    assert_eq!(answer(server.send("").await).await, "", "nothing was begun");
    let kept = answer(server.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n").await).await;
    assert!(kept.starts_with("HTTP/1.1 200 "), "{kept}");
    let behind = kept.split_once("complete").map(|(_, behind)| behind);
    assert!(behind.is_some_and(|behind| behind.starts_with("HTTP/1.1 408 ")), "{kept}");
}

#[tokio::test]
async fn client_beyond_limit_gets_refusal() {
    let server = start(hasty(1, 3_600_000)).await;
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n";
    let mut held = server.send(post).await;
    // By then it is being answered, and does not give way.
    timeout(PATIENCE, held.read_exact(&mut [0; 12])).await.unwrap().unwrap();
    let told = answer(TcpStream::connect(server.address).await.unwrap()).await;
    assert!(told.starts_with("HTTP/1.1 503 "), "{told}");
    assert!(told.contains("retry-after: 1\r\n") && told.contains("\"code\":\"too_many_connections\""), "{told}");
}

#[tokio::test]
async fn body_that_never_arrives_is_an_error_for_its_handler() {
    let server = start(hasty(10, 1_000)).await;
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello";
    let told = answer(server.send(post).await).await;
    assert!(told.contains("took too long"), "{told}");
}

#[tokio::test]
async fn client_that_does_not_read_is_closed() {
    let server = start(hasty(10, 1_000)).await;
    let _held = server.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let closed = async {
        while server.connections.gauge().get() == 0 {
            tokio::task::yield_now().await;
        }
        while server.connections.gauge().get() > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, closed).await.unwrap();
}

#[tokio::test]
async fn idle_connection_is_closed_for_new_one() {
    let server = start(hasty(4, 3_600_000)).await;
    let mut held = Vec::new();
    for _ in 0..50 {
        held.push(server.send("").await);
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        let told = answer(server.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await).await;
        assert!(told.ends_with("complete"), "{told}");
    }
}

#[tokio::test]
async fn stopping_server_closes_idle_connections() {
    let server = start(hasty(4, 3_600_000)).await;
    let held = server.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let silent = server.send("").await;
    server.stop.send_replace(true);
    timeout(PATIENCE, server.over).await.unwrap().unwrap();
    answer(held).await;
    assert_eq!(answer(silent).await, "");
}
