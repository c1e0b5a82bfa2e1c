//! A relay to a server on this machine that can go silent: connections stay open, and nothing comes
//! through.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

use crate::drill::relay::{BUFFER_BYTES, Relay};

/// The relay; it is cut when this is dropped. Its state is true while it is silent.
pub(super) struct SilentRelay {
    server: u16,
    relay: Relay<bool>,
}

impl SilentRelay {
    pub(super) async fn to(server: u16) -> std::io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server));
        Ok(Self { server, relay: Relay::start(address, false, carry).await? })
    }

    /// The URL of the server with this relay in its place.
    pub(super) fn instead_of(&self, url: &str) -> String {
        url.replace(&format!(":{}/", self.server), &format!(":{}/", self.relay.address().port()))
    }

    pub(super) fn silence(&self) {
        self.relay.set(true);
    }

    /// Lets the bytes through that were held back.
    pub(super) fn resume(&self) {
        self.relay.set(false);
    }
}

async fn carry(client: TcpStream, server: TcpStream, silence: watch::Receiver<bool>) {
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
    use std::time::Duration;

    use tokio::{net::TcpListener, time::timeout};

    use super::*;

    #[tokio::test]
    async fn silent_relay_holds_bytes_back_and_loses_none() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let relay = SilentRelay::to(server.local_addr().unwrap().port()).await.unwrap();
        let mut client = TcpStream::connect(relay.relay.address()).await.unwrap();
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
        let relay = SilentRelay::to(5432).await.unwrap();
        let url = relay.instead_of("postgres://tollgate@127.0.0.1:5432/postgres");
        assert_eq!(url, format!("postgres://tollgate@127.0.0.1:{}/postgres", relay.relay.address().port()));
    }
}
