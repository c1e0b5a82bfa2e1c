//! Wait for the store. Each step of a long command restarts the wait: a long list is no outage.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// A wait that ends after a span without news.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    span: Duration,
    heard_at: Arc<Mutex<Instant>>,
}

impl Patience {
    /// A wait of `span` that starts now.
    pub(crate) fn new(span: Duration) -> Self {
        Self { span, heard_at: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Restarts the wait.
    pub(crate) fn heard(&self) {
        *self.heard_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Returns once the whole span has passed without news.
    pub(crate) async fn ended(&self) {
        loop {
            let end = *self.heard_at.lock().unwrap_or_else(PoisonError::into_inner) + self.span;
            if Instant::now() >= end {
                return;
            }
            sleep_until(end).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn progress_restarts_the_timeout() {
        let begun = Instant::now();
        let span = Duration::from_millis(40);
        let patience = Patience::new(span);
        tokio::time::sleep(span / 2).await;
        patience.heard();
        patience.ended().await;
        assert!(begun.elapsed() >= span + span / 2);
    }
}
