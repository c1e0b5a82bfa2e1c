//! Handshakes in a closed loop: connect, shake hands, close.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use rustls::HandshakeKind;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::{client::TlsClient, contestant::Count};
use crate::compare::CompareError;

/// Clients at once, each with one connection after the other.
const CLIENTS: usize = 16;

/// Longest time for one handshake.
const PATIENCE: Duration = Duration::from_secs(10);

/// Shakes hands for as long; `resumes`: every handshake but a client's first shows a ticket.
pub(super) async fn run(
    server: SocketAddr,
    authority: &Path,
    resumes: bool,
    span: Duration,
) -> Result<Count, CompareError> {
    let mut clients = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..CLIENTS {
        let client = TlsClient::new(server, authority, b"http/1.1", resumes)?;
        clients.spawn(async move {
            let (mut count, mut asks) = (Count::default(), false);
            while begun.elapsed() < span {
                let expected = if client.has_ticket() { HandshakeKind::Resumed } else { HandshakeKind::Full };
                let done = timeout(PATIENCE, shake_hands(&client, asks)).await.unwrap_or_else(|_| Err(late()));
                match done {
                    Ok(kind) if kind == expected => count.done += 1,
                    Ok(kind) => count.fail(format!("the handshake was {kind:?}, not {expected:?}")),
                    Err(error) => count.fail(error.to_string()),
                }
                asks |= resumes && !client.has_ticket();
            }
            count
        });
    }
    let mut count = Count::default();
    while let Some(client) = clients.join_next().await {
        count.add(client.map_err(crate::load::LoadError::Client)?);
    }
    count.seconds = begun.elapsed().as_secs_f64();
    Ok(count)
}

/// One connection. The server's part is over once it has closed its side as well. `asks`: a request
/// follows the handshake, as some servers send tickets with their first answer only.
async fn shake_hands(client: &TlsClient, asks: bool) -> io::Result<HandshakeKind> {
    let mut stream = client.connect().await?;
    let kind = stream.get_ref().1.handshake_kind().ok_or_else(|| io::Error::other("no handshake"))?;
    if asks {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        stream.read_exact(&mut [0]).await?;
    }
    read_to_end(&mut stream).await?;
    Ok(kind)
}

async fn read_to_end(stream: &mut TlsStream<TcpStream>) -> io::Result<()> {
    stream.shutdown().await?;
    let mut bytes = [0; 1_024];
    // The server may close in its own way.
    while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    Ok(())
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no handshake within {} s", PATIENCE.as_secs()))
}
