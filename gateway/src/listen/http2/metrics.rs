//! Metrics of HTTP/2: connections that are open, and those and streams that the gateway ended.

use std::sync::LazyLock;

use prometheus::{IntCounterVec, IntGauge};

use crate::metrics;

/// The reason for which the gateway ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The client took back too many requests.
    Resets,
    /// The client sent too many frames that carry no part of a request.
    ControlFrames,
    /// The header of a request came in too many frames.
    Continuations,
    /// Too many frames with too little in them.
    DataFrames,
    /// The header of a request grew far beyond the limit when it was unpacked.
    Headers,
    /// Too many requests broke a rule of the protocol.
    Malformed,
    /// The connection itself broke a rule of the protocol.
    Protocol,
    /// Another bound of the protocol's library.
    Other,
}

/// The reason for which the gateway ended a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEnded {
    /// The body of the request came too slowly.
    Body,
    /// The client took the answer too slowly.
    Send,
}

impl Ended {
    const ALL: [Self; 8] = [
        Self::Resets,
        Self::ControlFrames,
        Self::Continuations,
        Self::DataFrames,
        Self::Headers,
        Self::Malformed,
        Self::Protocol,
        Self::Other,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Resets => "resets",
            Self::ControlFrames => "control_frames",
            Self::Continuations => "continuations",
            Self::DataFrames => "data_frames",
            Self::Headers => "headers",
            Self::Malformed => "malformed",
            Self::Protocol => "protocol",
            Self::Other => "other",
        }
    }

    /// The reason that the gateway gave with a GOAWAY; none if it ended the connection in order.
    /// The protocol's library names the bound that was reached in the text, and nowhere else.
    pub(super) fn said(code: u32, text: &[u8]) -> Option<Self> {
        let bounds: [(&[u8], Self); 5] = [
            (b"too_many_continuations", Self::Continuations),
            (b"too_many_data_frames", Self::DataFrames),
            (b"header_list_way_too_large", Self::Headers),
            (b"too_many_internal_resets", Self::Malformed),
            (b"too_many_resets", Self::Resets),
        ];
        match h2::Reason::from(code) {
            h2::Reason::NO_ERROR => None,
            h2::Reason::ENHANCE_YOUR_CALM => {
                let named = bounds.into_iter().find(|(name, _)| *name == text);
                Some(named.map_or(Self::Other, |(_, ended)| ended))
            }
            _ => Some(Self::Protocol),
        }
    }
}

struct Family {
    open: IntGauge,
    ended: IntCounterVec,
    streams: IntCounterVec,
}

static FAMILY: LazyLock<Family> = LazyLock::new(|| {
    let ended = metrics::counters(
        "tollgate_http2_connections_ended_total",
        "HTTP/2 connections that the gateway ended because of what their client sent: resets (too many requests taken \
         back), control_frames, continuations, data_frames (too many small ones), headers (a header far beyond the limit), malformed (too many requests), \
         protocol (a broken rule), other",
        &["reason"],
    );
    let streams = metrics::counters(
        "tollgate_http2_streams_ended_total",
        "HTTP/2 streams that the gateway ended because their client was too slow: body_timeout, send_timeout",
        &["reason"],
    );
    for reason in Ended::ALL {
        ended.with_label_values(&[reason.as_str()]);
    }
    for reason in [StreamEnded::Body, StreamEnded::Send] {
        streams.with_label_values(&[reason.as_str()]);
    }
    Family {
        open: metrics::gauge("tollgate_http2_connections", "Connections of clients that speak HTTP/2"),
        ended,
        streams,
    }
});

impl StreamEnded {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Body => "body_timeout",
            Self::Send => "send_timeout",
        }
    }
}

/// Connections that are open.
pub(crate) fn open() -> &'static IntGauge {
    &FAMILY.open
}

/// Counts a connection that the gateway ended.
pub(super) fn ended(reason: Ended) {
    FAMILY.ended.with_label_values(&[reason.as_str()]).inc();
}

/// Counts a stream that the gateway ended.
pub(crate) fn stream_ended(reason: StreamEnded) {
    FAMILY.streams.with_label_values(&[reason.as_str()]).inc();
}
