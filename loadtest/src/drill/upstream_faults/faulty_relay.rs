//! A relay before a server, which does to its connections what a broken server does.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::sleep,
};

use crate::drill::relay::{BUFFER_BYTES, Relay};

/// An answer that is none.
const GARBAGE: &[u8] = b"\x16\x03\x03 220 mail.example ESMTP\r\n\r\n";

/// The treatment of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// They go to the server.
    Pass,
    /// Their answers come so much later.
    Slow(Duration),
    /// They are answered with something that is not HTTP.
    Garbage,
    /// Their connections are reset.
    Reset,
}

/// A relay that spoils what it carries.
pub(super) type FaultyRelay = Relay<Mode>;

/// Starts a relay that passes everything, until it is told otherwise.
pub(super) async fn before(server: SocketAddr) -> std::io::Result<FaultyRelay> {
    Relay::start(server, Mode::Pass, carry).await
}

/// Carries one connection until either side ends, or until it is to be reset.
async fn carry(client: TcpStream, server: TcpStream, mut mode: watch::Receiver<Mode>) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let (asking, answering) = (mode.clone(), mode.clone());
    let is_reset = tokio::select! {
        _ = mode.wait_for(|mode| *mode == Mode::Reset) => true,
        () = pass_requests(&mut from_client, &mut to_server, asking) => false,
        () = pass_answers(&mut from_server, &mut to_client, answering) => false,
    };
    if let (true, Ok(client)) = (is_reset, from_client.reunite(to_client)) {
        // A connection without time to linger is reset as it is dropped.
        let _ = client.set_zero_linger();
    }
}

/// Carries requests to the server until the client ends.
async fn pass_requests(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, mode: watch::Receiver<Mode>) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if *mode.borrow() == Mode::Reset || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Carries answers to the client, late or spoilt.
async fn pass_answers(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, mode: watch::Receiver<Mode>) {
    let mut buffer = vec![0; BUFFER_BYTES];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let mode = *mode.borrow();
        let written = match mode {
            Mode::Pass => to.write_all(&buffer[..count]).await,
            Mode::Slow(delay) => {
                sleep(delay).await;
                to.write_all(&buffer[..count]).await
            }
            Mode::Garbage => {
                let _ = to.write_all(GARBAGE).await;
                return;
            }
            Mode::Reset => return,
        };
        if written.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn relay_passes_spoils_and_resets_as_it_is_told() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let relay = before(server.local_addr().unwrap()).await.unwrap();
        let mut client = TcpStream::connect(relay.address()).await.unwrap();
        let (mut accepted, _) = server.accept().await.unwrap();
        let mut word = [0; 3];
        client.write_all(b"one").await.unwrap();
        accepted.read_exact(&mut word).await.unwrap();
        accepted.write_all(b"two").await.unwrap();
        client.read_exact(&mut word).await.unwrap();
        assert_eq!(&word, b"two");
        relay.set(Mode::Reset);
        let error = client.read(&mut word).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        relay.set(Mode::Garbage);
        let mut client = TcpStream::connect(relay.address()).await.unwrap();
        let (mut accepted, _) = server.accept().await.unwrap();
        client.write_all(b"one").await.unwrap();
        accepted.read_exact(&mut word).await.unwrap();
        accepted.write_all(b"two").await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, GARBAGE);
    }
}
