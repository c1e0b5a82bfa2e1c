//! Refusing a request before any other room has seen it, and closing a connection so that the
//! client reads why.
//!
//! A socket that is closed while bytes of the client are unread is reset by the system, and the
//! reset destroys the answer on its way. So the gateway ends its own side first, and reads on what
//! the client still sends, for a bounded time.

use std::{
    fmt::Write as _,
    future::{Future as _, poll_fn},
    io,
    pin::pin,
    task::Poll,
    time::Duration,
};

use bytes::BytesMut;
use common::listen::Alarm;
use http::HeaderValue;
use pingora_core::protocols::{Stream, http::date::get_cached_date};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, timeout},
};

use super::{connection::Connection, handshake::Secured};
use crate::answer::{Code, Problem};

/// Longest time for a client to read a refusal.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// Longest time for a client without a place to take that answer.
const TURN_AWAY_DEADLINE: Duration = Duration::from_millis(100);

/// Longest silence of a client that is waited for.
const LINGER_PATIENCE: Duration = Duration::from_secs(5);

/// Longest time that a client is waited for in all.
const LINGER_DEADLINE: Duration = Duration::from_secs(30);

/// Most bytes that are read from a client while it is waited for.
const LINGER_MAX_BYTES: u64 = 1 << 30;

/// Bytes that are thrown away at once.
const LINGER_READ_BYTES: usize = 64 * 1024;

/// A request that is refused.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) problem: Problem,
    /// True if its answer has no body.
    pub(super) is_head: bool,
}

/// The problem behind an error of the connection, for whoever answers it.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.detail())]
struct Fault(Problem);

impl Refused {
    /// The error that Pingora is given for a request that breaks the rules in its body.
    pub(crate) fn error(problem: Problem) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, Fault(problem))
    }

    /// The same for a body whose client ended it too early.
    pub(super) fn early_end() -> io::Error {
        let problem = Problem::new(Code::InvalidRequest, "the request ended in the middle of its body");
        io::Error::new(io::ErrorKind::UnexpectedEof, Fault(problem))
    }
}

/// Returns true if an error of a client's stream says what this room found in what the client sent.
pub(crate) fn is_fault(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Fault>)
}

/// The problem that this room found in what a client sent, if that is what the error comes from.
pub(crate) fn problem_behind(error: &pingora_core::Error) -> Option<Problem> {
    let error = error.root_cause().downcast_ref::<io::Error>()?;
    error.get_ref()?.downcast_ref::<Fault>().map(|Fault(problem)| problem.clone())
}

/// The answer as it is sent. `hsts`: the value with which it tells browsers to use HTTPS only.
fn message(refused: &Refused, request_id: &str, hsts: Option<&HeaderValue>) -> Vec<u8> {
    let body = refused.problem.body(request_id);
    let status = refused.problem.code().status();
    let mut text = format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or_default());
    // Fails only for headers that are none, and all of these are made here of visible characters.
    if let Ok(header) = refused.problem.header(request_id, body.len()) {
        for (name, value) in &header.headers {
            let _ = write!(text, "{name}: {}\r\n", value.to_str().unwrap_or_default());
        }
    }
    let _ = write!(text, "date: {}\r\n", get_cached_date().to_str().unwrap_or_default());
    if let Some(hsts) = hsts.and_then(|hsts| hsts.to_str().ok()) {
        let _ = write!(text, "strict-transport-security: {hsts}\r\n");
    }
    text.push_str("connection: close\r\n\r\n");
    let mut bytes = text.into_bytes();
    if !refused.is_head {
        bytes.extend_from_slice(&body);
    }
    bytes
}

/// Answers a client for whose connection there is no room, as far as its socket takes the answer at
/// once.
pub(crate) async fn turn_away(mut stream: Stream, problem: &Problem) {
    let refused = Refused { problem: problem.clone(), is_head: false };
    let bytes = message(&refused, &common::origin::request_id(None), None);
    let written = async {
        stream.write_all(&bytes).await?;
        stream.shutdown().await
    };
    // Ends at once: a new socket has room for an answer.
    let _ = timeout(TURN_AWAY_DEADLINE, written).await;
    // What has come already is read, so that closing does not reset the connection; nothing is
    // waited for.
    let mut thrown_away = BytesMut::with_capacity(LINGER_READ_BYTES);
    poll_fn(|context| {
        let _ = pin!(stream.read_buf(&mut thrown_away)).poll(context);
        Poll::Ready(())
    })
    .await;
}

impl Connection {
    /// Answers with the problem. Whether it was sent.
    pub(crate) async fn answer(&mut self, refused: &Refused, request_id: &str) -> bool {
        let digest = self.stream.get_ssl_digest();
        let secured = digest.as_ref().and_then(|digest| digest.extension.get::<Secured>());
        let bytes = message(refused, request_id, secured.and_then(|secured| secured.hsts.as_ref()));
        let written = async {
            self.stream.write_all(&bytes).await?;
            self.stream.flush().await
        };
        let is_sent = timeout(ANSWER_DEADLINE, written).await.is_ok_and(|written| written.is_ok());
        self.is_broken |= !is_sent;
        is_sent
    }

    /// Ends another protocol with its last bytes.
    pub(crate) async fn say_farewell(&mut self, bytes: &[u8]) {
        let written = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        self.is_broken |= !timeout(ANSWER_DEADLINE, written).await.is_ok_and(|written| written.is_ok());
        self.end_tunnel();
    }

    /// Ends the gateway's side, and waits for the client to end its own if it still sends.
    pub(crate) async fn close(mut self: Box<Self>) {
        if self.is_broken || timeout(ANSWER_DEADLINE, self.stream.shutdown()).await.is_err() {
            return;
        }
        if self.has_more() {
            self.open.0.waits();
            self.linger().await;
        }
    }

    async fn linger(&mut self) {
        let started = Instant::now();
        let (mut alarm, mut heard, mut left) = (Alarm::default(), started, LINGER_MAX_BYTES);
        let mut thrown_away = BytesMut::new();
        poll_fn(|context| {
            loop {
                thrown_away.clear();
                thrown_away.reserve(LINGER_READ_BYTES);
                match pin!(self.stream.read_buf(&mut thrown_away)).poll(context) {
                    Poll::Ready(Ok(bytes)) if bytes > 0 => {
                        left = left.saturating_sub(bytes as u64);
                        heard = Instant::now();
                        if left == 0 || heard >= started + LINGER_DEADLINE {
                            return Poll::Ready(());
                        }
                    }
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => break,
                }
            }
            if self.open.0.poll_leave(context).is_ready() {
                return Poll::Ready(());
            }
            alarm.poll((heard + LINGER_PATIENCE).min(started + LINGER_DEADLINE), context)
        })
        .await;
    }
}
