//! A server that answers as the test says: properly, with a status, or not at all.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::net::{TcpListener, TcpStream};

use super::raw::Wire;

/// The treatment of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// 200, and the name of the server as the body.
    Serve,
    /// This status.
    Status(u16),
    /// The connection is reset before an answer.
    Reset,
    /// Something that is not HTTP.
    Garbage,
    /// Nothing, until the other side closes.
    Silence,
    /// The connection is reset in the middle of the body.
    Break,
}

/// Answers at `address`.
pub(crate) struct Faulty {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

struct State {
    name: &'static str,
    /// For the next requests, one each.
    script: Mutex<VecDeque<Behaviour>>,
    /// For all requests after these.
    usual: Mutex<Behaviour>,
    requests: AtomicUsize,
    connections: AtomicUsize,
}

impl Faulty {
    pub(crate) async fn start(name: &'static str) -> Self {
        Self::start_at("127.0.0.1:0", name).await
    }

    /// The same at this address.
    pub(crate) async fn start_at(listen: &str, name: &'static str) -> Self {
        let listener = TcpListener::bind(listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            name,
            script: Mutex::default(),
            usual: Mutex::new(Behaviour::Serve),
            requests: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        });
        let served = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&served)));
            }
        });
        Self { address, state }
    }

    /// Treats the next requests like this, one each.
    pub(crate) fn next(&self, behaviours: &[Behaviour]) {
        self.state.script.lock().unwrap().extend(behaviours);
    }

    /// Treats all other requests like this.
    pub(crate) fn usually(&self, behaviour: Behaviour) {
        *self.state.usual.lock().unwrap() = behaviour;
    }

    /// Requests that came so far.
    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// Connections that are open and carried a request.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    let mut wire = Wire::new(stream);
    let mut is_counted = false;
    while let Some(header) = wire.header().await {
        let length =
            header.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        wire.read_exactly(length.unwrap_or(0)).await;
        if !std::mem::replace(&mut is_counted, true) {
            state.connections.fetch_add(1, Ordering::SeqCst);
        }
        state.requests.fetch_add(1, Ordering::SeqCst);
        let usual = *state.usual.lock().unwrap();
        let behaviour = state.script.lock().unwrap().pop_front().unwrap_or(usual);
        let answer = |status: u16, length: usize| format!("HTTP/1.1 {status} Such\r\nContent-Length: {length}\r\n\r\n");
        match behaviour {
            Behaviour::Serve => {
                wire.send_as_far_as_taken(answer(200, state.name.len()) + state.name).await;
            }
            Behaviour::Status(status) => wire.send_as_far_as_taken(answer(status, 0)).await,
            Behaviour::Reset => {
                wire.reset();
                break;
            }
            Behaviour::Garbage => {
                wire.send_as_far_as_taken("SSH-2.0-nothing for browsers\r\n\r\n").await;
                break;
            }
            Behaviour::Silence => {
                wire.read_to_end().await;
                break;
            }
            Behaviour::Break => {
                wire.send_as_far_as_taken(answer(200, 100) + "half").await;
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                wire.reset();
                break;
            }
        }
    }
    if is_counted {
        state.connections.fetch_sub(1, Ordering::SeqCst);
    }
}
