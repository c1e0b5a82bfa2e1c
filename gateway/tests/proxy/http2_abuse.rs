//! Clients of HTTP/2 that cost more than they ask for, or keep the gateway waiting: each is
//! stopped, told why, and counted; others are served on.

use crate::{
    http2::WITHOUT_TLS,
    support::{
        eventually,
        http2::{
            CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, Frames, GOAWAY, HEADERS, Http2, PING, RST_STREAM,
            SETTINGS, WINDOW_UPDATE, fields,
        },
        setting::Setting,
    },
};

const ENHANCE_YOUR_CALM: u32 = 11;

/// A gateway with these settings of its connections.
async fn setting(connections: &str) -> Setting {
    Setting::new(|address| {
        format!(
            "{WITHOUT_TLS}{connections}
upstreams: {{ raw: {{ servers: ['{address}'], health: {{ interval_seconds: 3600 }} }} }}
routes:
  - {{ name: raw, path_prefix: /, upstream: raw }}
"
        )
    })
    .await
}

impl Setting {
    /// The client is told to calm down and its connection ends; it is counted, and others are
    /// served.
    async fn calms(&self, mut client: Frames, reason: &str) {
        assert_eq!(client.next_of(GOAWAY).await.reason(), ENHANCE_YOUR_CALM, "{reason}");
        while client.next().await.is_some() {}
        self.ended(reason).await;
        let mut other = Http2::connect(self.gateway.address).await;
        assert_eq!(other.ask(Http2::request("GET", "/")).await.status, 401, "{reason}");
    }

    async fn ended(&self, reason: &str) {
        self.gateway.shows(&format!("tollgate_http2_connections_ended_total{{reason=\"{reason}\"}}"), 1.0).await;
    }

    async fn closed(&self, reason: &str) {
        let series = format!("tollgate_connections_closed_total{{listener=\"clients\",reason=\"{reason}\"}}");
        self.gateway.shows(&series, 1.0).await;
    }

    fn get(&self, stream: u32) -> Frame {
        let key = self.customer.secret.expose();
        Frame::new(HEADERS, END_HEADERS | END_STREAM, stream, fields("GET", "/", &[("x-api-key", key)]))
    }
}

/// Sends the same frames until the gateway takes no more.
async fn flood(client: &mut Frames, mut frames: impl FnMut(u32) -> Vec<Frame>) {
    for round in 0..200_000 {
        if !client.send(&frames(round)).await {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_takes_back_its_requests_at_once_is_stopped() {
    let setting = setting("").await;
    let mut client = Frames::connect(setting.gateway.address).await;
    let header = fields("GET", "/", &[]);
    flood(&mut client, |round| {
        let stream = 2 * round + 1;
        vec![
            Frame::new(HEADERS, END_HEADERS | END_STREAM, stream, header.clone()),
            Frame::new(RST_STREAM, 0, stream, 8_u32.to_be_bytes()),
        ]
    })
    .await;
    setting.calms(client, "resets").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_floods_with_frames_is_stopped() {
    let setting = setting("").await;
    let floods: [(u8, Vec<u8>, &str); 3] = [
        (PING, vec![0; 8], "ping"),
        (SETTINGS, Vec::new(), "settings"),
        // Of an unknown type.
        (0xBE, vec![0; 100], "unknown"),
    ];
    for (index, (kind, payload, name)) in floods.into_iter().enumerate() {
        let mut client = Frames::connect(setting.gateway.address).await;
        flood(&mut client, |_| (0..100).map(|_| Frame::new(kind, 0, 0, payload.clone())).collect()).await;
        while client.next().await.is_some() {}
        let series = "tollgate_http2_connections_ended_total{reason=\"control_frames\"}";
        let count = (index + 1) as f64;
        eventually(name, || async { (setting.gateway.metric(series).await == Some(count)).then_some(()) }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn header_in_endless_continuations_is_stopped() {
    let setting = setting("").await;
    let mut client = Frames::connect(setting.gateway.address).await;
    client.send(&[Frame::new(HEADERS, END_STREAM, 1, fields("GET", "/", &[]))]).await;
    flood(&mut client, |_| vec![Frame::new(CONTINUATION, 0, 1, [])]).await;
    setting.calms(client, "continuations").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn body_in_endless_empty_frames_is_stopped() {
    let setting = setting("").await;
    let mut client = Frames::connect(setting.gateway.address).await;
    let key = setting.customer.secret.expose();
    client.send(&[Frame::new(HEADERS, END_HEADERS, 1, fields("POST", "/", &[("x-api-key", key)]))]).await;
    flood(&mut client, |_| vec![Frame::new(DATA, 0, 1, [])]).await;
    setting.calms(client, "data_frames").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn header_that_grows_when_unpacked_is_refused() {
    let setting = setting("").await;
    let mut client = Frames::connect(setting.gateway.address).await;
    client.send(&[packed(1_000)]).await;
    let answer = client.next_of(HEADERS).await;
    // `:status` by its index, and `431` in Huffman's code (RFC 7541, appendix B).
    assert_eq!(answer.payload, [0x48, 0x83, 0x69, 0x90, 0xFF]);
    assert!(client.send(&[Frame::new(PING, 0, 0, [0; 8])]).await, "the connection serves on");
    assert_eq!(client.next_of(PING).await.flags, 1);
    client.send(&[packed(15_000)]).await;
    setting.calms(client, "headers").await;
}

/// A request whose header has a field of 106 bytes so many times, each but the first in one byte.
fn packed(times: usize) -> Frame {
    let long = "v".repeat(100);
    // One large field, put into the table, and then named by one byte each (RFC 7541, section 6.1).
    let mut header = fields("GET", "/", &[]);
    header.push(0x40);
    header.extend([6, b'x', b'-', b'l', b'o', b'n', b'g', 100]);
    header.extend(long.as_bytes());
    header.extend(std::iter::repeat_n(0xBE_u8, times));
    let stream = u32::try_from(times).unwrap() + 1;
    Frame::new(HEADERS, END_HEADERS | END_STREAM, stream, header)
}

#[tokio::test(flavor = "multi_thread")]
async fn incomplete_header_is_not_waited_for() {
    let setting = setting("connections: { header_timeout_ms: 300 }\n").await;
    // While another request of the connection is served.
    let mut client = Frames::connect(setting.gateway.address).await;
    client.send(&[setting.get(1)]).await;
    let (_server, _) = setting.upstream.request().await;
    client.send(&[Frame::new(HEADERS, END_STREAM, 3, fields("GET", "/", &[]))]).await;
    assert_eq!(client.next_of(GOAWAY).await.reason(), ENHANCE_YOUR_CALM);
    setting.closed("header_timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_without_requests_is_ended_in_order() {
    let setting = setting("connections: { header_timeout_ms: 60000, idle_timeout_ms: 300 }\n").await;
    let mut client = Http2::connect(setting.gateway.address).await;
    assert_eq!(client.ask(Http2::request("GET", "/")).await.status, 401);
    client.closed().await.unwrap();
    setting.closed("idle").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_never_greets_is_not_waited_for() {
    let setting = setting("connections: { header_timeout_ms: 300 }\n").await;
    let client = Frames::connect(setting.gateway.address).await;
    let mut silent = client;
    assert_eq!(silent.next_of(GOAWAY).await.reason(), 0);
    while silent.next().await.is_some() {}
    setting.closed("idle").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn body_that_does_not_come_is_not_waited_for() {
    let setting = setting("connections: { body_timeout_ms: 300 }\n").await;
    let mut client = Http2::connect(setting.gateway.address).await;
    let request = Http2::request("POST", "/").header("x-api-key", setting.customer.secret.expose());
    let (answer, mut sending) = client.send(request, false).await;
    sending.send_data("half".into(), false).unwrap();
    let answer = crate::support::http2::read(answer).await;
    assert_eq!(answer.status, 408, "{answer:?}");
    // Other requests of the connection are served on.
    assert_eq!(client.ask(Http2::request("GET", "/")).await.status, 401);
    let series = "tollgate_http2_streams_ended_total{reason=\"body_timeout\"}";
    assert_eq!(setting.gateway.metric(series).await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_opens_no_window_is_not_waited_for() {
    let setting = setting("connections: { send_timeout_ms: 300 }\n").await;
    let mut client = Frames::connect(setting.gateway.address).await;
    // SETTINGS_INITIAL_WINDOW_SIZE: 0
    client.send(&[Frame::new(SETTINGS, 0, 0, [0, 4, 0, 0, 0, 0]), setting.get(1)]).await;
    let (mut server, _) = setting.upstream.request().await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").await;
    let header = client.next_of(HEADERS).await;
    assert_eq!(header.stream, 1);
    let reset = client.next_of(RST_STREAM).await;
    assert_eq!(reset.stream, 1);
    let series = "tollgate_http2_streams_ended_total{reason=\"send_timeout\"}";
    setting.gateway.shows(series, 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_reads_nothing_is_not_waited_for() {
    let setting = setting("connections: { send_timeout_ms: 500 }\n").await;
    let mut client = Frames::connect(setting.gateway.address).await;
    // As large a window as there may be, for streams and for the connection: the socket is full
    // first.
    let most = 0x7FFF_FFFF_u32;
    let mut settings = vec![0, 4];
    settings.extend(most.to_be_bytes());
    let more = (most - 65_535).to_be_bytes();
    client.send(&[Frame::new(SETTINGS, 0, 0, settings), Frame::new(WINDOW_UPDATE, 0, 0, more), setting.get(1)]).await;
    let (mut server, _) = setting.upstream.request().await;
    server.send("HTTP/1.1 200 OK\r\n\r\n").await;
    let part = "x".repeat(1 << 20);
    while server.try_send(&part).await {}
    setting.closed("send_timeout").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_requests_are_in_progress_than_allowed() {
    let setting = setting("").await;
    let mut client = Frames::connect(setting.gateway.address).await;
    let settings = client.next_of(SETTINGS).await;
    let streams = settings.payload.chunks(6).find(|entry| entry[..2] == [0, 3]).unwrap();
    assert_eq!(streams[2..], 100_u32.to_be_bytes());
    client.send(&(0..101).map(|index| setting.get(2 * index + 1)).collect::<Vec<_>>()).await;
    let refused = client.next_of(RST_STREAM).await;
    // REFUSED_STREAM: the client may send it again.
    assert_eq!((refused.stream, &*refused.payload), (201, &7_u32.to_be_bytes()[..]));
}
