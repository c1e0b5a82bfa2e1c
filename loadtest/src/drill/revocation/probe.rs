//! A client that asks one gateway with one key all the time, and keeps the answers.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    task::AbortHandle,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::load::{Connection, Failure, Received, Request};

/// Interval between requests, if answers come as fast: the largest error of a measurement.
const EVERY: Duration = Duration::from_millis(5);

/// Longest time to wait for one answer: a gateway may be held still for a while.
const PATIENCE: Duration = Duration::from_mins(1);

/// A gateway's treatment of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shows {
    /// The key is served.
    Served,
    /// The key has used up its limit.
    Limited,
    /// The key or its tenant is refused.
    Refused,
}

/// The client; it stops when this is dropped.
pub(super) struct Probe {
    seen: Arc<Mutex<Seen>>,
    asking: AbortHandle,
}

#[derive(Default)]
struct Seen {
    /// Time and status of each answer.
    answers: Vec<(Instant, u16)>,
    unanswered: u64,
}

impl Shows {
    fn matches(self, status: u16) -> bool {
        match self {
            Self::Served => status == 200,
            Self::Limited => status == 429,
            Self::Refused => matches!(status, 401 | 403),
        }
    }
}

impl Probe {
    pub(super) fn start(gateway: SocketAddr, request: &Request) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let wire = request.encode(&gateway.to_string());
        let asking = tokio::spawn(ask(gateway, wire, Arc::clone(&seen))).abort_handle();
        Self { seen, asking }
    }

    /// Time from `since` until the answers became right, if the last of them is.
    pub(super) fn arrival(&self, since: Instant, shows: Shows) -> Option<Duration> {
        arrival(&self.lock().answers, since, shows)
    }

    /// Returns true if there were answers from `since` on, all of them right.
    pub(super) fn kept_to(&self, since: Instant, shows: Shows) -> bool {
        let seen = self.lock();
        let answers = &seen.answers[after(&seen.answers, since)..];
        !answers.is_empty() && answers.iter().all(|(_, status)| shows.matches(*status))
    }

    /// Requests that were served.
    pub(super) fn served(&self) -> u64 {
        self.lock().answers.iter().filter(|(_, status)| *status == 200).count() as u64
    }

    /// Requests that were not answered.
    pub(super) fn unanswered(&self) -> u64 {
        self.lock().unanswered
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.asking.abort();
    }
}

/// The first answer that was here at `since` or later.
fn after(answers: &[(Instant, u16)], since: Instant) -> usize {
    answers.partition_point(|(at, _)| *at < since)
}

fn arrival(answers: &[(Instant, u16)], since: Instant, shows: Shows) -> Option<Duration> {
    let answers = &answers[after(answers, since)..];
    let first = answers.iter().rposition(|(_, status)| !shows.matches(*status)).map_or(0, |wrong| wrong + 1);
    answers.get(first).map(|(at, _)| at.saturating_duration_since(since))
}

async fn ask(gateway: SocketAddr, wire: Vec<u8>, seen: Arc<Mutex<Seen>>) {
    let mut connection = None;
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let answered = timeout(PATIENCE, exchange(&mut connection, gateway, &wire)).await;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(Ok(Received { status, reusable })) = answered {
            seen.answers.push((Instant::now(), status));
            if reusable {
                continue;
            }
        } else {
            seen.unanswered += 1;
        }
        connection = None;
    }
}

async fn exchange(connection: &mut Option<Connection>, gateway: SocketAddr, wire: &[u8]) -> Result<Received, Failure> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(Connection::open(gateway).await.map_err(|_| Failure::Connect)?),
    };
    connection.exchange(wire).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_arrives_with_the_first_right_answer_that_no_wrong_one_follows() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let answers: Vec<_> = [(0, 401), (10, 200), (20, 401), (30, 200), (40, 403), (50, 401)]
            .map(|(time, status)| (at(time), status))
            .into();
        let arrived = |answers: &[_], since| arrival(answers, at(since), Shows::Refused);
        assert_eq!(arrived(&answers, 5), Some(Duration::from_millis(35)));
        assert_eq!(arrived(&answers, 45), Some(Duration::from_millis(5)));
        assert_eq!(arrived(&answers[..4], 5), None);
        assert_eq!(arrived(&answers, 60), None);
    }
}
