//! HTTP/2 clients: one that keeps the rules, and one that writes frames by hand; and a server.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use common::key::Secret;
use h2::{
    RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::{Request, Response, request::Builder};
use servers::Identity;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};

use super::DEADLINE;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A client with one connection.
pub(crate) struct Http2 {
    send: SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// An answer with its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
    pub(crate) trailers: Option<http::HeaderMap>,
}

impl Http2 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &h2::client::Builder::new()).await
    }

    /// The same with other settings.
    pub(crate) async fn connect_with(address: SocketAddr, settings: &h2::client::Builder) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (send, connection) = settings.handshake(stream).await.unwrap();
        Self { send, connection: tokio::spawn(connection) }
    }

    /// A request to the host `a`.
    pub(crate) fn request(method: &str, path: &str) -> Builder {
        Request::builder().method(method).uri(format!("http://a{path}"))
    }

    /// Sends the header of a request.
    pub(crate) async fn send(&mut self, request: Builder, is_whole: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let ready = timeout(DEADLINE, self.send.clone().ready()).await.expect("room for a stream in time");
        self.send = ready.unwrap();
        self.send.send_request(request.body(()).unwrap(), is_whole).unwrap()
    }

    /// Sends a request with its key and body.
    pub(crate) async fn post(&mut self, path: &str, secret: &Secret, body: &'static str) -> ResponseFuture {
        let request = Self::request("POST", path).header("x-api-key", secret.expose());
        let (answer, mut sending) = self.send(request, false).await;
        // The gateway may have refused it already, and the stream be over: the answer tells.
        let _ = sending.send_data(body.into(), true);
        answer
    }

    /// The answer to a request without a body.
    pub(crate) async fn ask(&mut self, request: Builder) -> Answer {
        let (answer, _) = self.send(request, true).await;
        read(answer).await
    }

    /// The same; none if the connection takes no more requests.
    pub(crate) async fn try_ask(&mut self, request: Builder) -> Option<Answer> {
        let ready = timeout(DEADLINE, self.send.clone().ready()).await.expect("room for a stream in time");
        self.send = ready.ok()?;
        let (answer, _) = self.send.send_request(request.body(()).unwrap(), true).ok()?;
        match timeout(DEADLINE, answer).await.expect("an answer in time") {
            Ok(response) => Some(read_body(response).await),
            // The gateway did not take it, and says so.
            Err(error) if error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM) => None,
            Err(error) => panic!("a request was lost: {error:?}"),
        }
    }

    /// The answer to a GET with a key.
    pub(crate) async fn get(&mut self, path: &str, secret: &Secret) -> Answer {
        self.ask(Self::request("GET", path).header("x-api-key", secret.expose())).await
    }

    /// Waits for the connection to end; the reason of its end.
    pub(crate) async fn closed(self) -> Result<(), h2::Error> {
        let Self { send, connection } = self;
        let ended = timeout(DEADLINE, connection).await.expect("the end of the connection in time").unwrap();
        drop(send);
        ended
    }

    /// Breaks the connection off.
    pub(crate) fn abort(self) {
        self.connection.abort();
    }
}

/// Reads an answer to its end.
pub(crate) async fn read(answer: ResponseFuture) -> Answer {
    let response = timeout(DEADLINE, answer).await.expect("an answer in time").unwrap();
    read_body(response).await
}

pub(crate) async fn read_body(response: Response<RecvStream>) -> Answer {
    let (parts, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(part) = timeout(DEADLINE, body.data()).await.expect("a part of the answer in time") {
        let part = part.unwrap();
        body.flow_control().release_capacity(part.len()).unwrap();
        bytes.extend_from_slice(&part);
    }
    let trailers = timeout(DEADLINE, body.trailers()).await.expect("trailers in time").unwrap();
    let body = String::from_utf8_lossy(&bytes).into_owned();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body, trailers }
}

/// One side of a connection, frame by frame.
pub(crate) struct Frames {
    stream: TcpStream,
}

/// A frame.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// The code of a `GOAWAY`.
    pub(crate) fn reason(&self) -> u32 {
        assert_eq!(self.kind, GOAWAY, "{self:?}");
        u32::from_be_bytes(self.payload[4..8].try_into().unwrap())
    }
}

/// A literal header field that is not indexed (RFC 7541, section 6.2.2), with short parts.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for part in [name, value] {
        let length = u8::try_from(part.len()).ok().filter(|length| *length < 127).unwrap();
        bytes.push(length);
        bytes.extend(part.as_bytes());
    }
    bytes
}

/// The header of a request.
pub(crate) fn fields(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "a")];
    pseudo.iter().chain(more).flat_map(|(name, value)| field(name, value)).collect()
}

impl Frames {
    /// Connects and greets with no settings of its own.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let mut frames = Self { stream: TcpStream::connect(address).await.unwrap() };
        frames.send_bytes(PREFACE).await;
        frames.send(&[Frame::new(SETTINGS, 0, 0, [])]).await;
        frames
    }

    /// Sends, as far as the other side takes it; false if it takes nothing more.
    pub(crate) async fn send(&mut self, frames: &[Frame]) -> bool {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        self.send_bytes(&bytes).await
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) -> bool {
        timeout(DEADLINE, self.stream.write_all(bytes)).await.expect("taken or refused in time").is_ok()
    }

    /// The next frame; none once the other side has ended.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let mut header = [0; 9];
        timeout(DEADLINE, self.stream.read_exact(&mut header)).await.expect("a frame in time").ok()?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]);
        let mut payload = vec![0; length as usize];
        timeout(DEADLINE, self.stream.read_exact(&mut payload)).await.expect("a whole frame in time").ok()?;
        let stream = u32::from_be_bytes(header[5..9].try_into().unwrap());
        Some(Frame { kind: header[3], flags: header[4], stream, payload })
    }

    /// The next frame of this kind.
    pub(crate) async fn next_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.unwrap_or_else(|| panic!("ended before a frame of kind {kind}"));
            if frame.kind == kind {
                return frame;
            }
        }
    }
}

/// A server that speaks HTTP/2 only. It answers 200 with the body `hello` and a trailer, and 404
/// below `/missing`.
pub(crate) struct Http2Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Http2Server {
    /// A server that clients of prior knowledge speak with.
    pub(crate) async fn start() -> Self {
        Self::listen(None).await
    }

    /// A server that speaks TLS with this certificate and offers HTTP/2.
    pub(crate) async fn start_tls(identity: &Identity) -> Self {
        let mut settings = super::tls::settings(identity, None);
        settings.alpn_protocols = vec![b"h2".to_vec()];
        Self::listen(Some(tokio_rustls::TlsAcceptor::from(Arc::new(settings)))).await
    }

    async fn listen(tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, connections) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let (record, count) = (Arc::clone(&seen), Arc::clone(&connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, record, count) = (tls.clone(), Arc::clone(&record), Arc::clone(&count));
                tokio::spawn(async move {
                    let Some(tls) = tls else { return serve(stream, record, count).await };
                    // Health checks may only connect.
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, record, count).await;
                    }
                });
            }
        });
        Self { address, seen, connections }
    }

    /// The requests that came, as `METHOD scheme://host/path`.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// Connections on which a request came.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve<S>(stream: S, seen: Arc<Mutex<Vec<String>>>, connections: Arc<AtomicUsize>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let mut is_new = true;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        if std::mem::take(&mut is_new) {
            connections.fetch_add(1, Ordering::SeqCst);
        }
        let seen = Arc::clone(&seen);
        tokio::spawn(async move {
            let (head, mut body) = request.into_parts();
            seen.lock().unwrap().push(format!("{} {}", head.method, head.uri));
            while let Some(Ok(part)) = body.data().await {
                let _ = body.flow_control().release_capacity(part.len());
            }
            let is_missing = head.uri.path().starts_with("/missing");
            let response = Response::builder().status(if is_missing { 404 } else { 200 }).body(()).unwrap();
            let Ok(mut sending) = respond.send_response(response, false) else { return };
            let _ = sending.send_data("hello".into(), false);
            let _ = sending.send_trailers([("x-sum".parse().unwrap(), "5".parse().unwrap())].into_iter().collect());
        });
    }
}
