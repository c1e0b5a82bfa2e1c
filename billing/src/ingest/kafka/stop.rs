//! Being told to stop, wherever one is waiting.

use std::future::Future;

use tokio::sync::watch;

/// Tells all [`Stop`]s that came from it; so does dropping it.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Knows whether to stop.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// One that is not told yet, and who tells it.
    pub fn new() -> (Stopper, Self) {
        let (sender, receiver) = watch::channel(false);
        (Stopper(sender), Self(receiver))
    }

    /// Waits until told.
    pub async fn told(&self) {
        // An error says that the stopper is gone.
        let _ = self.0.clone().wait_for(|stop| *stop).await;
    }

    /// The output of `future`, or `None` if the stop comes first.
    pub async fn unless<F: Future>(&self, future: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            () = self.told() => None,
            output = future => Some(output),
        }
    }
}

impl Stopper {
    /// Tells all to stop.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn futures_end_once_stop_is_told() {
        let (stopper, stop) = Stop::new();
        assert_eq!(stop.unless(async { 1 }).await, Some(1));
        stopper.stop();
        assert_eq!(stop.unless(async { 1 }).await, None);
    }

    #[tokio::test]
    async fn futures_end_once_the_stopper_is_dropped() {
        let (stopper, stop) = Stop::new();
        drop(stopper);
        assert_eq!(stop.unless(async { 1 }).await, None);
    }
}
