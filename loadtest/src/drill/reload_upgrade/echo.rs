//! A WebSocket server that says everything again, and counts its connections by key.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::handshake::server::{ErrorResponse, Request, Response},
};

use crate::lock::locked;

type Counts = Arc<Mutex<BTreeMap<String, u64>>>;

/// The server. It ends when it is dropped.
pub(super) struct EchoServer {
    pub(super) address: SocketAddr,
    counts: Counts,
    _serving: JoinSet<()>,
}

impl EchoServer {
    /// Starts a server on a free port.
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let counts = Counts::default();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&counts)));
        Ok(Self { address, counts, _serving: serving })
    }

    /// Connections that were accepted, by key id.
    pub(super) fn accepted(&self) -> BTreeMap<String, u64> {
        locked(&self.counts).clone()
    }
}

async fn serve(listener: TcpListener, counts: Counts) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(repeat(stream, Arc::clone(&counts)));
    }
}

async fn repeat(stream: TcpStream, counts: Counts) {
    let count = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        let key = request.headers().get("x-key-id").and_then(|key| key.to_str().ok()).unwrap_or_default();
        *locked(&counts).entry(key.to_owned()).or_default() += 1;
        Ok(response)
    };
    // Health checks only connect.
    let Ok(mut socket) = accept_hdr_async(stream, count).await else { return };
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() && socket.send(message).await.is_err() {
            return;
        }
    }
}
