//! The time that a route gives each part of a request.
//!
//! Pingora bounds each read from the upstream by one time for header and body alike. The shorter
//! one of the two, the time for the whole request, and the deadline of a call of gRPC end the
//! request from the client's side.

use pingora_core::upstreams::peer::PeerOptions;

use super::context::Context;
use crate::route::{RouteSettings, Timeouts};

/// The part of a request that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Until all of the request was sent.
    Request,
    /// Until the header of the answer.
    Header,
    /// Until the next part of the answer's body.
    Body,
    /// Nothing is left.
    End,
}

/// Bounds what the connection to the upstream takes.
pub(super) fn bound(options: &mut PeerOptions, route: &RouteSettings) {
    let Some(Timeouts { connect, first_byte, between_bytes, .. }) = route.timeouts else { return };
    if connect.is_some() {
        options.connection_timeout = connect;
        options.total_connection_timeout = connect;
    }
    if let Some(silence) = options.read_timeout {
        options.read_timeout = Some(first_byte.unwrap_or(silence).max(between_bytes.unwrap_or(silence)));
    }
}

impl Context {
    /// Bounds the time for a part of the request that begins now.
    pub(super) fn begin(&self, part: Part) {
        let Some(client) = self.client.as_ref().filter(|_| self.upgrade.is_none()) else { return };
        let call = self.call.and_then(|call| call.left());
        let Some(Timeouts { first_byte, between_bytes, total, .. }) =
            self.route.as_ref().and_then(|route| route.timeouts)
        else {
            // The deadline of a call stays where it is.
            if part == Part::Request && call.is_some() {
                client.set_deadline(call);
            }
            return;
        };
        let of_part = match part {
            Part::Request => None,
            Part::Header => first_byte,
            Part::Body => between_bytes,
            Part::End => return client.set_deadline(None),
        };
        let left = total.map(|total| total.saturating_sub(self.started.elapsed()));
        client.set_deadline(of_part.into_iter().chain(left).chain(call).min());
    }
}
