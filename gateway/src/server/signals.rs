//! The signals that the process heeds, taken from before its first socket answers. One that comes
//! while the gateway still starts counts like any later one, and never ends the process by itself.

use std::{io, sync::Arc};

use tokio::{
    runtime::Handle,
    signal::unix::{Signal, SignalKind, signal},
    sync::Semaphore,
};

/// Takes SIGHUP from now on: one that comes before the configuration is followed is kept for it.
pub(super) fn take_hangups(runtime: &Handle) -> io::Result<Signal> {
    let _entered = runtime.enter();
    signal(SignalKind::hangup())
}

/// Requests to end the process: each SIGTERM or SIGINT is one, and is kept until it is waited for.
#[derive(Clone)]
pub(super) struct EndRequests(Arc<Semaphore>);

impl EndRequests {
    /// Takes the signals from now on, by a task on `runtime`.
    pub(super) fn take(runtime: &Handle) -> io::Result<Self> {
        let _entered = runtime.enter();
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let requests = Arc::new(Semaphore::new(0));
        let made = Arc::clone(&requests);
        runtime.spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                made.add_permits(1);
            }
        });
        Ok(Self(requests))
    }

    /// Waits for a request that nobody has waited for yet.
    pub(super) async fn next(&self) {
        match self.0.acquire().await {
            Ok(request) => request.forget(),
            // The semaphore is never closed.
            Err(_closed) => std::future::pending().await,
        }
    }
}
