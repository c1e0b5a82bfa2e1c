//! The client's end of a connection, as its requests see it: whether anybody is still there, and
//! for how long an answer is waited for that nobody will read.
//!
//! Invariant: from the moment in which [`Client::wait_on`] was called for a request, Pingora does
//! not notice that the client has left. The request goes on to its end, within the bounds given,
//! and all that hangs on it (permits, held units, the record) lives as long as the upstream works.

mod end;
mod frames;
mod held;
mod http2;
mod metered;
mod outgoing;
mod serve;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
pub(super) use end::End;
use futures_util::task::AtomicWaker;
use h2::server::SendResponse;
use held::Held;
pub(crate) use http2::Http2Stream;
pub(super) use metered::MeteredFrames;
use pingora_core::protocols::Stream;
use pingora_proxy::Session;
use prometheus::IntGauge;
pub(crate) use serve::serve_request;
pub(crate) use stream::ClientStream;

use crate::{answer::grpc::Shape, filter::cors::Grant, lock::locked, metrics, route::Patience};

/// Time that is left to messages that were recorded before their connection ends for want of units.
const LAST_WORDS: Duration = Duration::from_millis(150);

/// The client has not closed anything.
const PRESENT: u8 = 0;
/// The client sends nothing more. It may still read: a half-closed connection looks like a closed
/// one.
const SILENT: u8 = 1;
/// The connection is broken: nothing can be sent any more.
const GONE: u8 = 2;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

static ALONE: LazyLock<IntGauge> = LazyLock::new(|| {
    metrics::gauge(
        "tollgate_http_requests_without_client",
        "Requests in progress that go on after their clients have left",
    )
});

/// One client connection, or one stream of a connection of HTTP/2, shared by it and by the request
/// that is served on it.
#[derive(Default)]
pub(crate) struct Client {
    /// Port of the HTTPS address that its requests are sent to, if its listener says so.
    redirect_port: Option<u16>,
    presence: AtomicU8,
    /// True if the request is counted as one that goes on without its client.
    counted: AtomicBool,
    /// Time at which the client left, in nanoseconds of [`nanos`].
    left_at: AtomicU64,
    /// Nanoseconds for which the request goes on without its client; 0 if it ends with the client.
    patience: AtomicU64,
    /// Bytes of the answer that may still be read for nobody.
    bytes_left: AtomicU64,
    /// The patience, or those bytes, are used up.
    exhausted: AtomicBool,
    /// End of the wait for the upstream, with or without the client; 0 if there is none.
    deadline: AtomicU64,
    deadline_passed: AtomicBool,
    /// Bytes sent to the client since the request began.
    sent: AtomicU64,
    /// True if the connection was upgraded and carries another protocol.
    upgraded: AtomicBool,
    /// True if that is a WebSocket.
    is_websocket: AtomicBool,
    /// True while no frame of it is on its way to the client.
    is_between_frames: AtomicBool,
    /// True once the end of a frame is not waited for any more.
    insists: AtomicBool,
    /// Time of the last byte on an upgraded connection.
    active_at: AtomicU64,
    /// The reason for which an upgraded connection is to end; see [`End`].
    end: AtomicU8,
    ended: AtomicWaker,
    /// The reason for which it is to end soon; see [`End`].
    asked_end: AtomicU8,
    /// Time at which that was asked.
    asked_at: AtomicU64,
    /// True if the frames of a WebSocket to the client are counted.
    counts_frames: AtomicBool,
    /// Their count, until the stream takes it.
    counted_frames: Mutex<Option<Box<MeteredFrames>>>,
    /// True if bytes to the client wait for something.
    is_held: AtomicBool,
    /// The things that they wait for.
    held: Held,
    /// Left behind by a panic: the stream to answer on, and the parts of the request that the
    /// answer needs.
    rescued: Mutex<Rescued>,
}

#[derive(Default)]
struct Rescued {
    stream: Option<Stream>,
    http2: Option<(SendResponse<Bytes>, Shape)>,
    request_id: String,
    cors: Option<Grant>,
}

impl Client {
    /// A client of a listener, which sends requests to HTTPS on this port, or serves them.
    pub(crate) fn of_listener(redirect_port: Option<u16>) -> Self {
        Self { redirect_port, ..Self::default() }
    }

    /// Returns the port of the HTTPS address that requests are sent to.
    pub(super) const fn redirect_port(&self) -> Option<u16> {
        self.redirect_port
    }

    /// The client of a session, if it is served on a [`ClientStream`] or is an [`Http2Stream`].
    pub(super) fn of(session: &Session) -> Option<Arc<Self>> {
        match session.as_downstream().stream() {
            Some(stream) => Self::of_stream(stream),
            None => session.req_header().extensions.get().map(Arc::clone),
        }
    }

    /// The client behind a stream, if it is a [`ClientStream`].
    pub(crate) fn of_stream(stream: &Stream) -> Option<Arc<Self>> {
        (**stream).as_any().downcast_ref::<ClientStream>().map(|stream| Arc::clone(stream.client()))
    }

    /// Forgets everything about the previous request on the connection.
    fn begin(&self) {
        self.presence.store(PRESENT, Ordering::Relaxed);
        self.patience.store(0, Ordering::Relaxed);
        self.exhausted.store(false, Ordering::Relaxed);
        self.deadline.store(0, Ordering::Relaxed);
        self.deadline_passed.store(false, Ordering::Relaxed);
        self.sent.store(0, Ordering::Relaxed);
        self.let_pass();
    }

    /// Lets the request go on if its client leaves, for as long and for as many bytes of the
    /// answer.
    pub(super) fn wait_on(&self, patience: &Patience) {
        self.bytes_left.store(patience.bytes, Ordering::Relaxed);
        self.patience.store(whole_nanos(patience.time).max(1), Ordering::Release);
    }

    /// The request is over.
    pub(super) fn finish(&self) {
        self.wait_no_more();
        if self.counted.swap(false, Ordering::AcqRel) {
            ALONE.dec();
        }
    }

    /// Lets the request end when its client leaves.
    pub(super) fn wait_no_more(&self) {
        self.patience.store(0, Ordering::Release);
    }

    /// Ends the request with an error on the client's side after `wait`, unless it is called off.
    pub(super) fn set_deadline(&self, wait: Option<Duration>) {
        let deadline = wait.map_or(0, |wait| nanos().saturating_add(whole_nanos(wait)));
        self.deadline.store(deadline, Ordering::Release);
    }

    /// Returns true if the deadline was reached.
    pub(super) fn is_overdue(&self) -> bool {
        self.deadline_passed.load(Ordering::Acquire)
    }

    /// Returns true if the client has closed its sending side or the whole connection since the
    /// request began.
    pub(super) fn has_left(&self) -> bool {
        self.presence.load(Ordering::Acquire) != PRESENT
    }

    /// Returns true if nothing can be sent to the client any more.
    pub(super) fn is_gone(&self) -> bool {
        self.presence.load(Ordering::Acquire) == GONE
    }

    /// Returns true if the request was ended because it had gone on without its client for too
    /// long.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Acquire)
    }

    fn is_waited_for(&self) -> bool {
        self.patience.load(Ordering::Acquire) > 0
    }

    fn leave(&self, presence: u8) {
        if self.presence.fetch_max(presence, Ordering::AcqRel) == PRESENT {
            self.left_at.store(nanos(), Ordering::Release);
            if self.is_waited_for() && !self.counted.swap(true, Ordering::AcqRel) {
                ALONE.inc();
            }
        }
    }

    /// Time at which the request ends that goes on without its client.
    fn patience_ends(&self) -> u64 {
        self.left_at.load(Ordering::Acquire).saturating_add(self.patience.load(Ordering::Acquire))
    }

    /// Takes `count` bytes of an answer that nobody reads; false once that was enough.
    fn swallow(&self, count: usize) -> bool {
        let count = count as u64;
        let take = |left: u64| left.checked_sub(count);
        let is_taken = self.bytes_left.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok();
        let is_in_time = nanos() < self.patience_ends();
        if !(is_taken && is_in_time) {
            self.exhausted.store(true, Ordering::Release);
        }
        is_taken && is_in_time
    }

    /// The connection carries another protocol from now on and ends with its client.
    pub(super) fn upgrade(&self, is_websocket: bool) {
        self.is_websocket.store(is_websocket, Ordering::Release);
        self.wait_no_more();
        self.set_deadline(None);
        self.active_at.store(nanos(), Ordering::Release);
        self.upgraded.store(true, Ordering::Release);
    }

    /// Time since the last byte on an upgraded connection.
    pub(super) fn idle(&self) -> Duration {
        Duration::from_nanos(nanos().saturating_sub(self.active_at.load(Ordering::Acquire)))
    }

    /// Ends an upgraded connection.
    pub(super) fn end(&self, reason: End) {
        if self.end.compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            self.ended.wake();
        }
    }

    /// Ends an upgraded connection soon: what was recorded before has the time to go on.
    pub(super) fn ask_to_end(&self, reason: End) {
        if self.asked_end.load(Ordering::Acquire) == 0 {
            self.asked_at.store(nanos(), Ordering::Release);
            self.asked_end.store(reason as u8, Ordering::Release);
        }
    }

    /// The reason for which an upgraded connection is to end now, if somebody asked for it.
    pub(super) fn due_end(&self) -> Option<End> {
        let waited = nanos().saturating_sub(self.asked_at.load(Ordering::Acquire));
        End::of(self.asked_end.load(Ordering::Acquire)).filter(|_| waited >= whole_nanos(LAST_WORDS))
    }

    /// Counts the frames of a WebSocket that the client is sent from now on.
    pub(super) fn count_frames(&self, frames: Box<MeteredFrames>) {
        *locked(&self.counted_frames) = Some(frames);
        self.counts_frames.store(true, Ordering::Release);
    }

    /// Ends it even in the middle of a frame.
    pub(super) fn insist(&self) {
        self.insists.store(true, Ordering::Release);
        self.ended.wake();
    }

    /// Returns true if the gateway has ended an upgraded connection, and no frame to the client is
    /// waited for.
    pub(super) fn is_over(&self) -> bool {
        let waits = self.is_websocket.load(Ordering::Acquire)
            && !self.is_between_frames.load(Ordering::Acquire)
            && !self.insists.load(Ordering::Acquire);
        self.ended().is_some() && !waits
    }

    /// The bytes with which the client is told of the end of an upgraded connection, if there are
    /// any and it can be told.
    pub(crate) fn farewell(&self) -> Option<Vec<u8>> {
        let end = self.ended()?;
        let can_be_told = self.is_websocket.load(Ordering::Acquire) && self.is_between_frames.load(Ordering::Acquire);
        let (code, reason) = end.close();
        can_be_told.then(|| frames::close(code, reason))
    }

    /// Returns the reason for which the gateway ended an upgraded connection, if it did.
    pub(super) fn ended(&self) -> Option<End> {
        End::of(self.end.load(Ordering::Acquire))
    }

    /// Tells after a panic which request it was, and what its answer says of CORS.
    pub(super) fn set_failed_request(&self, request_id: &str, cors: Option<Grant>) {
        let mut rescued = locked(&self.rescued);
        request_id.clone_into(&mut rescued.request_id);
        rescued.cors = cors;
    }

    /// So many bytes went to the client. One that still takes bytes is only half gone: the wait
    /// begins anew.
    fn pass(&self, count: usize) {
        self.sent.fetch_add(count as u64, Ordering::Relaxed);
        if count > 0 && self.has_left() {
            self.left_at.store(nanos(), Ordering::Release);
        }
        self.touch();
    }

    fn touch(&self) {
        if self.upgraded.load(Ordering::Relaxed) {
            self.active_at.store(nanos(), Ordering::Relaxed);
        }
    }
}

/// Nanoseconds since the process first asked.
fn nanos() -> u64 {
    whole_nanos(START.elapsed())
}

fn whole_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
