//! An upstream that reads requests strictly, keeps what it saw, and answers as it is told.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::message::{Body, Message, read_chunks};

/// Ends an answer behind which the connection is closed.
const CLOSE: &str = "CLOSE";

/// The target of the requests behind cases, which get an answer of their own.
const BEHIND: &str = "/behind";

const ANSWER_BEHIND: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbehind";

/// Answers at `address`.
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<Message>>,
    answer: Mutex<String>,
}

impl Recorder {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<State>::default();
        let served = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&served)));
            }
        });
        Self { address, state }
    }

    /// Answers the requests that follow like this.
    pub(crate) fn answer(&self, answer: &str) {
        answer.clone_into(&mut self.state.answer.lock().unwrap());
    }

    /// The whole requests since the last call.
    pub(crate) fn take(&self) -> Vec<Message> {
        std::mem::take(&mut self.state.seen.lock().unwrap())
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await {
        let is_behind = request.start.contains(BEHIND);
        state.seen.lock().unwrap().push(request);
        let answer = if is_behind { ANSWER_BEHIND.to_owned() } else { state.answer.lock().unwrap().clone() };
        let whole = answer.strip_suffix(CLOSE);
        if stream.write_all(whole.unwrap_or(&answer).as_bytes()).await.is_err() || whole.is_some() {
            break;
        }
    }
}

/// The next whole request; none if the connection ends before.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Message> {
    loop {
        if let Some((mut request, head)) = Message::read_head(buffer) {
            let rest = &buffer[head..];
            let body = match (request.value("transfer-encoding"), request.value("content-length")) {
                (None, length) => {
                    let length = length.map_or(Some(0), |length| length.parse().ok())?;
                    let body = rest.get(..length).map(|body| String::from_utf8_lossy(body).into_owned());
                    body.map_or(Body::Partial, |body| Body::Whole(body, length))
                }
                (Some("chunked"), None) => read_chunks(rest),
                _ => Body::Broken("the framing"),
            };
            match body {
                Body::Whole(body, length) => {
                    (request.body, request.is_whole) = (body, true);
                    buffer.drain(..head + length);
                    return Some(request);
                }
                Body::Broken(part) => {
                    // Seen, and never expected.
                    request.start = format!("{part} of the request is broken: {}", request.start);
                    buffer.clear();
                    return Some(request);
                }
                Body::Partial => {}
            }
        }
        let mut more = [0; 4096];
        let count = stream.read(&mut more).await.unwrap_or(0);
        if count == 0 {
            return None;
        }
        buffer.extend_from_slice(&more[..count]);
    }
}
