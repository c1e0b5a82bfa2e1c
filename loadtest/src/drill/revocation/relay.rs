//! A relay to a server on this machine that can go silent: connections stay open, and nothing comes
//! through.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::AbortHandle,
    time::sleep,
};

const BUFFER_BYTES: usize = 16 * 1024;

/// Before the next connection is accepted, if one could not be.
const PAUSE: Duration = Duration::from_millis(10);

/// The relay; it is cut when this is dropped.
pub(super) struct Relay {
    port: u16,
    server: u16,
    is_silent: watch::Sender<bool>,
    accepting: AbortHandle,
}

impl Relay {
    pub(super) async fn to(server: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let is_silent = watch::Sender::new(false);
        let silence = is_silent.subscribe();
        let accepting = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((client, _)) => drop(tokio::spawn(carry(client, server, silence.clone()))),
                    Err(_) => sleep(PAUSE).await,
                }
            }
        });
        Ok(Self { port, server, is_silent, accepting: accepting.abort_handle() })
    }

    /// The URL of the server with this relay in its place.
    pub(super) fn instead_of(&self, url: &str) -> String {
        url.replace(&format!(":{}/", self.server), &format!(":{}/", self.port))
    }

    pub(super) fn silence(&self) {
        self.is_silent.send_replace(true);
    }

    /// Lets the bytes through that were held back.
    pub(super) fn resume(&self) {
        self.is_silent.send_replace(false);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(client: TcpStream, server: u16, silence: watch::Receiver<bool>) {
    let Ok(server) = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, server))).await else { return };
    // Without it, small messages would wait for each other.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::join!(pass(from_client, to_server, silence.clone()), pass(from_server, to_client, silence));
}

/// Carries one direction until its end, or until the relay is gone.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut silence: watch::Receiver<bool>) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if silence.wait_for(|silent| !silent).await.is_err() || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn silent_relay_holds_bytes_back_and_loses_none() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let relay = Relay::to(server.local_addr().unwrap().port()).await.unwrap();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, relay.port)).await.unwrap();
        let (mut accepted, _) = server.accept().await.unwrap();
        let mut word = [0; 3];
        client.write_all(b"one").await.unwrap();
        accepted.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"one");
        relay.silence();
        client.write_all(b"two").await.unwrap();
        assert!(timeout(Duration::from_millis(50), accepted.read_exact(&mut word)).await.is_err());
        relay.resume();
        accepted.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"two");
    }

    #[tokio::test]
    async fn relay_takes_the_place_of_the_server_in_its_url() {
        let relay = Relay::to(5432).await.unwrap();
        let url = relay.instead_of("postgres://tollgate@127.0.0.1:5432/postgres");
        assert_eq!(url, format!("postgres://tollgate@127.0.0.1:{}/postgres", relay.port));
    }
}
