//! A client and a server that speak over a WebSocket.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use common::key::Secret;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, accept_async, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _},
};

use super::{DEADLINE, process::Gateway};

/// A server that says everything again, and remembers it.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Echo {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let known = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&known)));
            }
        });
        Self { address, heard }
    }

    /// Messages of all clients so far, in order.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, heard: Arc<Mutex<Vec<String>>>) {
    // Health checks only connect.
    let Ok(socket) = accept_async(stream).await else { return };
    let (mut sink, mut stream) = socket.split();
    while let Some(Ok(message)) = stream.next().await {
        let Message::Text(text) = &message else { continue };
        heard.lock().unwrap().push(text.to_string());
        if sink.send(message).await.is_err() {
            return;
        }
    }
}

pub(crate) async fn connect(
    gateway: &Gateway,
    path: &str,
    secret: &Secret,
) -> Result<WebSocketStream<TcpStream>, Error> {
    let mut request = format!("ws://{}{path}", gateway.address).into_client_request().unwrap();
    request.headers_mut().insert("x-api-key", secret.expose().parse().unwrap());
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let connected = tokio::time::timeout(DEADLINE, client_async(request, stream)).await.expect("an answer in time");
    connected.map(|(socket, _)| socket)
}

/// Says something and hears it again.
pub(crate) async fn talk(socket: &mut WebSocketStream<TcpStream>, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    let heard = tokio::time::timeout(DEADLINE, socket.next()).await.expect("an echo in time");
    assert_eq!(heard.unwrap().unwrap().into_text().unwrap().as_str(), text);
}

/// Waits until the other side has closed the connection; the close code, if it said one.
pub(crate) async fn closed(socket: &mut WebSocketStream<TcpStream>) -> Option<u16> {
    let ended = tokio::time::timeout(DEADLINE, async {
        let mut code = None;
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(Some(frame)) = message {
                code = Some(frame.code.into());
            }
        }
        code
    });
    ended.await.expect("the connection is closed")
}

pub(crate) async fn refused(gateway: &Gateway, path: &str, secret: &Secret) -> (u16, Value) {
    match connect(gateway, path, secret).await {
        Err(Error::Http(response)) => {
            let status = response.status().as_u16();
            // The body of a refused handshake may still be on its way, and is not kept whole.
            (status, serde_json::from_slice(response.body().as_deref().unwrap_or_default()).unwrap_or_default())
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn ended(gateway: &Gateway, reason: &str) -> Option<f64> {
    gateway.metric(&format!("tollgate_upgraded_connections_ended_total{{reason=\"{reason}\"}}")).await
}
