//! The bytes of an HTTP/2 connection, watched on their way: how many frames of a kind come, whether
//! a header is complete, and whether the client reads.
//!
//! Invariant: a client that spends more than its budget is not read from any more.

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BytesMut};
use common::listen::{Close, ListenerMetrics, Pace, Rate};
use pingora_core::protocols::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    budget::Budget,
    frames::{FrameReader, GOAWAY, HEADER_BYTES, Kind},
    metrics::Ended,
};

/// Requests that a client may take back in a burst.
const RESETS_BURST: u32 = 200;

/// Frames without a part of a request that may come in a burst, and in each second beyond that.
const CONTROL_FRAMES_BURST: u32 = 2_000;
const CONTROL_FRAMES_PER_SECOND: u32 = 500;

/// Most bytes that are read, and thrown away, once the gateway has ended the connection.
const LINGER_MAX_BYTES: usize = 16 << 20;

/// Bytes that are thrown away at once.
const LINGER_READ_BYTES: usize = 16 * 1024;

/// Bytes of a GOAWAY without a text.
const GO_AWAY_BYTES: usize = HEADER_BYTES + 8;

/// Last bytes that are kept: room for a GOAWAY with the longest text of the library.
const LAST_BYTES: usize = 64;

const NO_VERDICT: u8 = 0;
const TOO_MANY_RESETS: u8 = 1;
const TOO_MANY_CONTROL_FRAMES: u8 = 2;

/// Findings about a connection, for its owner.
#[derive(Debug, Default)]
pub(super) struct Findings {
    verdict: AtomicU8,
    is_in_header: AtomicBool,
    is_closing: AtomicBool,
    said: OnceLock<Ended>,
}

/// A client's stream, as the protocol's library reads and writes it.
pub(super) struct Guard {
    stream: Stream,
    /// Bytes that were read before the protocol was known.
    ahead: BytesMut,
    frames: FrameReader,
    resets: Budget,
    control: Budget,
    /// Bytes sent that have not earned the client any frames yet.
    earned: u64,
    send: Pace,
    metrics: ListenerMetrics,
    findings: Arc<Findings>,
    linger: Linger,
    last: LastBytes,
}

/// The last bytes that were sent.
#[derive(Debug)]
struct LastBytes([u8; LAST_BYTES]);

#[derive(Debug)]
enum Linger {
    No,
    /// So many more bytes are read.
    Left(usize),
}

impl Findings {
    /// The reason to end the connection, if the client gave one.
    pub(super) fn verdict(&self) -> Option<Ended> {
        match self.verdict.load(Ordering::Relaxed) {
            NO_VERDICT => None,
            TOO_MANY_RESETS => Some(Ended::Resets),
            _ => Some(Ended::ControlFrames),
        }
    }

    /// Returns true if a header has begun and is not complete.
    pub(super) fn is_in_header(&self) -> bool {
        self.is_in_header.load(Ordering::Relaxed)
    }

    /// The reason that the gateway gave for the end of the connection.
    pub(super) fn said(&self) -> Option<Ended> {
        self.said.get().copied()
    }

    /// Returns true once the gateway has said all that it has to say.
    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Relaxed)
    }
}

impl Guard {
    pub(super) fn new(
        stream: Stream,
        ahead: BytesMut,
        send: Rate,
        resets_per_second: u32,
        metrics: ListenerMetrics,
    ) -> (Self, Arc<Findings>) {
        let findings = Arc::<Findings>::default();
        let guard = Self {
            stream,
            ahead,
            frames: FrameReader::new(),
            resets: Budget::new(RESETS_BURST, resets_per_second),
            control: Budget::new(CONTROL_FRAMES_BURST, CONTROL_FRAMES_PER_SECOND),
            earned: 0,
            send: Pace::new(send),
            metrics,
            findings: Arc::clone(&findings),
            linger: Linger::No,
            last: LastBytes([0; LAST_BYTES]),
        };
        (guard, findings)
    }

    /// Looks at bytes that have come.
    fn watch(&mut self, bytes: &[u8]) {
        let Self { frames, resets, control, earned, findings, .. } = self;
        // Bytes earn for control frames only: each reset costs the upstream a request.
        let mut nothing = 0;
        frames.read(bytes, |kind| {
            let verdict = match kind {
                Kind::Reset if !resets.take(&mut nothing) => TOO_MANY_RESETS,
                Kind::Control if !control.take(earned) => TOO_MANY_CONTROL_FRAMES,
                _ => return,
            };
            // The first reason counts.
            let _ = findings.verdict.compare_exchange(NO_VERDICT, verdict, Ordering::Relaxed, Ordering::Relaxed);
        });
        findings.is_in_header.store(frames.is_in_header(), Ordering::Relaxed);
    }

    /// The outcome of a write; an error if the client has not read for too long.
    fn paced(&mut self, outcome: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match outcome {
            Poll::Ready(Ok(bytes)) => {
                self.send.moved(bytes);
                self.earned = self.earned.saturating_add(bytes as u64);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                ready!(self.send.poll_too_slow(context));
                self.metrics.closed(Close::SendTimeout);
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answers")))
            }
        }
    }
}

impl LastBytes {
    fn push(&mut self, bytes: &[u8]) {
        let new = &bytes[bytes.len().saturating_sub(LAST_BYTES)..];
        self.0.copy_within(new.len().., 0);
        self.0[LAST_BYTES - new.len()..].copy_from_slice(new);
    }

    /// The reason in the GOAWAY that these bytes end with, if they do.
    fn go_away(&self) -> Option<Ended> {
        (0..=LAST_BYTES - GO_AWAY_BYTES).find_map(|text| {
            let frame = &self.0[LAST_BYTES - GO_AWAY_BYTES - text..];
            let length = u8::try_from(GO_AWAY_BYTES - HEADER_BYTES + text).ok()?;
            let is_go_away = frame[..HEADER_BYTES] == [0, 0, length, GOAWAY, 0, 0, 0, 0, 0];
            let code: [u8; 4] = frame[GO_AWAY_BYTES - 4..GO_AWAY_BYTES].try_into().ok()?;
            is_go_away.then(|| Ended::said(u32::from_be_bytes(code), &frame[GO_AWAY_BYTES..])).flatten()
        })
    }
}

impl AsyncRead for Guard {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.findings.verdict().is_some() {
            // Its owner, who reads at the moment, looks at the verdict next.
            return Poll::Pending;
        }
        let before = into.filled().len();
        if this.ahead.is_empty() {
            ready!(Pin::new(&mut this.stream).poll_read(context, into))?;
        } else {
            let taken = this.ahead.len().min(into.remaining());
            into.put_slice(&this.ahead[..taken]);
            this.ahead.advance(taken);
        }
        this.watch(&into.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guard {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(written)) = &outcome {
            self.last.push(&bytes[..*written]);
        }
        self.paced(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        if let Poll::Ready(Ok(written)) = &outcome {
            let mut left = *written;
            for slice in slices {
                let taken = left.min(slice.len());
                self.last.push(&slice[..taken]);
                left -= taken;
            }
        }
        self.paced(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        self.paced(outcome.map_ok(|()| 0), context).map_ok(|_| ())
    }

    /// Ends the gateway's side, and reads what the client still sends: a socket that is closed
    /// while bytes are unread is reset, and the reset destroys the last answer on its way. The
    /// connection's owner bounds the time.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Linger::No = this.linger {
            ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
            this.linger = Linger::Left(LINGER_MAX_BYTES);
            this.findings.is_closing.store(true, Ordering::Relaxed);
            if let Some(said) = this.last.go_away() {
                let _ = this.findings.said.set(said);
            }
        }
        let mut bytes = [0; LINGER_READ_BYTES];
        while let Linger::Left(left @ 1..) = &mut this.linger {
            let mut thrown_away = ReadBuf::new(&mut bytes);
            match Pin::new(&mut this.stream).poll_read(context, &mut thrown_away) {
                Poll::Ready(Ok(())) if !thrown_away.filled().is_empty() => {
                    *left = left.saturating_sub(thrown_away.filled().len());
                }
                Poll::Ready(_) => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Guard").field("frames", &self.frames).finish_non_exhaustive()
    }
}
