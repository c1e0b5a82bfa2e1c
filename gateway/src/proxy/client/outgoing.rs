//! Frames to a client of a WebSocket that is billed by what passes on it: they are counted before
//! they are sent.
//!
//! Invariant: what was counted is sent in the order in which it came, before anything else.

use std::{
    io,
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BufMut as _, BytesMut};
use tokio::io::AsyncWrite as _;

use super::{ClientStream, MeteredFrames};
use crate::lock::locked;

/// The frames to a client that are counted.
pub(super) struct Outgoing {
    frames: Box<MeteredFrames>,
    /// Bytes that were counted and are not sent yet.
    unsent: BytesMut,
}

impl Outgoing {
    /// Returns true if all that was counted is sent.
    pub(super) fn is_sent(&self) -> bool {
        self.unsent.is_empty()
    }
}

impl ClientStream {
    /// Returns true if the frames to the client are counted.
    pub(super) fn counts_frames(&mut self) -> bool {
        if self.outgoing.is_none() && self.client.counts_frames.load(Ordering::Acquire) {
            let frames = locked(&self.client.counted_frames).take();
            self.outgoing = frames.map(|frames| Outgoing { frames, unsent: BytesMut::new() });
        }
        self.outgoing.is_some()
    }

    /// Sends what was counted.
    pub(super) fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(outgoing) = self.outgoing.as_mut().filter(|outgoing| !outgoing.is_sent()) {
            let outcome = ready!(Pin::new(&mut self.inner).poll_write(context, &outgoing.unsent));
            match self.written(outcome, 0)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent(count),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn sent(&mut self, count: usize) {
        let Some(outgoing) = &mut self.outgoing else { return };
        let bytes = outgoing.unsent.split_to(count);
        self.follow(&bytes);
    }

    /// Takes as many of the bytes as may go on now. Waits for units if they are on their way; if
    /// there are none, waits for the end of the connection.
    pub(super) fn poll_write_counted(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(context))?;
        let Some(outgoing) = &mut self.outgoing else {
            return Poll::Ready(Ok(0));
        };
        match ready!(outgoing.frames.poll_pass(bytes, context)) {
            Ok(passed) => {
                outgoing.unsent.put_slice(passed.before());
                outgoing.unsent.put_slice(&bytes[..passed.until]);
                if outgoing.unsent.has_remaining() {
                    self.client.is_between_frames.store(false, Ordering::Release);
                }
                // What does not go out now does before the next bytes.
                if let Poll::Ready(Err(error)) = self.poll_send(context) {
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Ok(passed.taken))
            }
            Err(end) => {
                self.client.ask_to_end(end);
                Poll::Pending
            }
        }
    }
}
