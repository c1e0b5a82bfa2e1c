//! A relay to a server on this machine, which carries each connection as its state says.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::AbortHandle,
    time::sleep,
};

/// Bytes that are carried at once.
pub(super) const BUFFER_BYTES: usize = 16 * 1024;

/// Before the next connection is accepted, if one could not be.
const PAUSE: Duration = Duration::from_millis(10);

/// The relay; it is gone when this is dropped.
pub(super) struct Relay<S> {
    address: SocketAddr,
    state: watch::Sender<S>,
    accepting: AbortHandle,
}

impl<S: Send + Sync + 'static> Relay<S> {
    /// Listens on a free port. `carry` gets each connection of a client with one to the server, and
    /// follows the state.
    pub(super) async fn start<F>(
        server: SocketAddr,
        state: S,
        carry: impl Fn(TcpStream, TcpStream, watch::Receiver<S>) -> F + Clone + Send + 'static,
    ) -> std::io::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = watch::Sender::new(state);
        let receiver = state.subscribe();
        let accepting = tokio::spawn(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else {
                    sleep(PAUSE).await;
                    continue;
                };
                let (carry, state) = (carry.clone(), receiver.clone());
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(server).await else { return };
                    // Without it, small messages would wait for each other.
                    let _ = (client.set_nodelay(true), server.set_nodelay(true));
                    carry(client, server, state).await;
                });
            }
        });
        Ok(Self { address, state, accepting: accepting.abort_handle() })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn set(&self, state: S) {
        self.state.send_replace(state);
    }
}

impl<S> Drop for Relay<S> {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
