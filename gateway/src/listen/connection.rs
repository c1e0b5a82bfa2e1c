//! One client's connection: its bytes, the request that is next, and what the client may keep the
//! gateway waiting for.
//!
//! Invariant: of the bytes that came, exactly one request is handed on at a time; what came behind
//! it is kept until it is answered. The buffer holds the header of one request and what came with
//! it, never more than the limits allow.

use std::{
    future::{Future as _, poll_fn},
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BytesMut};
use common::listen::{Alarm, Close, Connection as Open, Pace};
use pingora_core::protocols::Stream;
use tokio::{
    io::{AsyncRead as _, AsyncReadExt as _, ReadBuf},
    time::Instant,
};

use super::{
    Settings,
    body::BodyReader,
    head::{Head, HeadReader, Target},
    http2::PREFACE,
    refusal::Refused,
};
use crate::{
    answer::{Code, Problem},
    config::SizeLimits,
};

/// Room made for bytes that are read ahead of a request.
const READ_BYTES: usize = 4 * 1024;

/// Most bytes that are taken from a client behind the request that is being answered.
const AHEAD_MAX_BYTES: usize = 64 * 1024;

/// A connection with a client.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own about the connection")]
pub(crate) struct Connection {
    pub(super) stream: Stream,
    pub(super) settings: Settings,
    sizes: SizeLimits,
    pub(super) open: OpenConnection,
    buffer: BytesMut,
    reader: HeadReader,
    phase: Phase,
    /// The header of a request as it is handed on, where that is not as it came.
    rewritten: BytesMut,
    /// True once the client has ended its side.
    pub(super) has_ended: bool,
    /// True once nothing reaches the client any more.
    pub(super) is_broken: bool,
    /// True if the client may begin with the preface of HTTP/2.
    takes_http2: bool,
    /// True if the request may turn the connection over to another protocol.
    pub(super) upgrades: bool,
    alarm: Alarm,
    body: Pace,
    pub(super) send: Pace,
}

/// The count of an open connection, which has nothing to show.
pub(super) struct OpenConnection(pub(super) Open);

/// The part of the request that has been handed on.
#[derive(Debug)]
enum Phase {
    /// No request is known yet.
    Waiting,
    /// So many bytes of the header are to be handed on, and then a body.
    Head { left: usize, body: BodyReader },
    /// The body.
    Body(BodyReader),
    /// All of it.
    Done,
    /// Another protocol is spoken.
    Tunnel,
}

/// The next event on a connection.
pub(crate) enum Next {
    /// A request.
    Request,
    /// One that is refused.
    Refused(Refused),
    /// The preface of HTTP/2: [`Connection::into_parts`] gives the connection away.
    Http2,
    /// Nothing: the client is gone, has to go, or took too long.
    Nothing,
}

impl Connection {
    pub(crate) fn new(stream: Stream, open: Open, settings: Settings, sizes: SizeLimits) -> Self {
        Self {
            stream,
            settings,
            sizes,
            open: OpenConnection(open),
            buffer: BytesMut::new(),
            reader: HeadReader::default(),
            phase: Phase::Waiting,
            rewritten: BytesMut::new(),
            has_ended: false,
            is_broken: false,
            takes_http2: false,
            upgrades: false,
            alarm: Alarm::default(),
            body: Pace::new(settings.body),
            send: Pace::new(settings.send),
        }
    }

    /// Lets the client speak HTTP/2 with prior knowledge.
    pub(crate) fn take_http2(&mut self) {
        self.takes_http2 = true;
    }

    /// Gives the connection away, with the bytes that were read of it.
    pub(crate) fn into_parts(self) -> (Stream, BytesMut, Open) {
        (self.stream, self.buffer, self.open.0)
    }

    /// Waits for the header of the next request. `is_first`: none came before.
    pub(crate) async fn next(&mut self, is_first: bool) -> Next {
        self.phase = Phase::Waiting;
        self.reader = HeadReader::default();
        let mut since = None;
        let mut header_since = None;
        poll_fn(|context| self.poll_next(is_first, &mut since, &mut header_since, context)).await
    }

    fn poll_next(
        &mut self,
        is_first: bool,
        since: &mut Option<Instant>,
        header_since: &mut Option<Instant>,
        context: &mut Context<'_>,
    ) -> Poll<Next> {
        loop {
            if is_first && self.takes_http2 && self.buffer.starts_with(PREFACE) {
                return Poll::Ready(Next::Http2);
            }
            if !(self.buffer.is_empty() || is_first && self.takes_http2 && PREFACE.starts_with(&self.buffer)) {
                match self.reader.read(&self.buffer, &self.sizes) {
                    Ok(Some(head)) => {
                        self.begin(&head);
                        return Poll::Ready(Next::Request);
                    }
                    Ok(None) => {}
                    Err(problem) => return Poll::Ready(self.refuse(problem)),
                }
            }
            if self.has_ended {
                return Poll::Ready(self.ended());
            }
            match self.poll_fill(context) {
                Poll::Ready(Ok(0)) => self.has_ended = true,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => {
                    self.is_broken = true;
                    return Poll::Ready(Next::Nothing);
                }
                Poll::Pending => {
                    let since = *since.get_or_insert_with(|| {
                        self.open.0.waits();
                        Instant::now()
                    });
                    return self.poll_overdue(is_first, since, header_since, context);
                }
            }
        }
    }

    /// Ready once the client has to go or has waited too long.
    fn poll_overdue(
        &mut self,
        is_first: bool,
        since: Instant,
        header_since: &mut Option<Instant>,
        context: &mut Context<'_>,
    ) -> Poll<Next> {
        if self.open.0.poll_leave(context).is_ready() {
            return Poll::Ready(Next::Nothing);
        }
        let has_begun = !self.buffer.is_empty();
        let deadline = if has_begun {
            *header_since.get_or_insert_with(Instant::now) + self.settings.header
        } else if is_first {
            since + self.settings.header
        } else {
            since + self.settings.idle
        };
        ready!(self.alarm.poll(deadline, context));
        if !has_begun {
            self.open.0.metrics().closed(Close::Idle);
            return Poll::Ready(Next::Nothing);
        }
        self.open.0.metrics().closed(Close::HeaderTimeout);
        let seconds = self.settings.header.as_secs_f64();
        let detail = format!("the header of the request was not complete within {seconds} s");
        Poll::Ready(self.refuse(Problem::new(Code::RequestTimeout, detail)))
    }

    /// The meaning of a client's end before its request is complete.
    fn ended(&mut self) -> Next {
        if self.buffer.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            return Next::Nothing;
        }
        self.refuse(Problem::new(Code::InvalidRequest, "the request ended in the middle of its header"))
    }

    fn refuse(&self, problem: Problem) -> Next {
        Next::Refused(Refused { problem, is_head: self.reader.is_head() })
    }

    /// Reads on into the buffer.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.buffer.reserve(READ_BYTES);
        pin!(self.stream.read_buf(&mut self.buffer)).poll(context)
    }

    /// A request has come.
    fn begin(&mut self, head: &Head) {
        self.open.0.asked();
        self.buffer.advance(head.skipped);
        self.upgrades = head.upgrades;
        self.rewritten.clear();
        let mut left = head.length;
        if let Target::Absolute { scheme, host } = head.target {
            super::rewrite::to_origin_form(&self.buffer[..head.length], head.method, scheme, host, &mut self.rewritten);
            self.buffer.advance(head.length);
            left = self.rewritten.len();
        }
        self.body.restart();
        self.send.restart();
        self.phase = Phase::Head { left, body: BodyReader::new(head.framing) };
    }

    /// Returns true if the request has been read to its end.
    pub(crate) const fn is_read(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// Returns true if the client may still send what belongs to a request. Another protocol has an
    /// end of its own.
    pub(super) fn has_more(&self) -> bool {
        let is_over = matches!(self.phase, Phase::Done | Phase::Tunnel);
        !(self.has_ended || is_over && self.buffer.is_empty())
    }

    /// From now on, bytes pass as they are.
    pub(super) fn become_tunnel(&mut self) {
        self.phase = Phase::Tunnel;
    }

    /// Another protocol is not spoken any more, and the client may still send.
    pub(super) fn end_tunnel(&mut self) {
        self.phase = Phase::Waiting;
    }

    /// Hands on what comes next of the request; nothing more while it is being answered.
    pub(super) fn poll_request(&mut self, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.phase {
            Phase::Head { left, .. } => {
                let source = if self.rewritten.is_empty() { &mut self.buffer } else { &mut self.rewritten };
                let taken = hand_on(source, *left, into);
                *left -= taken;
                self.end_head();
                Poll::Ready(Ok(()))
            }
            Phase::Body(_) => self.poll_body(context, into),
            Phase::Tunnel if !self.buffer.is_empty() => {
                let all = self.buffer.len();
                hand_on(&mut self.buffer, all, into);
                Poll::Ready(Ok(()))
            }
            Phase::Tunnel => Pin::new(&mut self.stream).poll_read(context, into),
            Phase::Waiting | Phase::Done => self.poll_ahead(context),
        }
    }

    fn end_head(&mut self) {
        let phase = std::mem::replace(&mut self.phase, Phase::Done);
        self.phase = match phase {
            Phase::Head { left: 0, body: BodyReader::Done } => Phase::Done,
            Phase::Head { left: 0, body } => Phase::Body(body),
            unchanged => unchanged,
        };
    }

    fn poll_body(&mut self, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Phase::Body(body) = &mut self.phase else {
            return Poll::Ready(Ok(()));
        };
        let room = into.remaining().min(body.readable());
        if room == 0 {
            return Poll::Ready(Ok(()));
        }
        let before = into.filled().len();
        if self.buffer.is_empty() {
            let mut direct = ReadBuf::new(into.initialize_unfilled_to(room));
            match Pin::new(&mut self.stream).poll_read(context, &mut direct) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.is_broken = true;
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => {
                    ready!(self.body.poll_too_slow(context));
                    self.open.0.metrics().closed(Close::BodyTimeout);
                    return Poll::Ready(Err(too_slow()));
                }
            }
            let came = direct.filled().len();
            if came == 0 {
                self.has_ended = true;
                return Poll::Ready(Err(Refused::early_end()));
            }
            into.advance(came);
            self.body.moved(came);
        } else {
            hand_on(&mut self.buffer, room, into);
        }
        let taken = body.advance(&into.filled()[before..]).map_err(Refused::error)?;
        // What came behind the body belongs to the next request.
        self.give_back(into, before + taken);
        if let Phase::Body(BodyReader::Done) = self.phase {
            self.phase = Phase::Done;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes back what was handed on beyond this.
    fn give_back(&mut self, into: &mut ReadBuf<'_>, end: usize) {
        let behind = &into.filled()[end..];
        if behind.is_empty() {
            return;
        }
        if self.buffer.is_empty() {
            self.buffer.extend_from_slice(behind);
        } else {
            let mut joined = BytesMut::with_capacity(behind.len() + self.buffer.len());
            joined.extend_from_slice(behind);
            joined.extend_from_slice(&self.buffer);
            self.buffer = joined;
        }
        into.set_filled(end);
    }

    /// Watches a client whose request is being answered. An error if it is gone; the end of what it
    /// sends, if it has sent nothing more: whether it waits for the answer is for the request's
    /// owner to decide.
    fn poll_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.has_ended && self.buffer.len() < AHEAD_MAX_BYTES {
            match ready!(self.poll_fill(context)) {
                Ok(0) => self.has_ended = true,
                Ok(_) => {}
                Err(error) => {
                    self.is_broken = true;
                    return Poll::Ready(Err(error));
                }
            }
        }
        if self.has_ended && self.buffer.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

/// Moves at most so many bytes on; how many.
fn hand_on(from: &mut BytesMut, most: usize, into: &mut ReadBuf<'_>) -> usize {
    let taken = most.min(from.len()).min(into.remaining());
    into.put_slice(&from[..taken]);
    from.advance(taken);
    taken
}

fn too_slow() -> io::Error {
    Refused::error(Problem::new(Code::RequestTimeout, "the request body took too long to arrive"))
}

impl std::fmt::Debug for OpenConnection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("OpenConnection")
    }
}
