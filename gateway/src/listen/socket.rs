//! A client's TCP connection, as Pingora and TLS read and write it.
//!
//! Small writes are gathered, so that header and body of a short answer leave together. Reads are
//! not: whoever reads has a buffer of its own.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::SystemTime,
};

use async_trait::async_trait;
use bytes::{Buf as _, BytesMut};
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType, raw_connect::ProxyDigest,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufWriter, ReadBuf},
    net::TcpStream,
};

/// Bytes that are gathered before they are sent: those of one packet.
const WRITE_BUFFER_BYTES: usize = 1_460;

/// Room made for bytes that are read before it is known what they are: a PROXY header, or the begin
/// of a handshake.
const READ_AHEAD_BYTES: usize = 1_024;

/// A client's TCP connection.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: BufWriter<TcpStream>,
    /// Bytes that came and are still to be read.
    ahead: BytesMut,
    digest: Arc<SocketDigest>,
    established: SystemTime,
}

impl Socket {
    /// A connection that was accepted from `peer`.
    pub(crate) fn new(stream: TcpStream, peer: SocketAddr) -> Self {
        // Fails only if the connection is gone, which is seen when it is read.
        let _ = stream.set_nodelay(true);
        let digest = digest(&stream, peer);
        Self {
            stream: BufWriter::with_capacity(WRITE_BUFFER_BYTES, stream),
            ahead: BytesMut::new(),
            digest,
            established: SystemTime::now(),
        }
    }

    /// The address at the other end.
    pub(crate) fn peer(&self) -> IpAddr {
        let address = self.digest.peer_addr().and_then(|address| address.as_inet());
        address.map_or(IpAddr::from([0, 0, 0, 0]), SocketAddr::ip)
    }

    /// From now on, the connection counts as one from `client`, in whose name a proxy made it.
    pub(super) fn set_client(&mut self, client: SocketAddr) {
        self.digest = digest(self.stream.get_ref(), client);
    }

    /// The first byte that is to be read, which stays; none if the client ends its side before.
    pub(super) async fn first_byte(&mut self) -> io::Result<Option<u8>> {
        if let Some(first) = self.ahead.first() {
            return Ok(Some(*first));
        }
        Ok(self.read_ahead().await?.and_then(|bytes| bytes.first().copied()))
    }

    /// The bytes that came and were not taken, and more of them: none at the end.
    pub(super) async fn read_ahead(&mut self) -> io::Result<Option<&mut BytesMut>> {
        self.ahead.reserve(READ_AHEAD_BYTES);
        let count = self.stream.get_mut().read_buf(&mut self.ahead).await?;
        Ok((count > 0).then_some(&mut self.ahead))
    }
}

fn digest(stream: &TcpStream, peer: SocketAddr) -> Arc<SocketDigest> {
    let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
    // The cell is new, and so empty.
    let _ = digest.peer_addr.set(Some(peer.into()));
    Arc::new(digest)
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(self.stream.get_mut()).poll_read(context, into);
        }
        let count = self.ahead.len().min(into.remaining());
        into.put_slice(&self.ahead[..count]);
        self.ahead.advance(count);
        if self.ahead.is_empty() {
            self.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[async_trait]
impl Shutdown for Socket {
    async fn shutdown(&mut self) {
        // Fails if the client is gone, and then nothing is left to end.
        let _ = self.stream.shutdown().await;
    }
}

impl UniqueID for Socket {
    fn id(&self) -> UniqueIDType {
        self.stream.get_ref().as_raw_fd()
    }
}

impl Ssl for Socket {}

impl GetTimingDigest for Socket {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        vec![Some(TimingDigest { established_ts: self.established, ..TimingDigest::default() })]
    }
}

impl GetProxyDigest for Socket {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Socket {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.digest))
    }
}

impl Peek for Socket {}
