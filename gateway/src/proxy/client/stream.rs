//! A client's stream that can outlive its client: what is read and written passes through, until
//! nobody is there any more and the request is to go on all the same.

use std::{
    fmt,
    io::{self, Cursor, ErrorKind, IoSlice},
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use async_trait::async_trait;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream, TimingDigest,
    UniqueID, UniqueIDType,
    raw_connect::ProxyDigest,
    tls::{SslDigest, TlsRef},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{Client, GONE, SILENT, START, frames::Frames, outgoing::Outgoing};
use crate::{listen, lock::locked};

/// The stream of one client connection.
pub(crate) struct ClientStream {
    pub(super) inner: Stream,
    pub(super) client: Arc<Client>,
    timer: Option<Timer>,
    frames: Frames,
    /// Frames to the client that are counted.
    pub(super) outgoing: Option<Outgoing>,
}

/// Wakes the reader at a time.
struct Timer {
    at: u64,
    sleep: Pin<Box<Sleep>>,
}

impl ClientStream {
    /// A stream over what was accepted from this client.
    pub(crate) fn of(inner: Stream, client: Arc<Client>) -> Self {
        Self { inner, client, timer: None, frames: Frames::default(), outgoing: None }
    }

    /// Returns the stream that was accepted.
    pub(crate) fn into_inner(mut self) -> Stream {
        std::mem::replace(&mut self.inner, nothing())
    }

    pub(super) const fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Ends at `at`, in nanoseconds of [`super::nanos`].
    fn poll_timer(&mut self, at: u64, context: &mut Context<'_>) -> Poll<()> {
        let timer = match &mut self.timer {
            Some(timer) if timer.at == at => timer,
            timer => {
                let sleep = Box::pin(sleep_until(Instant::from_std(*START + Duration::from_nanos(at))));
                timer.insert(Timer { at, sleep })
            }
        };
        timer.sleep.as_mut().poll(context)
    }

    /// Never gives anything; fails once the request has gone on without its client for long enough.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_timer(self.client.patience_ends(), context));
        self.client.exhausted.store(true, Ordering::Release);
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "the client has left, and the wait is over")))
    }

    /// Fails once the deadline of the request is reached.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let deadline = self.client.deadline.load(Ordering::Acquire);
        if deadline == 0 {
            return Poll::Pending;
        }
        ready!(self.poll_timer(deadline, context));
        self.client.deadline_passed.store(true, Ordering::Release);
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "the upstream has not answered in time")))
    }

    fn poll_read_inner(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.client.has_left() && self.client.is_waited_for() {
            return self.poll_patience(context);
        }
        let (before, has_room) = (buffer.filled().len(), buffer.remaining() > 0);
        let Poll::Ready(outcome) = Pin::new(&mut self.inner).poll_read(context, buffer) else {
            return self.poll_deadline(context);
        };
        match &outcome {
            Ok(()) if !has_room || buffer.filled().len() > before => {
                self.client.touch();
                return Poll::Ready(outcome);
            }
            Ok(()) => self.client.leave(SILENT),
            // The client broke a rule or took too long, and is there to be told.
            Err(error) if listen::is_fault(error) => {
                if error.kind() == ErrorKind::UnexpectedEof {
                    self.client.leave(SILENT);
                }
                return Poll::Ready(outcome);
            }
            Err(_) => self.client.leave(GONE),
        }
        if self.client.is_waited_for() { self.poll_patience(context) } else { Poll::Ready(outcome) }
    }

    /// Follows the frames of a WebSocket in bytes that were sent.
    pub(super) fn follow(&mut self, bytes: &[u8]) {
        if self.client.is_websocket.load(Ordering::Relaxed) {
            self.frames.read(bytes);
            let is_between = self.frames.is_between() && self.outgoing.as_ref().is_none_or(Outgoing::is_sent);
            self.client.is_between_frames.store(is_between, Ordering::Release);
        }
    }

    /// Returns true if an answer is read to its end for a client that is gone.
    fn swallows(&self) -> bool {
        self.client.is_gone() && self.client.is_waited_for()
    }

    fn swallow(&self, count: usize) -> io::Result<usize> {
        if self.client.swallow(count) {
            return Ok(count);
        }
        Err(io::Error::new(ErrorKind::BrokenPipe, "the client has left, and enough was read of its answer"))
    }

    /// Returns the outcome of writing `offered` bytes. A broken connection is no failure while the
    /// request goes on without it.
    pub(super) fn written(&self, outcome: io::Result<usize>, offered: usize) -> io::Result<usize> {
        match outcome {
            Ok(count) => {
                self.client.pass(count);
                Ok(count)
            }
            Err(error) => {
                self.client.leave(GONE);
                if self.swallows() { self.swallow(offered) } else { Err(error) }
            }
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_read_inner(context, buffer)
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.swallows() {
            return Poll::Ready(this.swallow(bytes.len()));
        }
        ready!(this.client.poll_held(context))?;
        let mut bytes = bytes;
        if this.counts_frames() {
            match this.frames.of_answer(bytes) {
                0 => return this.poll_write_counted(context, bytes),
                answer => bytes = &bytes[..answer],
            }
        }
        let outcome = ready!(Pin::new(&mut this.inner).poll_write(context, bytes));
        if let Ok(written) = outcome {
            this.follow(&bytes[..written]);
        }
        Poll::Ready(this.written(outcome, bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.counts_frames() {
            let first = slices.iter().find(|slice| !slice.is_empty());
            return Pin::new(this).poll_write(context, first.map_or(&[], |slice| slice));
        }
        let offered = slices.iter().map(|slice| slice.len()).sum();
        if this.swallows() {
            return Poll::Ready(this.swallow(offered));
        }
        ready!(this.client.poll_held(context))?;
        let outcome = ready!(Pin::new(&mut this.inner).poll_write_vectored(context, slices));
        if let Ok(mut left) = outcome {
            for slice in slices {
                let taken = left.min(slice.len());
                this.follow(&slice[..taken]);
                left -= taken;
            }
        }
        Poll::Ready(this.written(outcome, offered))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.swallows() {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_send(context))?;
        let outcome = ready!(Pin::new(&mut this.inner).poll_flush(context));
        Poll::Ready(this.written(outcome.map(|()| 0), 0).map(drop))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}

impl Drop for ClientStream {
    /// A panic drops the stream with the request. The connection is kept, so that the client can be
    /// told.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let inner = std::mem::replace(&mut self.inner, nothing());
            locked(&self.client.rescued).stream = Some(inner);
        }
    }
}

/// A stream of nothing.
fn nothing() -> Stream {
    Box::new(Cursor::new(Vec::new()))
}

impl fmt::Debug for ClientStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("ClientStream").field(&self.inner).finish()
    }
}

#[async_trait]
impl Shutdown for ClientStream {
    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
    }
}

impl UniqueID for ClientStream {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for ClientStream {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.inner.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl GetTimingDigest for ClientStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.inner.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.inner.get_write_pending_time()
    }
}

impl GetProxyDigest for ClientStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }

    fn set_proxy_digest(&mut self, digest: ProxyDigest) {
        self.inner.set_proxy_digest(digest);
    }
}

impl GetSocketDigest for ClientStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.inner.set_socket_digest(digest);
    }
}

#[async_trait]
impl Peek for ClientStream {
    async fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        self.inner.try_peek(buffer).await
    }
}
