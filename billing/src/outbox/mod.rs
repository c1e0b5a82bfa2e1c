//! The outbox: what leaves the system, sent by `billing serve`.
//!
//! A message is a row of the store ([`common::outbox`]), written with its cause. The [`OutboxWorker`]
//! claims it and hands it to the [`Deliverer`] of its kind. Another kind of message is a deliverer and
//! a call of `enqueue` where it is caused.
//!
//! Invariants: what is sent more than once is sent with the same id; a try takes less time than a
//! claim lasts, so that two workers send one message only if one of them was cut off; a receiver that
//! does not answer holds up its own messages only.

pub mod deliverers;
pub mod mail;
mod metrics;
pub mod provider;
pub mod webhook;
mod worker;

use std::{pin::Pin, time::Duration};

use common::{
    outbox::{Message, Sent},
    time::Micros,
};
pub use metrics::OutboxMetrics;
pub use worker::{OutboxWorker, deliver_due};

/// Time for which a claim holds.
const LEASE_SECONDS: i64 = 60;

/// Longest time that one try may take.
const TRY_TIME_LIMIT: Duration = Duration::from_secs(45);

/// A try under way.
pub type Delivering<'a> = Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;

/// Sends the messages of one kind.
pub trait Deliverer: Send + Sync {
    /// The kind of message.
    fn kind(&self) -> &'static str;

    /// Most messages of this process that are on their way to one receiver at a time.
    fn at_once(&self) -> usize;

    /// Waits before the second try, the third and so on, in seconds. After the last one the message is
    /// given up.
    fn waits(&self) -> &'static [i64];

    /// Sends a message. It may be cut off anywhere, and be called again with the same message.
    fn deliver<'a>(&'a self, message: &'a Message, now: Micros) -> Delivering<'a>;

    /// Told after a message was given up, with the error.
    fn given_up<'a>(&'a self, message: &'a Message, error: &'a str, now: Micros) -> TellingEnd<'a>;
}

/// The work that follows a message's end.
pub type TellingEnd<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Outcome of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it; with the answer.
    Delivered(String),
    /// Another try may succeed; with the error.
    Failed(String),
    /// Another try may succeed, but not before so many seconds; with the error.
    Delayed(String, i64),
    /// No other try will succeed; with the error.
    Refused(String),
}

impl Outcome {
    /// State of a message after this outcome of a try.
    fn after(self, attempt: i64, waits: &[i64]) -> Sent {
        let wait = usize::try_from(attempt - 1).ok().and_then(|place| waits.get(place)).copied();
        match (self, wait) {
            (Self::Delivered(answer), _) => Sent::Delivered(answer),
            (Self::Failed(error), Some(wait)) => Sent::Later(error, wait),
            (Self::Delayed(error, least), Some(wait)) => Sent::Later(error, wait.max(least)),
            (Self::Failed(error) | Self::Delayed(error, _), None) => {
                Sent::GivenUp(format!("given up after {attempt} tries: {error}"))
            }
            (Self::Refused(error), _) => Sent::GivenUp(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_message_waits_longer_and_is_given_up_after_the_last_wait() {
        let failed = || Outcome::Failed("no answer".into());
        assert_eq!(failed().after(1, &[5, 300]), Sent::Later("no answer".into(), 5));
        assert_eq!(failed().after(2, &[5, 300]), Sent::Later("no answer".into(), 300));
        assert_eq!(failed().after(3, &[5, 300]), Sent::GivenUp("given up after 3 tries: no answer".into()));
        assert_eq!(Outcome::Delayed("later".into(), 60).after(1, &[5]), Sent::Later("later".into(), 60));
        assert_eq!(Outcome::Delayed("later".into(), 1).after(1, &[5]), Sent::Later("later".into(), 5));
        assert_eq!(Outcome::Refused("gone".into()).after(1, &[5]), Sent::GivenUp("gone".into()));
    }
}
