//! Ending on SIGTERM or SIGINT: no new connections, then the requests in flight, and not longer than agreed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{Instant, sleep},
};
use tracing::{error, info, warn};

use crate::proxy::Gateway;

/// How long requests in flight may take to finish.
const FINISH_DEADLINE: Duration = Duration::from_secs(10);

const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Tells Pingora when to end.
pub(super) struct Shutdown {
    pub(super) gateway: Arc<Gateway>,
    /// Closes the listener.
    pub(super) stop: watch::Sender<bool>,
}

#[async_trait]
impl ShutdownSignalWatch for Shutdown {
    async fn recv(&self) -> ShutdownSignal {
        if let Err(reason) = self.requested().await {
            error!(%reason, "signals cannot be heard, the gateway ends");
        }
        self.gateway.start_draining();
        let _ = self.stop.send(true);
        info!(in_flight = self.gateway.in_flight(), "ending: finishing requests");
        let hurried = async {
            let _ = self.requested().await;
        };
        tokio::select! {
            () = self.finished() => info!("every request is answered"),
            () = sleep(FINISH_DEADLINE) => warn!(in_flight = self.gateway.in_flight(), "requests are cut off"),
            () = hurried => warn!(in_flight = self.gateway.in_flight(), "asked twice, requests are cut off"),
        }
        ShutdownSignal::FastShutdown
    }
}

impl Shutdown {
    async fn requested(&self) -> std::io::Result<()> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    }

    /// Waits until no request has been in flight for a moment: one may just be between its header and its count.
    async fn finished(&self) {
        let mut idle_since = None;
        loop {
            let idle = self.gateway.in_flight() <= 0;
            let since = *idle_since.get_or_insert_with(Instant::now);
            if !idle {
                idle_since = None;
            } else if since.elapsed() >= 5 * POLL_INTERVAL {
                return;
            }
            sleep(POLL_INTERVAL).await;
        }
    }
}
