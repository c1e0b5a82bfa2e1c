//! A client of HTTP/2 over TLS, with several requests at once on each of its connections.
//!
//! Its library keeps the rules: after GOAWAY, it opens no more streams, and a stream above the
//! announced last one ends with GOAWAY as its reason. Such a request was not taken, so it is sent
//! again on the next connection. Everything else that ends a request without its answer is a
//! failure, and so is a connection that ends without GOAWAY.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    client::{Builder, SendRequest},
};
use http::{Method, Request, Response};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    net::TcpStream,
    sync::{Mutex, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;

use super::{counts::Tally, settings::Surroundings};
use crate::drill::error::DrillError;

const CONNECTIONS: u32 = 4;

/// Requests at once on each connection.
const STREAMS: u32 = 8;

/// Pause between two requests of a stream.
const PAUSE: Duration = Duration::from_millis(60);

/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Times that a request is sent: far more than there are upgrades during one.
const ATTEMPTS_MAX: u32 = 10;

/// Bytes of a body that comes back.
const BODY_BYTES: usize = 20_000;

/// Method and path of the requests that each stream sends in turn.
const REQUESTS: [(Method, &str); 3] = [(Method::GET, "hello"), (Method::POST, "echo"), (Method::GET, "slow/150")];

/// The client, as its connections share it.
struct Http2Client {
    target: SocketAddr,
    tls: TlsConnector,
    authorization: String,
    tally: Tally,
    stop: watch::Receiver<bool>,
}

/// One connection after the other.
struct Line {
    client: Arc<Http2Client>,
    current: Mutex<Current>,
}

/// The connection of a line that takes requests.
#[derive(Default)]
struct Current {
    /// Connections of the line so far.
    number: u64,
    send: Option<SendRequest<Bytes>>,
}

/// The outcome of sending a request.
enum Sent {
    Answered,
    /// Not taken: the connection takes no more requests.
    NotTaken,
}

/// Starts the client; its tasks end once told to stop.
pub(super) fn start(
    surroundings: &Surroundings,
    secret: &str,
    tally: Tally,
    stop: watch::Receiver<bool>,
) -> Result<JoinSet<()>, DrillError> {
    let authorization = format!("Bearer {secret}");
    let tls = connector(surroundings)?;
    let client = Arc::new(Http2Client { target: surroundings.tls(), tls, authorization, tally, stop });
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let line = Arc::new(Line { client: Arc::clone(&client), current: Mutex::default() });
        for stream in 0..STREAMS {
            tasks.spawn(Arc::clone(&line).keep_asking(stream as usize));
        }
    }
    Ok(tasks)
}

fn connector(surroundings: &Surroundings) -> Result<TlsConnector, DrillError> {
    let mut roots = RootCertStore::empty();
    for file in surroundings.authorities() {
        let certificate = CertificateDer::from_pem_file(file).map_err(io::Error::other)?;
        roots.add(certificate).map_err(io::Error::other)?;
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

impl Line {
    async fn keep_asking(self: Arc<Self>, first: usize) {
        for request in REQUESTS.iter().cycle().skip(first) {
            if *self.client.stop.borrow() {
                return;
            }
            let outcome = timeout(PATIENCE, self.ask(request)).await;
            let outcome = outcome.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())));
            self.client.tally.count(|counts| {
                counts.requests += 1;
                match outcome {
                    Ok(()) => counts.answered += 1,
                    Err(reason) => counts.fail(reason),
                }
            });
            sleep(PAUSE).await;
        }
    }

    /// Sends a request until it is taken, and reads its answer.
    async fn ask(&self, (method, path): &(Method, &str)) -> Result<(), String> {
        for _ in 0..ATTEMPTS_MAX {
            let (number, send) = self.connection().await?;
            match self.client.send(send, method, path).await {
                Ok(Sent::Answered) => return Ok(()),
                Ok(Sent::NotTaken) => {
                    let is_first = self.leave(number).await;
                    self.client.tally.count(|counts| counts.told_to_go += u64::from(is_first));
                }
                Err(reason) => {
                    self.leave(number).await;
                    return Err(reason);
                }
            }
        }
        Err("no connection takes it".into())
    }

    /// The connection with its number; a new one if there is none.
    async fn connection(&self) -> Result<(u64, SendRequest<Bytes>), String> {
        let mut current = self.current.lock().await;
        if let Some(send) = &current.send {
            return Ok((current.number, send.clone()));
        }
        let send = self.client.connect().await?;
        current.number += 1;
        current.send = Some(send.clone());
        Ok((current.number, send))
    }

    /// Sends nothing more on the connection with this number. Returns true for the first request
    /// that leaves it.
    async fn leave(&self, number: u64) -> bool {
        let mut current = self.current.lock().await;
        current.number == number && current.send.take().is_some()
    }
}

impl Http2Client {
    async fn connect(&self) -> Result<SendRequest<Bytes>, String> {
        let stream = TcpStream::connect(self.target).await.map_err(|error| format!("no connection: {error}"))?;
        let _ = stream.set_nodelay(true);
        let name = ServerName::from(self.target.ip());
        let stream = self.tls.connect(name, stream).await.map_err(|error| format!("no TLS: {error}"))?;
        let (send, connection) =
            Builder::new().handshake(stream).await.map_err(|error| format!("no HTTP/2: {error}"))?;
        // Its end is seen by the requests on it.
        tokio::spawn(connection);
        Ok(send)
    }

    async fn send(&self, connection: SendRequest<Bytes>, method: &Method, path: &str) -> Result<Sent, String> {
        let mut connection = match connection.ready().await {
            Ok(connection) => connection,
            Err(error) => return not_taken(&error),
        };
        let request = Request::builder()
            .method(method)
            .uri(format!("https://{}/v1/{path}", self.target))
            .header("authorization", &self.authorization)
            .body(())
            .map_err(|error| error.to_string())?;
        let has_body = method == Method::POST;
        let (answer, mut body) = match connection.send_request(request, !has_body) {
            Ok(stream) => stream,
            Err(error) => return not_taken(&error),
        };
        let uploaded = if has_body { body.send_data(vec![b'x'; BODY_BYTES].into(), true) } else { Ok(()) };
        // If the body could not be sent, the answer tells the reason.
        let answered = match answer.await {
            Ok(answer) => read(answer, if has_body { BODY_BYTES } else { 0 }).await,
            Err(error) => return self.again(&error),
        };
        answered.and(uploaded.map_err(|error| format!("the body was not taken: {error}"))).map(|()| Sent::Answered)
    }

    /// The request is sent again if it was not taken.
    fn again(&self, error: &h2::Error) -> Result<Sent, String> {
        let outcome = not_taken(error)?;
        self.tally.count(|counts| counts.sent_again += 1);
        Ok(outcome)
    }
}

/// An error if the request was lost.
fn not_taken(error: &h2::Error) -> Result<Sent, String> {
    if error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR) {
        return Ok(Sent::NotTaken);
    }
    Err(format!("lost: {error}"))
}

/// Reads an answer to its end. It is whole if its body has `at_least` so many bytes.
async fn read(answer: Response<RecvStream>, at_least: usize) -> Result<(), String> {
    let (head, mut body) = answer.into_parts();
    let mut length = 0;
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| format!("cut after {length} bytes: {error}"))?;
        length += data.len();
        // Fails only for a stream that is over.
        let _ = body.flow_control().release_capacity(data.len());
    }
    if head.status.is_success() && length >= at_least.max(1) {
        return Ok(());
    }
    Err(format!("status {} with {length} bytes", head.status))
}
