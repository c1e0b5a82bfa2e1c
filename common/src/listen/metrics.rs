//! Metrics of a listener: connections that are open, were refused, or were closed early.

use std::sync::OnceLock;

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, core::Collector, default_registry};

/// The reason why a connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There are as many connections as there may be, and each has a request under way.
    Full,
    /// Its address has as many connections as it may, and each has a request under way.
    Address,
}

/// The reason why a connection was closed that its client did not ask to close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// It waited for a request and gave way to a new connection.
    Displaced,
    /// No request came for the idle timeout.
    Idle,
    /// The header of a request was not complete in time.
    HeaderTimeout,
    /// The body of a request came too slowly.
    BodyTimeout,
    /// The client read its answer too slowly.
    SendTimeout,
    /// The handshake of TLS, or the PROXY header before it, was not complete in time.
    HandshakeTimeout,
    /// The handshake of TLS failed, or the PROXY header was malformed.
    HandshakeFailed,
}

/// The metrics of one listener.
#[derive(Clone)]
pub struct ListenerMetrics {
    listener: &'static str,
    /// Open connections.
    pub open: IntGauge,
    refused: IntCounterVec,
    closed: IntCounterVec,
    limits: IntGaugeVec,
}

impl Refusal {
    /// Word for it in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Address => "address",
        }
    }
}

impl Close {
    const ALL: [Self; 7] = [
        Self::Displaced,
        Self::Idle,
        Self::HeaderTimeout,
        Self::BodyTimeout,
        Self::SendTimeout,
        Self::HandshakeTimeout,
        Self::HandshakeFailed,
    ];

    /// Word for it in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Displaced => "displaced",
            Self::Idle => "idle",
            Self::HeaderTimeout => "header_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::SendTimeout => "send_timeout",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HandshakeFailed => "handshake_failed",
        }
    }
}

impl ListenerMetrics {
    /// The metrics of `listener`, shown with all others of the process; `open` counts its
    /// connections.
    pub fn new(listener: &'static str, open: IntGauge) -> Self {
        let Family { refused, closed, limits } = family().clone();
        // Series that exist before anything happens: a rate over them is right from the first event
        // on.
        for refusal in [Refusal::Full, Refusal::Address] {
            refused.with_label_values(&[listener, refusal.as_str()]);
        }
        for close in Close::ALL {
            closed.with_label_values(&[listener, close.as_str()]);
        }
        Self { listener, open, refused, closed, limits }
    }

    /// Shows how many connections there may be.
    pub fn limit(&self, most: usize) {
        self.limits.with_label_values(&[self.listener]).set(i64::try_from(most).unwrap_or(i64::MAX));
    }

    /// Counts a refused connection.
    pub fn refused(&self, refusal: Refusal) {
        self.refused.with_label_values(&[self.listener, refusal.as_str()]).inc();
    }

    /// Counts a connection that the server closed.
    pub fn closed(&self, close: Close) {
        self.closed.with_label_values(&[self.listener, close.as_str()]).inc();
    }
}

/// Shows what all listeners count in another registry than the process-wide one.
pub fn show_in(registry: &Registry) -> prometheus::Result<()> {
    let Family { refused, closed, limits } = family().clone();
    registry.register(Box::new(refused))?;
    registry.register(Box::new(closed))?;
    registry.register(Box::new(limits))
}

/// Metrics of all listeners of a process, apart by a label.
#[derive(Clone)]
struct Family {
    refused: IntCounterVec,
    closed: IntCounterVec,
    limits: IntGaugeVec,
}

fn family() -> &'static Family {
    static FAMILY: OnceLock<Family> = OnceLock::new();
    FAMILY.get_or_init(|| {
        let refused = Opts::new(
            "tollgate_connections_refused_total",
            "Connections refused because a limit was reached and every connection had a request under way",
        );
        let closed =
            Opts::new("tollgate_connections_closed_total", "Connections that the server closed before the client did");
        let limits = Opts::new("tollgate_connections_limit", "Connections that may be open at once");
        Family {
            refused: registered(IntCounterVec::new(refused, &["listener", "reason"])),
            closed: registered(IntCounterVec::new(closed, &["listener", "reason"])),
            limits: registered(IntGaugeVec::new(limits, &["listener"])),
        }
    })
}

#[expect(clippy::expect_used, reason = "names and labels are constants of this file, exercised by every start")]
fn registered<C: Collector + Clone + 'static>(metric: prometheus::Result<C>) -> C {
    let metric = metric.expect("metric is well-formed");
    let _ = default_registry().register(Box::new(metric.clone()));
    metric
}
