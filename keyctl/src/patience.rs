//! How long a command waits for the store. Whenever the store has got on, the wait starts anew: a long list is no outage.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

/// A wait that ends unless something is heard.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    span: Duration,
    heard_at: Arc<Mutex<Instant>>,
}

impl Patience {
    /// A wait of `span`, from now on.
    pub(crate) fn new(span: Duration) -> Self {
        Self { span, heard_at: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Starts the wait anew.
    pub(crate) fn heard(&self) {
        *self.heard_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Returns once nothing was heard for the whole span.
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
    async fn whoever_is_heard_has_the_whole_span_again() {
        let begun = Instant::now();
        let span = Duration::from_millis(40);
        let patience = Patience::new(span);
        tokio::time::sleep(span / 2).await;
        patience.heard();
        patience.ended().await;
        assert!(begun.elapsed() >= span + span / 2);
    }
}
