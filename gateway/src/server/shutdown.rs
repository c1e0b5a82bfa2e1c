//! Ending: no new connections, then the requests in flight, and not longer than agreed.
//!
//! On SIGTERM or SIGINT, the gateway first says for `drain_delay_seconds` that it is not ready, and
//! serves on: load balancers have sent requests to it up to then. Afterwards, idle connections are closed at once: nobody is there to take what they may
//! still send. After a hand-over, clients are waited for, and each leaves with its next answer.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use prometheus::IntGauge;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tracing::{info, warn};

use super::{signals::EndRequests, upgrade::Handover};
use crate::{listen::http2, proxy::Proxy};

/// Longest time for requests in flight to finish.
const FINISH_DEADLINE: Duration = Duration::from_secs(10);

const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Tells Pingora when to end.
pub(super) struct Shutdown {
    pub(super) proxy: Arc<Proxy>,
    pub(super) handover: Arc<Handover>,
    pub(super) end_requests: EndRequests,
    /// Time between the end of readiness and that of the listener, on a signal.
    pub(super) drain_delay: Duration,
    /// Longest wait for clients after a hand-over.
    pub(super) drain: Duration,
    /// Connections of clients, and of those who ask for decisions.
    pub(super) connections: Vec<IntGauge>,
    /// Closes idle connections.
    pub(super) closing: watch::Sender<bool>,
    /// Closes the listener.
    pub(super) stop: watch::Sender<bool>,
}

#[async_trait]
impl ShutdownSignalWatch for Shutdown {
    async fn recv(&self) -> ShutdownSignal {
        tokio::select! {
            () = self.end_requests.next() => self.end().await,
            () = self.handover.taken() => self.leave().await,
        }
        ShutdownSignal::FastShutdown
    }
}

impl Shutdown {
    /// Turns true when no more connections may be accepted.
    pub(super) fn stopped(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    fn connected(&self) -> i64 {
        self.connections.iter().map(IntGauge::get).sum()
    }

    /// Requests in flight, and connections of HTTP/2: each ends once its client knows that no more
    /// requests are taken.
    fn busy(&self) -> i64 {
        self.proxy.in_flight() + http2::metrics::open().get()
    }

    /// Ends without a successor.
    async fn end(&self) {
        self.handover.withdraw();
        self.proxy.gateway().start_draining();
        self.wait_for_load_balancers().await;
        self.stop.send_replace(true);
        self.proxy.end_websockets();
        self.closing.send_replace(true);
        info!(event = "ending", in_flight = self.proxy.in_flight());
        self.finish(FINISH_DEADLINE).await;
    }

    /// Leaves the sockets to another process.
    async fn leave(&self) {
        self.proxy.gateway().start_draining();
        self.stop.send_replace(true);
        self.proxy.end_websockets();
        let connections = self.connected();
        info!(event = "taken_over", connections, in_flight = self.proxy.in_flight());
        tokio::select! {
            () = idle(|| self.connected()) => {}
            () = sleep(self.drain) => info!(event = "idle_connections_closed", connections = self.connected()),
            () = self.end_requests.next() => {}
        }
        self.closing.send_replace(true);
        self.finish(FINISH_DEADLINE).await;
    }

    /// Serves on while load balancers learn that the gateway is not ready any more; a second signal
    /// ends the wait.
    async fn wait_for_load_balancers(&self) {
        if self.drain_delay.is_zero() {
            return;
        }
        info!(event = "drain_delayed", seconds = self.drain_delay.as_secs());
        tokio::select! {
            () = sleep(self.drain_delay) => {}
            () = self.end_requests.next() => {}
        }
    }

    async fn finish(&self, deadline: Duration) {
        tokio::select! {
            () = idle(|| self.busy()) => info!(event = "requests_finished"),
            () = sleep(deadline) => warn!(event = "requests_cut_off", in_flight = self.proxy.in_flight()),
            () = self.end_requests.next() => {
                warn!(event = "requests_cut_off", in_flight = self.proxy.in_flight(), cause = "second signal");
            }
        }
    }
}

/// Waits until a count has been 0 for a moment: a request may just be between its header and its
/// count, a connection between two requests.
async fn idle(count: impl Fn() -> i64) {
    let mut idle_since = None;
    loop {
        let since = *idle_since.get_or_insert_with(Instant::now);
        if count() > 0 {
            idle_since = None;
        } else if since.elapsed() >= 5 * POLL_INTERVAL {
            return;
        }
        sleep(POLL_INTERVAL).await;
    }
}
