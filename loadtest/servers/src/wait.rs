//! Waiting, with a deadline, for a state that takes a while to come about.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::error::ServerError;

/// Longest wait in tests: far more than anything takes on a busy machine, so that only a hang
/// reaches it.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// Pause between two attempts, where an attempt costs little.
pub const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The result of one attempt: a value that ends the wait, or nothing yet.
///
/// A condition is an attempt without a value; an error ends the wait as well.
pub trait Attempt {
    /// The value that ends the wait.
    type Value;

    /// Returns the value, if the attempt has one.
    fn value(self) -> Option<Self::Value>;
}

impl Attempt for bool {
    type Value = ();

    fn value(self) -> Option<()> {
        self.then_some(())
    }
}

impl<T> Attempt for Option<T> {
    type Value = T;

    fn value(self) -> Self {
        self
    }
}

impl<A: Attempt, E> Attempt for Result<A, E> {
    type Value = Result<A::Value, E>;

    fn value(self) -> Option<Self::Value> {
        match self {
            Ok(attempt) => attempt.value().map(Ok),
            Err(error) => Some(Err(error)),
        }
    }
}

/// Repeats `attempt`, with a pause of `interval`, until it has a value. Returns none at the
/// deadline.
pub async fn within<A: Attempt>(
    patience: Duration,
    interval: Duration,
    mut attempt: impl AsyncFnMut() -> A,
) -> Option<A::Value> {
    let waiting = async {
        loop {
            if let Some(value) = attempt().await.value() {
                return value;
            }
            tokio::time::sleep(interval).await;
        }
    };
    tokio::time::timeout(patience, waiting).await.ok()
}

/// Repeats `attempt` until it has a value, for at most [`DEADLINE`].
///
/// # Panics
///
/// At the deadline, so that the test fails and names the state `what`.
pub async fn eventually<A: Attempt>(what: &str, attempt: impl AsyncFnMut() -> A) -> A::Value {
    let found = within(DEADLINE, POLL_INTERVAL, attempt).await;
    found.unwrap_or_else(|| panic!("{what}: not within {} s", DEADLINE.as_secs()))
}

/// Blocks the thread until `condition` holds, for at most [`DEADLINE`]; the error names the state
/// `what`.
pub(crate) fn block_until(what: &str, mut condition: impl FnMut() -> bool) -> Result<(), ServerError> {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        if Instant::now() > deadline {
            return Err(ServerError::NotReady { what: what.into(), waited: DEADLINE, output: String::new() });
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}
