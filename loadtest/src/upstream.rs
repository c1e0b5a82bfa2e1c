//! The demo upstream: a small API that answers what it is asked for and counts every request that
//! it accepts.
//!
//! A request counts from the moment its head was read, whether or not its answer arrives: so no
//! client can have received more answers than are counted here. The commands are the last segments
//! of the path, whatever stands before them: a gateway may or may not strip its route's prefix.
//!
//! | path | answer |
//! |---|---|
//! | `…/status/{code}` | that status |
//! | `…/units/{n}` | 200 with `X-Usage-Units: {n}` |
//! | `…/slow/{ms}` | 200 after so many milliseconds |
//! | `…/echo` | 200 with the request's body, streamed |
//! | `/_accepted` | `{"accepted":N,"by_key":{..}}`, by `X-Key-Id`; does not count itself |
//! | anything else | 200 with 128 bytes of JSON |

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    serve::ListenerExt as _,
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::sleep};

/// Path of the counters.
pub const ACCEPTED_PATH: &str = "/_accepted";

/// Response header that states the units used.
const UNITS_HEADER: &str = "x-usage-units";

/// Request header that names the key.
const KEY_HEADER: &str = "x-key-id";

/// Longest delay that can be asked for.
const SLOW_MAX_MS: u64 = 60_000;

/// Longest time for which connections go on once the upstream was told to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// The answer to a request without a command.
const HELLO: &str = concat!(
    r#"{"message":"hello from the demo upstream","note":"#,
    r#""128 bytes, as many as a small real answer has: its headers often weigh more."}"#,
);

/// The upstream cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The address cannot be listened on.
    #[error("demo upstream cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
}

/// Counts of accepted requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// In all.
    pub accepted: u64,
    /// Of those that named a key, by key.
    pub by_key: BTreeMap<String, u64>,
}

/// A running upstream. Dropping it stops it: no new connection is taken, answers under way are
/// finished.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    counters: Arc<Counters>,
    stop: oneshot::Sender<Infallible>,
    served: JoinHandle<io::Result<()>>,
}

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    by_key: Mutex<BTreeMap<String, u64>>,
}

/// Starts an upstream on the current runtime; port 0 takes a free port.
pub async fn spawn(address: SocketAddr) -> Result<Upstream, UpstreamError> {
    let failed = |source| UpstreamError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let counters = Arc::<Counters>::default();
    let router = Router::new().fallback(answer).with_state(Arc::clone(&counters));
    let (stop, stopped) = oneshot::channel::<Infallible>();
    let listener = listener.tap_io(|stream| {
        // Without it, answers may wait for the client's acknowledgements; slower is all that
        // failure means.
        let _ = stream.set_nodelay(true);
    });
    let serve = axum::serve(listener, router).with_graceful_shutdown(async move {
        // Nothing is ever sent: the sender's end is the signal.
        let _ = stopped.await;
    });
    let served = tokio::spawn(serve.into_future());
    Ok(Upstream { address: bound, counters, stop, served })
}

impl Upstream {
    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Requests accepted so far.
    pub fn accepted(&self) -> Accepted {
        self.counters.snapshot()
    }

    /// Stops it and waits for answers under way, for some seconds at most.
    pub async fn stop(self) {
        let Self { stop, mut served, .. } = self;
        drop(stop);
        if tokio::time::timeout(STOP_PATIENCE, &mut served).await.is_err() {
            served.abort();
        }
    }
}

impl Counters {
    fn accept(&self, headers: &HeaderMap) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let Some(key) = headers.get(KEY_HEADER).and_then(|key| key.to_str().ok()) else { return };
        let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        match by_key.get_mut(key) {
            Some(count) => *count += 1,
            None => {
                by_key.insert(key.to_owned(), 1);
            }
        }
    }

    fn snapshot(&self) -> Accepted {
        let by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Accepted { accepted: self.accepted.load(Ordering::Relaxed), by_key }
    }
}

async fn answer(State(counters): State<Arc<Counters>>, request: Request) -> Response {
    let path = request.uri().path();
    if path == ACCEPTED_PATH {
        return Json(counters.snapshot()).into_response();
    }
    counters.accept(request.headers());
    let mut segments = path.rsplit('/');
    let (last, before) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    match (before, last) {
        ("status", code) => status(code),
        ("units", units) => with_units(units),
        ("slow", delay) => match delay.parse() {
            Ok(delay) if delay <= SLOW_MAX_MS => {
                sleep(Duration::from_millis(delay)).await;
                hello()
            }
            _ => refuse("slow takes milliseconds, 60000 at most"),
        },
        (_, "echo") => echo(request),
        _ => hello(),
    }
}

fn hello() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], HELLO).into_response()
}

fn status(code: &str) -> Response {
    let status = code.parse().ok().filter(|code| (200..600).contains(code));
    match status.and_then(|code| StatusCode::from_u16(code).ok()) {
        Some(status @ (StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)) => status.into_response(),
        Some(status) => (status, Json(json!({ "status": status.as_u16() }))).into_response(),
        None => refuse("status takes a code from 200 to 599"),
    }
}

fn with_units(units: &str) -> Response {
    let Ok(units) = units.parse::<u64>() else { return refuse("units takes a whole number") };
    let mut response = hello();
    response.headers_mut().insert(UNITS_HEADER, HeaderValue::from(units));
    response
}

fn echo(request: Request) -> Response {
    let kind = request.headers().get(header::CONTENT_TYPE).cloned();
    let mut response = Response::new(Body::new(request.into_body()));
    let kind = kind.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn refuse(reason: &'static str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": reason }))).into_response()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::load::{Load, Pace, Request};

    async fn upstream() -> Upstream {
        spawn(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap()
    }

    fn client() -> reqwest::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::new()
    }

    #[test]
    fn plain_answer_has_128_bytes_of_json() {
        assert_eq!(HELLO.len(), 128);
        assert!(serde_json::from_str::<serde_json::Value>(HELLO).is_ok());
    }

    #[tokio::test]
    async fn each_path_gets_the_answer_that_it_asks_for() {
        let upstream = upstream().await;
        let client = client();
        let url = |path: &str| format!("http://{}{path}", upstream.address());
        for (path, status) in [
            ("/", 200),
            ("/v1/hello", 200),
            ("/status/404", 404),
            ("/v1/status/503", 503),
            ("/status/204", 204),
            ("/status/100", 400),
            ("/status/x", 400),
            ("/units/-1", 400),
            ("/slow/1", 200),
            ("/slow/60001", 400),
        ] {
            let answer = client.get(url(path)).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{path}");
        }
        let units = client.get(url("/bulk/units/25000")).send().await.unwrap();
        assert_eq!(units.headers()[UNITS_HEADER], "25000");
        assert_eq!(units.text().await.unwrap(), HELLO);
        let body = vec![b'x'; 300_000];
        let echoed = client.post(url("/v1/echo")).header("content-type", "text/plain").body(body.clone()).send().await;
        let echoed = echoed.unwrap();
        assert_eq!(echoed.headers()["content-type"], "text/plain");
        assert_eq!(echoed.bytes().await.unwrap(), body);
    }

    #[tokio::test]
    async fn accepted_requests_are_counted_in_all_and_by_key() {
        let upstream = upstream().await;
        let client = client();
        let url = |path: &str| format!("http://{}{path}", upstream.address());
        for (path, key) in [("/a", Some("key_1")), ("/status/500", Some("key_1")), ("/a", Some("key_2")), ("/a", None)]
        {
            let mut request = client.get(url(path));
            if let Some(key) = key {
                request = request.header(KEY_HEADER, key);
            }
            request.send().await.unwrap();
        }
        let told: Accepted = client.get(url(ACCEPTED_PATH)).send().await.unwrap().json().await.unwrap();
        assert_eq!(told.accepted, 4);
        assert_eq!(told.by_key, BTreeMap::from([("key_1".into(), 2), ("key_2".into(), 1)]));
        assert_eq!(told, upstream.accepted());
    }

    #[tokio::test]
    async fn stop_finishes_open_answers_and_accepts_no_more() {
        let upstream = upstream().await;
        let address = upstream.address();
        let load = Load {
            pace: Pace::Closed,
            connections: 1,
            max_requests: Some(1),
            ..Load::new(address, vec![Request::get("k", "/slow/200")])
        };
        let under_way = tokio::spawn(async move { load.run().await });
        while upstream.accepted().accepted == 0 {
            tokio::task::yield_now().await;
        }
        upstream.stop().await;
        assert_eq!(under_way.await.unwrap().unwrap().received, 1);
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    }
}
