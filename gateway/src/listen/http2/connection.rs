//! One client's HTTP/2 connection: its requests as they come, and the end of the connection.
//!
//! Invariant: a request that was handed on is answered, whatever becomes of others beside it. When
//! the gateway is about to end, the client is told with GOAWAY, and what it had sent before it knew
//! is served.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use common::listen::{Alarm, Close, Connection as Open, http::Deadlines};
use futures_util::task::AtomicWaker;
use h2::{Reason, RecvStream, server::SendResponse};
use http::Request;
use pingora_core::protocols::Stream;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    guard::{Findings, Guard},
    metrics::{self, Ended},
};
use crate::config::{Http2Settings, SizeLimits};

/// Longest time for a client without requests to go once it was told to, or once the gateway has
/// said all that it had to say.
const LEAVE_DEADLINE: Duration = Duration::from_secs(1);

/// Bytes that each field of a header counts beyond its name and value (RFC 9113, section 6.5.2).
const FIELD_OVERHEAD_BYTES: usize = 32;

/// Fields for which that room is kept, so that too many of them are answered with a problem.
const FIELDS_ROOM: usize = 512;

/// Bytes of an answer that wait for the client to read them, for each stream.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// A request, and what it is answered on.
pub(crate) type Arrival = (Request<RecvStream>, SendResponse<Bytes>);

/// A connection with a client that speaks HTTP/2.
pub(crate) struct Http2Connection {
    inner: h2::server::Connection<Guard, Bytes>,
    findings: Arc<Findings>,
    open: Open,
    deadlines: Deadlines,
    under_way: Arc<UnderWay>,
    draining: Pin<Box<dyn Future<Output = ()> + Send>>,
    phase: Phase,
    /// Time since which no request is under way.
    idle_since: Option<Instant>,
    has_asked: bool,
    /// Time since which a header is not complete.
    header_since: Option<Instant>,
    alarm: Alarm,
    _counted: Counted,
}

/// The part of its life in which a connection is.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Serving,
    /// The client was told that no more requests are taken.
    Leaving(Instant),
    /// The connection ends, with whatever is on it.
    Ending(Instant),
}

/// The requests of one connection that are being served.
#[derive(Default)]
pub(crate) struct UnderWay {
    count: AtomicUsize,
    none_left: AtomicWaker,
}

/// One request that is being served.
pub(crate) struct OneUnderWay(Arc<UnderWay>);

/// Counts the connection for as long as it lives.
struct Counted;

impl Http2Connection {
    /// Greets a client. `ahead`: bytes of it that were read already. None if it does not speak
    /// HTTP/2, or not in time.
    pub(crate) async fn greet(
        stream: Stream,
        ahead: BytesMut,
        open: Open,
        deadlines: Deadlines,
        sizes: &SizeLimits,
        settings: &Http2Settings,
        mut draining: watch::Receiver<bool>,
    ) -> Option<Self> {
        let metrics = open.metrics().clone();
        let (guard, findings) = Guard::new(stream, ahead, deadlines.send, settings.resets_per_second, metrics.clone());
        let handshake = builder(sizes, settings).handshake(guard);
        let Ok(greeted) = timeout(deadlines.header, handshake).await else {
            metrics.closed(Close::Idle);
            return None;
        };
        let inner = match greeted {
            Ok(inner) => inner,
            Err(error) => {
                if !error.is_io() {
                    metrics::ended(Ended::Protocol);
                }
                return None;
            }
        };
        Some(Self {
            inner,
            findings,
            open,
            deadlines,
            under_way: Arc::default(),
            draining: Box::pin(async move {
                // Fails only if the gateway is gone, and then there is nothing to wait for.
                let _ = draining.wait_for(|is_draining| *is_draining).await;
            }),
            phase: Phase::Serving,
            idle_since: None,
            has_asked: false,
            header_since: None,
            alarm: Alarm::default(),
            _counted: Counted::new(),
        })
    }

    /// Waits for the next request. None once the connection is over; it may then be dropped.
    pub(crate) async fn next(&mut self) -> Option<(Arrival, OneUnderWay)> {
        poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<(Arrival, OneUnderWay)>> {
        self.under_way.none_left.register(context.waker());
        loop {
            if let Phase::Serving = self.phase
                && self.draining.as_mut().poll(context).is_ready()
            {
                self.leave();
            }
            match self.inner.poll_accept(context) {
                Poll::Ready(Some(Ok(arrival))) => {
                    self.idle_since = None;
                    self.has_asked = true;
                    self.open.asked();
                    return Poll::Ready(Some((arrival, OneUnderWay::new(&self.under_way))));
                }
                Poll::Ready(_) => {
                    self.close();
                    return Poll::Ready(None);
                }
                Poll::Pending => {}
            }
            if let (Some(reason), Phase::Serving | Phase::Leaving(_)) = (self.findings.verdict(), self.phase) {
                metrics::ended(reason);
                self.end(Reason::ENHANCE_YOUR_CALM);
                continue;
            }
            if ready!(self.poll_overdue(context)) {
                return Poll::Ready(None);
            }
        }
    }

    /// Ready once the client has waited too long, or has to go: true if the connection is over,
    /// false if the client was told.
    fn poll_overdue(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        let now = Instant::now();
        if self.findings.is_closing() {
            self.close();
        }
        if let Phase::Ending(since) = self.phase {
            ready!(self.alarm.poll(since + LEAVE_DEADLINE, context));
            return Poll::Ready(true);
        }
        let header = self.header_deadline(now);
        let idle = self.idle_deadline(now);
        if idle.is_some() && self.open.poll_leave(context).is_ready() && matches!(self.phase, Phase::Serving) {
            self.leave();
            return Poll::Ready(false);
        }
        let Some(deadline) = [header, idle].into_iter().flatten().min() else {
            return Poll::Pending;
        };
        ready!(self.alarm.poll(deadline, context));
        if header == Some(deadline) {
            self.open.metrics().closed(Close::HeaderTimeout);
            self.end(Reason::ENHANCE_YOUR_CALM);
        } else if let Phase::Serving = self.phase {
            self.open.metrics().closed(Close::Idle);
            self.leave();
        } else {
            return Poll::Ready(true);
        }
        Poll::Ready(false)
    }

    /// Time until which the header has to be complete that has begun.
    fn header_deadline(&mut self, now: Instant) -> Option<Instant> {
        if !self.findings.is_in_header() {
            self.header_since = None;
            return None;
        }
        Some(*self.header_since.get_or_insert(now) + self.deadlines.header)
    }

    /// Time until which a connection without a request is kept.
    fn idle_deadline(&mut self, now: Instant) -> Option<Instant> {
        if self.under_way.count.load(Ordering::Acquire) > 0 {
            self.idle_since = None;
            return None;
        }
        let since = *self.idle_since.get_or_insert_with(|| {
            self.open.waits();
            now
        });
        Some(match self.phase {
            // Bytes of an answer may still be on their way.
            Phase::Leaving(_) if self.inner.has_streams() => since + self.deadlines.send.patience,
            Phase::Leaving(told_at) => since.max(told_at) + LEAVE_DEADLINE,
            _ if self.has_asked => since + self.deadlines.idle,
            _ => since + self.deadlines.header,
        })
    }

    /// Takes no more requests than the client had sent before it knew.
    fn leave(&mut self) {
        self.inner.graceful_shutdown();
        self.phase = Phase::Leaving(Instant::now());
    }

    /// The protocol's library has said its last word.
    fn close(&mut self) {
        if matches!(self.phase, Phase::Ending(_)) {
            return;
        }
        self.phase = Phase::Ending(Instant::now());
        if let Some(reason) = self.findings.said() {
            metrics::ended(reason);
        }
    }

    /// Ends the connection, with whatever is on it.
    fn end(&mut self, reason: Reason) {
        self.inner.abrupt_shutdown(reason);
        self.phase = Phase::Ending(Instant::now());
    }
}

/// The terms on which the gateway speaks HTTP/2.
fn builder(sizes: &SizeLimits, settings: &Http2Settings) -> h2::server::Builder {
    // Headers that the gateway can answer with a problem are let through to where it does.
    let list = sizes.header_bytes + sizes.path_bytes + FIELDS_ROOM * FIELD_OVERHEAD_BYTES;
    let mut builder = h2::server::Builder::new();
    builder
        .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
        .max_concurrent_streams(settings.max_streams)
        .initial_window_size(settings.stream_window_bytes)
        .initial_connection_window_size(settings.connection_window_bytes)
        .max_send_buffer_size(SEND_BUFFER_BYTES);
    builder
}

impl OneUnderWay {
    fn new(all: &Arc<UnderWay>) -> Self {
        all.count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(all))
    }
}

impl Drop for OneUnderWay {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.none_left.wake();
        }
    }
}

impl Counted {
    fn new() -> Self {
        metrics::open().inc();
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::open().dec();
    }
}
