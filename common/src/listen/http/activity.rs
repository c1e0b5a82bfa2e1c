//! Activity of a served connection: answering a request or waiting for one, and since when.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::Deadlines;
use crate::listen::{Alarm, Close, Connection};

/// Present activity of a connection.
pub(super) struct Activity {
    pub(super) open: Connection,
    deadlines: Deadlines,
    /// True if bytes may arrive that belong to no request, such as pings.
    is_chatty: bool,
    busy: AtomicUsize,
    waiting: Mutex<Waiting>,
}

/// The reason why a connection stops waiting for a request.
pub(super) enum Over {
    /// No request was complete in time.
    Overdue,
    /// The connection gives way to another.
    Displaced,
}

/// A wait for a request, and its deadline.
struct Waiting {
    since: Instant,
    /// Since when a header is on its way.
    header_since: Option<Instant>,
    has_asked: bool,
}

impl Activity {
    pub(super) fn new(open: Connection, deadlines: Deadlines, is_chatty: bool) -> Self {
        let waiting = Waiting { since: Instant::now(), header_since: None, has_asked: false };
        Self { open, deadlines, is_chatty, busy: 0.into(), waiting: Mutex::new(waiting) }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Acquire) > 0
    }

    fn waiting<R>(&self, with: impl FnOnce(&mut Waiting) -> R) -> R {
        with(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Bytes have come.
    pub(super) fn received(&self) {
        if !self.is_busy() {
            self.waiting(|waiting| _ = waiting.header_since.get_or_insert_with(Instant::now));
        }
    }

    /// Until when a request has to come.
    fn deadline(&self) -> (Instant, Close) {
        let Deadlines { header, idle, .. } = self.deadlines;
        self.waiting(|waiting| match waiting.header_since {
            Some(since) if !(self.is_chatty && waiting.has_asked) => (since + header, Close::HeaderTimeout),
            None if !waiting.has_asked => (waiting.since + header, Close::Idle),
            Some(_) | None => (waiting.since + idle, Close::Idle),
        })
    }

    /// Ends once a connection that waits for a request has waited long enough, or has to give way.
    pub(super) async fn over(&self) -> Over {
        let mut alarm = Alarm::default();
        poll_fn(|context| {
            let leaves = self.open.poll_leave(context).is_ready();
            if self.is_busy() {
                return Poll::Pending;
            }
            let (deadline, close) = self.deadline();
            if alarm.poll(deadline, context).is_ready() {
                self.open.metrics().closed(close);
                return Poll::Ready(Over::Overdue);
            }
            if leaves { Poll::Ready(Over::Displaced) } else { Poll::Pending }
        })
        .await
    }
}

/// A request that is being answered.
pub(super) struct Busy(Arc<Activity>);

impl Busy {
    pub(super) fn new(activity: &Arc<Activity>) -> Self {
        if activity.busy.fetch_add(1, Ordering::AcqRel) == 0 {
            activity.open.asked();
        }
        Self(Arc::clone(activity))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.busy.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.open.waits();
            self.0.waiting(|waiting| *waiting = Waiting { since: Instant::now(), header_since: None, has_asked: true });
        }
    }
}

/// The body of an answer, which keeps its connection busy until it is sent.
pub(super) struct BusyBody<B> {
    pub(super) body: B,
    pub(super) _busy: Busy,
}

impl<B: Body + Unpin> Body for BusyBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
