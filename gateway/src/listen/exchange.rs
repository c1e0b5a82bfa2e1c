//! A connection as Pingora sees it while one request is answered.
//!
//! A hang-up is an error of the socket, on reading or on writing (the client's system has reset the
//! connection). The end of what a client sends need not be one: RFC 9112 lets a client end its side
//! and wait for the answer. A client that has closed its socket altogether looks the same until
//! something is written to it; its system then answers with a reset. So the end is shown to
//! Pingora, once no other request is behind it, and Pingora is told to go on.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
};

use async_trait::async_trait;
use common::listen::Close;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType, raw_connect::ProxyDigest, tls::SslDigest,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::Connection;
use crate::lock::locked;

/// The connection, put back here once Pingora has let go of it.
pub(crate) type Returned = Arc<Mutex<Option<Box<Connection>>>>;

/// Begin of an answer that turns the connection over to another protocol.
const SWITCHING: &[u8] = b"HTTP/1.1 101";

/// Begin of any answer that another one follows.
const INTERIM: &[u8] = b"HTTP/1.1 1";

/// A connection that is lent to Pingora for one request.
pub(crate) struct Exchange {
    connection: Option<Box<Connection>>,
    returned: Returned,
    /// True once the final answer has begun.
    has_answered: bool,
    /// Bytes of an interim answer that are still to be written.
    interim_left: usize,
}

impl Exchange {
    pub(crate) fn new(connection: Box<Connection>, returned: Returned) -> Self {
        Self { connection: Some(connection), returned, has_answered: false, interim_left: 0 }
    }

    /// Takes the connection back; whether any of the final answer was written.
    pub(crate) fn take(&mut self) -> Option<Box<Connection>> {
        self.connection.take()
    }

    /// Lends the connection out once more.
    pub(crate) fn renew(&mut self, connection: Box<Connection>) {
        self.connection = Some(connection);
        self.has_answered = false;
        self.interim_left = 0;
    }

    fn lent(&mut self) -> io::Result<&mut Connection> {
        self.connection.as_deref_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Looks at bytes of an answer that are about to be written: an answer begins where a write
    /// begins.
    fn look_at(&mut self, bytes: &[u8]) {
        if self.has_answered || self.interim_left > 0 || bytes.is_empty() {
            return;
        }
        let upgrades = self.connection.as_ref().is_some_and(|connection| connection.upgrades);
        if bytes.starts_with(INTERIM) && !(bytes.starts_with(SWITCHING) && upgrades) {
            self.interim_left = bytes.len();
            return;
        }
        self.has_answered = true;
        if let Some(connection) = self.connection.as_deref_mut().filter(|_| bytes.starts_with(SWITCHING)) {
            connection.become_tunnel();
        }
    }

    fn written(&mut self, bytes: usize) {
        self.interim_left = self.interim_left.saturating_sub(bytes);
    }

    /// The outcome of a write; an error if the client has not read for too long.
    fn paced(&mut self, outcome: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let connection = self.lent()?;
        match outcome {
            Poll::Ready(Ok(bytes)) => {
                connection.send.moved(bytes);
                self.written(bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => {
                connection.is_broken = true;
                Poll::Ready(Err(error))
            }
            Poll::Pending => {
                ready!(connection.send.poll_too_slow(context));
                connection.open.0.metrics().closed(Close::SendTimeout);
                connection.is_broken = true;
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")))
            }
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            *locked(&self.returned) = Some(connection);
        }
    }
}

impl AsyncRead for Exchange {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.lent()?.poll_request(context, into)
    }
}

impl AsyncWrite for Exchange {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.look_at(bytes);
        let outcome = Pin::new(&mut self.lent()?.stream).poll_write(context, bytes);
        self.paced(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(first) = slices.iter().find(|slice| !slice.is_empty()) {
            self.look_at(first);
        }
        let outcome = Pin::new(&mut self.lent()?.stream).poll_write_vectored(context, slices);
        self.paced(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.stream.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.lent()?.stream).poll_flush(context);
        self.paced(outcome.map_ok(|()| 0), context).map_ok(|_| ())
    }

    /// Flushes only: the connection is closed by its owner, who knows what the client may still
    /// send.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connection.fmt(formatter)
    }
}

#[async_trait]
impl Shutdown for Exchange {
    async fn shutdown(&mut self) {
        // Fails if the client is gone, and then there is nothing to flush.
        let _ = tokio::io::AsyncWriteExt::flush(self).await;
    }
}

impl UniqueID for Exchange {
    fn id(&self) -> UniqueIDType {
        self.connection.as_ref().map_or(-1, |connection| connection.stream.id())
    }
}

impl Ssl for Exchange {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.connection.as_ref()?.stream.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.connection.as_ref()?.stream.selected_alpn_proto()
    }
}

impl GetTimingDigest for Exchange {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.connection.as_ref().map_or_else(Vec::new, |connection| connection.stream.get_timing_digest())
    }

    fn get_read_pending_time(&self) -> std::time::Duration {
        self.connection.as_ref().map_or_else(Default::default, |connection| connection.stream.get_read_pending_time())
    }

    fn get_write_pending_time(&self) -> std::time::Duration {
        self.connection.as_ref().map_or_else(Default::default, |connection| connection.stream.get_write_pending_time())
    }
}

impl GetProxyDigest for Exchange {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.connection.as_ref()?.stream.get_proxy_digest()
    }
}

impl GetSocketDigest for Exchange {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.connection.as_ref()?.stream.get_socket_digest()
    }
}

impl Peek for Exchange {}
