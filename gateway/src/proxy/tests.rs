//! The request path in this process: a client, the proxy, and an upstream that answers every
//! request.

use std::{collections::BTreeMap, net::SocketAddr, sync::Mutex, time::Duration};

use common::{
    key::{Mode, Pepper, Secret},
    time::{Clock as _, SystemClock},
    usage::{UsageBatch, UsageEntry},
};
use pingora_core::{apps::HttpServerApp as _, protocols::http::ServerSession, server::configuration::ServerConf};
use pingora_proxy::{HttpProxy, http_proxy};
use prometheus::Registry;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::watch,
    time::timeout,
};

use super::*;
use crate::{
    admission::AdmissionControl,
    auth::Authenticator,
    catalog::{Catalog, fixture::Rows},
    config::{Overrides, Settings},
    limit::Limiter,
    lock::locked,
    meter::{Meter, MeterSettings, SinkError, UsageSink},
    runtime::Live,
};

const PATIENCE: Duration = Duration::from_mins(1);

/// Entries by stream and number.
#[derive(Default)]
struct Books(Mutex<BTreeMap<(String, u64), UsageEntry>>);

#[async_trait::async_trait]
impl UsageSink for Books {
    async fn deliver(&self, batch: &UsageBatch) -> Result<u64, SinkError> {
        let numbered = (batch.first_seq..).zip(batch.entries.iter().cloned());
        locked(&self.0).extend(numbered.map(|(seq, entry)| ((batch.stream.to_string(), seq), entry)));
        Ok(batch.end_seq())
    }
}

struct Fixture {
    proxy: Arc<Proxy>,
    pingora: Arc<HttpProxy<Hooks>>,
    secret: Secret,
    books: Arc<Books>,
    stop: watch::Sender<bool>,
    metering: tokio::task::JoinHandle<()>,
    _directory: TempDir,
}

impl Fixture {
    /// A gateway with one route, which serves one request at a time.
    async fn new() -> Self {
        let now = SystemClock.now();
        let pepper = Pepper::new(b"a pepper for tests").unwrap();
        let secret = Secret::generate(Mode::Live);
        let mut rows = Rows::three_levels(now);
        rows.add_key(2, pepper.hash(&secret), Mode::Live);
        let catalog = Arc::new(Catalog::from_rows(rows.into_catalog(), now));
        let text = format!(
            "upstreams: {{ all: {{ servers: ['{}'], health: {{ interval_seconds: 3600 }} }} }}\n\
             routes: [{{ name: all, path_prefix: /, upstream: all, limits: {{ concurrent: 1 }}, cors: {{ origins: '*' }} }}]\n",
            upstream().await
        );
        let settings = Settings::parse(&text, "test.yaml", &Overrides::default()).unwrap();
        let limiter = Limiter::new();
        let live = Live::start(&settings, None, &limiter).await;
        let directory = tempfile::tempdir().unwrap();
        let meter = Meter::open(MeterSettings::new(directory.path(), "edge-1"), &Registry::new()).unwrap();
        let (stop, stopped) = watch::channel(false);
        let books = Arc::<Books>::default();
        let metering = tokio::spawn(Arc::clone(&meter).run(Arc::clone(&books) as Arc<dyn UsageSink>, stopped));
        let admission = AdmissionControl::new(Authenticator { catalog, pepper }, limiter, meter);
        let proxy = Arc::new(Proxy::new(Arc::new(Gateway::new(live, admission)), AccessLog::nowhere()));
        let pingora = Arc::new(http_proxy(&Arc::new(ServerConf::default()), Hooks(Arc::clone(&proxy))));
        Self { proxy, pingora, secret, books, stop, metering, _directory: directory }
    }

    /// Sends one request on a connection of its own and gives everything that comes back.
    async fn ask(&self, more: &str, body: &str) -> String {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let (key, length) = (self.secret.expose(), body.len());
        let request = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nX-Request-Id: r-1\r\nConnection: close\r\nOrigin: https://a.test\r\n\
             Content-Length: {length}\r\n{more}\r\n{body}"
        );
        client.write_all(request.as_bytes()).await.unwrap();
        let pingora = Arc::clone(&self.pingora);
        let serving = tokio::spawn(async move {
            let client = Arc::<client::Client>::default();
            let stream = ClientStream::of(Box::new(server), Arc::clone(&client));
            let (client, session) = (Some(client), ServerSession::new_http1(Box::new(stream)));
            let (_shutdown, watch) = watch::channel(false);
            serve_request(client, pingora.process_new_http(session, &watch)).await.is_some()
        });
        let mut answer = Vec::new();
        timeout(PATIENCE, client.read_to_end(&mut answer)).await.unwrap().unwrap();
        drop(client);
        assert!(!timeout(PATIENCE, serving).await.unwrap().unwrap(), "the connection is closed");
        String::from_utf8(answer).unwrap()
    }

    /// Ends the meter, and gives all that it was told.
    async fn entries(self) -> Vec<UsageEntry> {
        self.stop.send_replace(true);
        timeout(PATIENCE, self.metering).await.unwrap().unwrap();
        locked(&self.books.0).values().cloned().collect()
    }
}

/// Answers each request on its own connection with `hello`.
async fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"question") {
                    if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await;
            });
        }
    });
    address
}

#[tokio::test]
async fn panic_in_any_hook_is_answered_with_502_and_counted_and_gives_back_what_was_held() {
    let fixture = Fixture::new().await;
    let before_the_record = [
        "request_filter",
        "upstream_peer",
        "connected_to_upstream",
        "upstream_request_filter",
        "request_body_filter",
        "upstream_response_filter",
        "response_filter",
    ];
    for hook in before_the_record.into_iter().chain(["response_body_filter"]) {
        let answer = fixture.ask(&format!("{}: {hook}\r\n", fault::HEADER), "question").await;
        assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{hook}: {answer}");
        let (header, body) = answer.split_once("\r\n\r\n").unwrap();
        let length = format!("content-length: {}\r\n", body.len());
        let header = header.to_ascii_lowercase();
        assert!(header.contains(&length), "{hook}: {answer}");
        let is_told = header.contains("access-control-allow-origin: *\r\n");
        assert_eq!(is_told, hook != "request_filter", "{hook}: the route is known from then on: {answer}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&body["code"], &body["request_id"]), (&"gateway_failed".into(), &"r-1".into()), "{hook}");
        assert_eq!(fixture.proxy.in_flight(), 0, "{hook}");
        // The only permit of the route is free again.
        let answer = fixture.ask("", "question").await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello"), "{hook}: {answer}");
    }
    let entries = fixture.entries().await;
    let counted = entries.iter().map(|entry| match entry {
        UsageEntry::Refusals(refusals) if &*refusals.reason == "gateway_failed" => refusals.count,
        _ => 0,
    });
    // The first panic came before the caller was known, and the last one after the answer was
    // recorded.
    assert_eq!(counted.sum::<u64>(), before_the_record.len() as u64 - 1);
    let recorded = entries.iter().filter(|entry| matches!(entry, UsageEntry::Request(_)));
    assert_eq!(recorded.count(), before_the_record.len() + 2);
}
