//! One stream of an HTTP/2 client as Pingora's session: like a client's connection of HTTP/1.1, it
//! can outlive its client.
//!
//! Pingora's own session for HTTP/2 ends a request as soon as its client takes it back. This one
//! asks [`Client`] first, bounds the time for body and answer, and sends interim answers. A client
//! that takes its request back and one whose connection is lost look the same here: nothing can be
//! sent to either any more.

mod session;

use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use common::listen::{Alarm, Pace, http::Deadlines};
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http::{HeaderMap, Method, StatusCode, header, request::Parts};
use pingora_core::{
    Error, ErrorType, Result,
    protocols::{
        Digest,
        http::{HttpTask, date::get_cached_date},
    },
};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::time::Instant;

use super::{Client, GONE, START};
use crate::{
    answer::{
        Code, Problem,
        grpc::{Shape, status_in},
    },
    listen::{
        Refused,
        http2::{
            metrics::{StreamEnded, stream_ended},
            response,
        },
    },
    lock::locked,
};

/// Most bytes of a body that are kept for another attempt, as many as Pingora keeps of one of
/// HTTP/1.1.
const RETRY_MAX_BYTES: usize = 64 * 1024;

/// A stream: one request and its answer.
pub(crate) struct Http2Stream {
    request: RequestHeader,
    body: RecvStream,
    /// Taken only by [`Drop`].
    respond: Option<SendResponse<Bytes>>,
    sending: Option<SendStream<Bytes>>,
    client: Arc<Client>,
    digest: Arc<Digest>,
    /// The form in which its client reads problems.
    shape: Shape,
    written: Option<Box<ResponseHeader>>,
    /// True once the end of the answer was sent.
    has_ended: bool,
    /// True once all of the body was read.
    is_read: bool,
    received: usize,
    sent: usize,
    body_pace: Pace,
    send_pace: Pace,
    retry: Retry,
    alarm: Alarm,
}

/// The part of the body that another attempt would send again.
#[derive(Default)]
enum Retry {
    #[default]
    Off,
    Kept(BytesMut),
    TooLarge,
}

impl Http2Stream {
    /// A request of `client`, and what it is answered on.
    pub(crate) fn new(
        mut request: Parts,
        body: RecvStream,
        respond: SendResponse<Bytes>,
        client: Arc<Client>,
        digest: Arc<Digest>,
        deadlines: &Deadlines,
    ) -> Self {
        request.extensions.insert(Arc::clone(&client));
        let shape = Shape::for_client(request.version, &request.headers);
        Self {
            request: RequestHeader::from(request),
            body,
            respond: Some(respond),
            sending: None,
            client,
            digest,
            shape,
            written: None,
            has_ended: false,
            is_read: false,
            received: 0,
            sent: 0,
            body_pace: Pace::new(deadlines.body),
            send_pace: Pace::new(deadlines.send),
            retry: Retry::Off,
            alarm: Alarm::default(),
        }
    }

    /// Gives the next part of the body, if `wants_body`, and fails once the client is gone.
    fn poll_client(&mut self, wants_body: bool, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        if self.client.has_left() && self.client.is_waited_for() {
            return self.poll_patience(context);
        }
        if wants_body {
            match self.body.poll_data(context) {
                Poll::Ready(Some(Ok(bytes))) => return Poll::Ready(Ok(Some(self.take(bytes)))),
                Poll::Ready(Some(Err(error))) => return self.poll_gone(&error, context),
                Poll::Ready(None) => {
                    self.is_read = true;
                    return Poll::Ready(Ok(None));
                }
                Poll::Pending if self.body_pace.poll_too_slow(context).is_ready() => {
                    stream_ended(StreamEnded::Body);
                    return Poll::Ready(Err(too_slow()));
                }
                Poll::Pending => {}
            }
        } else if let Poll::Ready(outcome) = self.poll_reset(context) {
            let error = outcome.map_or_else(|error| error, h2::Error::from);
            return self.poll_gone(&error, context);
        }
        self.poll_deadline(context).map(Err)
    }

    fn take(&mut self, bytes: Bytes) -> Bytes {
        // Fails only for a stream that is reset, whose bytes count no more.
        let _ = self.body.flow_control().release_capacity(bytes.len());
        self.received += bytes.len();
        self.body_pace.moved(bytes.len());
        match &mut self.retry {
            Retry::Kept(kept) if kept.len() + bytes.len() <= RETRY_MAX_BYTES => kept.extend_from_slice(&bytes),
            Retry::Kept(_) => self.retry = Retry::TooLarge,
            Retry::Off | Retry::TooLarge => {}
        }
        bytes
    }

    fn poll_reset(&mut self, context: &mut Context<'_>) -> Poll<std::result::Result<Reason, h2::Error>> {
        match (&mut self.sending, &mut self.respond) {
            (Some(sending), _) => sending.poll_reset(context),
            (None, Some(respond)) => respond.poll_reset(context),
            (None, None) => Poll::Pending,
        }
    }

    /// The client is gone: an error, unless the request goes on without it.
    fn poll_gone(&mut self, error: &h2::Error, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        self.client.leave(GONE);
        if self.client.is_waited_for() { self.poll_patience(context) } else { Poll::Ready(Err(gone(error))) }
    }

    /// Never gives anything; fails once the request has gone on without its client for long enough.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        ready!(self.alarm.poll(instant(self.client.patience_ends()), context));
        self.client.exhausted.store(true, Ordering::Release);
        let error = Error::explain(ErrorType::ConnectionClosed, "the client has left, and the wait is over");
        Poll::Ready(Err(error.into_down()))
    }

    /// Ready once the deadline of the request is reached.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<Box<Error>> {
        let deadline = self.client.deadline.load(Ordering::Acquire);
        if deadline == 0 {
            return Poll::Pending;
        }
        ready!(self.alarm.poll(instant(deadline), context));
        self.client.deadline_passed.store(true, Ordering::Release);
        Poll::Ready(Error::explain(ErrorType::ReadTimedout, "the upstream has not answered in time").into_down())
    }

    /// Returns true if an answer is read to its end for a client that is gone.
    fn swallows(&self) -> bool {
        self.client.is_gone() && self.client.is_waited_for()
    }

    fn swallow(&self, count: usize) -> Result<()> {
        if self.client.swallow(count) {
            return Ok(());
        }
        let reason = "the client has left, and enough was read of its answer";
        Err(Error::explain(ErrorType::WriteError, reason).into_down())
    }

    /// Nothing reaches the client any more. That is no failure while the request goes on without
    /// it.
    fn lost(&self, error: &h2::Error) -> Result<()> {
        self.client.leave(GONE);
        if self.swallows() { Ok(()) } else { Err(gone(error)) }
    }

    fn send_header(&mut self, mut header: Box<ResponseHeader>, is_last: bool) -> Result<()> {
        if self.written.is_some() || self.has_ended {
            return Ok(());
        }
        if header.status.is_informational() {
            return self.send_interim(&header);
        }
        if !header.headers.contains_key(header::DATE) {
            header.insert_header(header::DATE, get_cached_date())?;
        }
        let is_last = is_last || self.has_no_body(&header);
        self.has_ended = is_last;
        // Of what was written, only the status is asked for: a copy of all headers would be for
        // nobody.
        self.written = Some(Box::new(ResponseHeader::build_no_case(header.status, Some(0))?));
        if !self.swallows()
            && let Some(respond) = &mut self.respond
        {
            match respond.send_response(response(*header), is_last) {
                Ok(sending) => self.sending = Some(sending),
                Err(error) => self.lost(&error)?,
            }
        }
        Ok(())
    }

    /// Sends an answer that another one follows. A 101 has no meaning in HTTP/2.
    fn send_interim(&mut self, header: &ResponseHeader) -> Result<()> {
        if header.status == StatusCode::SWITCHING_PROTOCOLS || self.swallows() {
            return Ok(());
        }
        match self.respond.as_mut().map(|respond| respond.send_informational(response(header.clone()))) {
            Some(Err(error)) => self.lost(&error),
            _ => Ok(()),
        }
    }

    /// Returns true if nothing follows the header. A call of gRPC that ends in its header must end
    /// there: its client reads no trailers.
    fn has_no_body(&self, header: &ResponseHeader) -> bool {
        self.request.method == Method::HEAD
            || matches!(header.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || self.shape == Shape::Grpc && status_in(&header.headers).is_some()
    }

    async fn send_body(&mut self, mut data: Bytes, is_last: bool) -> Result<()> {
        if self.has_ended {
            return Ok(());
        }
        if self.written.is_none() {
            return Error::e_explain(ErrorType::InternalError, "a body before its header");
        }
        while !data.is_empty() {
            let Some(room) = poll_fn(|context| self.poll_room(data.len(), context)).await? else {
                // Nobody reads it.
                self.sent += data.len();
                self.has_ended = is_last;
                return self.swallow(data.len());
            };
            let part = data.split_to(room.min(data.len()));
            let count = part.len();
            let ends = is_last && data.is_empty();
            if let Some(sending) = &mut self.sending
                && let Err(error) = sending.send_data(part, ends)
            {
                self.lost(&error)?;
            }
            self.sent += count;
            self.send_pace.moved(count);
            self.client.pass(count);
            self.has_ended = ends;
        }
        if is_last { self.end() } else { Ok(()) }
    }

    /// Waits for bytes that the client takes; none if nobody is there and the request goes on.
    fn poll_room(&mut self, wanted: usize, context: &mut Context<'_>) -> Poll<Result<Option<usize>>> {
        if self.swallows() {
            return Poll::Ready(Ok(None));
        }
        if let Err(error) = ready!(self.client.poll_held(context)) {
            return Poll::Ready(Err(Error::because(ErrorType::WriteError, "while sending", error).into_down()));
        }
        let Some(sending) = &mut self.sending else {
            return Poll::Ready(Err(gone(&Reason::CANCEL.into())));
        };
        sending.reserve_capacity(wanted);
        let error = match sending.poll_capacity(context) {
            Poll::Ready(Some(Ok(room))) if room > 0 => return Poll::Ready(Ok(Some(room))),
            Poll::Ready(Some(Err(error))) => error,
            Poll::Ready(None) => Reason::CANCEL.into(),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {
                if let Poll::Ready(error) = self.poll_deadline(context) {
                    return Poll::Ready(Err(error));
                }
                ready!(self.send_pace.poll_too_slow(context));
                stream_ended(StreamEnded::Send);
                self.client.leave(GONE);
                let reason = "the client does not read its answer";
                return Poll::Ready(Err(Error::explain(ErrorType::WriteTimedout, reason).into_down()));
            }
        };
        Poll::Ready(self.lost(&error).map(|()| None))
    }

    fn send_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        if std::mem::replace(&mut self.has_ended, true) || self.swallows() {
            return Ok(());
        }
        match self.sending.as_mut().map(|sending| sending.send_trailers(trailers)) {
            Some(Err(error)) => self.lost(&error),
            _ => Ok(()),
        }
    }

    /// Ends the answer, if it has begun.
    fn end(&mut self) -> Result<()> {
        if self.written.is_none() || std::mem::replace(&mut self.has_ended, true) || self.swallows() {
            return Ok(());
        }
        match self.sending.as_mut().map(|sending| sending.send_data(Bytes::new(), true)) {
            Some(Err(error)) => self.lost(&error),
            _ => Ok(()),
        }
    }

    /// Gives the stream up: the client must not take what it has for a whole answer.
    fn reset(&mut self) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        match (&mut self.sending, &mut self.respond) {
            (Some(sending), _) => sending.send_reset(Reason::INTERNAL_ERROR),
            (None, Some(respond)) => respond.send_reset(Reason::INTERNAL_ERROR),
            (None, None) => {}
        }
    }

    async fn write_task(&mut self, task: HttpTask) -> Result<bool> {
        match task {
            HttpTask::Header(header, end) => self.send_header(header, end).map(|()| end),
            HttpTask::Body(Some(data), end) if !data.is_empty() => self.send_body(data, end).await.map(|()| end),
            HttpTask::Body(_, end) => Ok(end),
            HttpTask::UpgradedBody(..) => {
                Error::e_explain(ErrorType::InternalError, "an upgraded connection in a stream of HTTP/2")
            }
            HttpTask::Trailer(Some(trailers)) => self.send_trailers(*trailers).map(|()| true),
            HttpTask::Trailer(None) | HttpTask::Done => Ok(true),
            HttpTask::Failed(error) => Err(error),
        }
    }
}

/// The error of a client that is gone.
#[expect(clippy::unnecessary_box_returns, reason = "Pingora's results have boxed errors")]
fn gone(error: &h2::Error) -> Box<Error> {
    Error::explain(ErrorType::ConnectionClosed, format!("the client is gone: {error}")).into_down()
}

#[expect(clippy::unnecessary_box_returns, reason = "Pingora's results have boxed errors")]
fn too_slow() -> Box<Error> {
    let problem = Problem::new(Code::RequestTimeout, "the request body took too long to arrive");
    Error::because(ErrorType::ReadTimedout, "while reading the body", Refused::error(problem)).into_down()
}

/// A time of [`super::nanos`].
fn instant(nanos: u64) -> Instant {
    Instant::from_std(*START + Duration::from_nanos(nanos))
}

impl Drop for Http2Stream {
    /// A panic drops the stream with the request. It is kept, so that the client can be told.
    fn drop(&mut self) {
        if std::thread::panicking() && self.written.is_none() {
            locked(&self.client.rescued).http2 = self.respond.take().map(|respond| (respond, self.shape));
        } else if self.written.is_some() {
            self.reset();
        }
    }
}
