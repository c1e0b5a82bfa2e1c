//! Clients of WebSocket that keep talking, and connect again when they are told to.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _, http::HeaderValue},
};

use super::counts::Tally;

/// Connections.
const CONNECTIONS: u32 = 16;

/// Pause between two messages.
const PAUSE: Duration = Duration::from_millis(80);

/// Longest time for a connection to be granted, and for a message to come back.
const PATIENCE: Duration = Duration::from_secs(30);

/// The code with which a client is told to connect again.
const SERVICE_RESTART: u16 = 1012;

type Socket = WebSocketStream<TcpStream>;

struct WebSockets {
    target: SocketAddr,
    secret: HeaderValue,
    tally: Tally,
    stop: watch::Receiver<bool>,
}

/// The next event on a connection.
enum Event {
    CameBack,
    ToldToGo,
}

/// Starts the clients; each ends once told to stop. A secret that is no header is refused by every
/// handshake.
pub(super) fn start(target: SocketAddr, secret: &str, tally: Tally, stop: watch::Receiver<bool>) -> JoinSet<()> {
    let secret = HeaderValue::from_str(secret).unwrap_or(HeaderValue::from_static(""));
    let clients = Arc::new(WebSockets { target, secret, tally, stop });
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        tasks.spawn(Arc::clone(&clients).keep_connecting());
    }
    tasks
}

impl WebSockets {
    async fn keep_connecting(self: Arc<Self>) {
        while !*self.stop.borrow() {
            self.tally.count(|counts| counts.requests += 1);
            let connected = timeout(PATIENCE, self.connect()).await;
            let outcome = match connected.unwrap_or_else(|_| Err("not granted in time".into())) {
                Ok(socket) => {
                    self.tally.count(|counts| counts.answered += 1);
                    self.talk(socket).await
                }
                Err(reason) => Err(reason),
            };
            if let Err(reason) = outcome {
                self.tally.count(|counts| counts.fail(reason));
                sleep(PAUSE).await;
            }
        }
    }

    async fn connect(&self) -> Result<Socket, String> {
        let refused = |error: tokio_tungstenite::tungstenite::Error| format!("not granted: {error}");
        let stream = TcpStream::connect(self.target).await.map_err(|error| format!("no connection: {error}"))?;
        let _ = stream.set_nodelay(true);
        let mut request = format!("ws://{}/chat", self.target).into_client_request().map_err(refused)?;
        request.headers_mut().insert("x-api-key", self.secret.clone());
        client_async(request, stream).await.map(|(socket, _)| socket).map_err(refused)
    }

    /// Talks until the gateway says that the client should go, or the drill is over. An error if
    /// the connection is lost otherwise.
    async fn talk(&self, mut socket: Socket) -> Result<(), String> {
        let mut number = 0_u64;
        while !*self.stop.borrow() {
            number += 1;
            let text = format!("message {number}");
            // A connection that takes no more may have a close frame to read.
            let sent = socket.send(Message::text(&text)).await;
            match timeout(PATIENCE, next(&mut socket, &text)).await {
                Ok(Ok(Event::CameBack)) => self.tally.count(|counts| counts.messages += 1),
                Ok(Ok(Event::ToldToGo)) => {
                    self.tally.count(|counts| counts.told_to_go += 1);
                    return Ok(());
                }
                Ok(Err(reason)) => return Err(format!("{reason}, after {number} messages, sent: {sent:?}")),
                Err(_) => return Err("a message did not come back in time".into()),
            }
            sleep(PAUSE).await;
        }
        // The drill is over: whether the other side agrees decides nothing.
        let _ = socket.close(None).await;
        Ok(())
    }
}

/// Waits for what was said, or for the end.
async fn next(socket: &mut Socket, text: &str) -> Result<Event, String> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(heard))) if heard.as_str() == text => return Ok(Event::CameBack),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(Some(frame)))) if u16::from(frame.code) == SERVICE_RESTART => {
                return Ok(Event::ToldToGo);
            }
            Some(Ok(other)) => return Err(format!("came instead of the message: {other:?}")),
            Some(Err(error)) => return Err(format!("cut: {error}")),
            None => return Err("cut".into()),
        }
    }
}
